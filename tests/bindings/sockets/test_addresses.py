"""wasi:sockets: addresses, as WIT has them and as the operating system does."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bindings.sockets.addresses import SocketAddress, canonical
from gateway.bindings.sockets.error_code import ErrorCode, SocketError
from gateway.host.values import Variant
from gateway.policy.egress import IPAddress

PORTS = st.integers(0, 2**16 - 1)
WORDS = st.integers(0, 2**32 - 1)
ADDRESSES = st.one_of(
    st.builds(SocketAddress, st.ip_addresses(v=4), PORTS),
    st.builds(SocketAddress, st.ip_addresses(v=6), PORTS, WORDS, WORDS),
)


def test_the_form_of_wit() -> None:
    assert SocketAddress(ip_address("192.0.2.1"), 80).variant == Variant(
        "ipv4", {"port": 80, "address": (192, 0, 2, 1)}
    )
    assert SocketAddress(ip_address("2001:db8::ff:1"), 80, 3, 4).variant == Variant(
        "ipv6",
        {
            "port": 80,
            "flow-info": 3,
            "address": (0x2001, 0xDB8, 0, 0, 0, 0, 0xFF, 1),
            "scope-id": 4,
        },
    )


@given(ADDRESSES)
def test_an_address_survives_both_forms(address: SocketAddress) -> None:
    assert SocketAddress.from_variant(address.variant) == address
    assert SocketAddress.from_sockaddr(address.sockaddr).is_peer(address)


def test_the_zone_of_an_address_is_its_scope_id() -> None:
    address = SocketAddress.from_sockaddr(("fe80::1%eth0", 80, 0, 2))
    assert address == SocketAddress(ip_address("fe80::1"), 80, 0, 2)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (SocketAddress(ip_address("192.0.2.1"), 80), "192.0.2.1:80"),
        (SocketAddress(ip_address("::1"), 80), "[::1]:80"),
    ],
)
def test_an_address_is_shown_as_urls_have_it(address: SocketAddress, text: str) -> None:
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", IPv4Address("192.0.2.1")),
        ("::ffff:192.0.2.1", IPv4Address("192.0.2.1")),
        ("2001:db8::1", IPv6Address("2001:db8::1")),
        ("fe80::1%eth0", IPv6Address("fe80::1")),
    ],
)
def test_canonical(text: str, expected: IPAddress) -> None:
    assert canonical(ip_address(text)) == expected


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (SocketAddress(ip_address("fe80::1"), 80, 0, 2), True),
        (SocketAddress(ip_address("fe80::1"), 80, 7, 2), True),
        (SocketAddress(ip_address("fe80::1"), 80, 0, 3), False),
        (SocketAddress(ip_address("fe80::1"), 81, 0, 2), False),
        (SocketAddress(ip_address("fe80::2"), 80, 0, 2), False),
    ],
)
def test_is_peer(other: SocketAddress, same: bool) -> None:
    assert SocketAddress(ip_address("fe80::1"), 80, 0, 2).is_peer(other) is same


@pytest.mark.parametrize("text", ["::", "::1", "2001:db8::1", "fe80::1", "64:ff9b::1.2.3.4"])
def test_what_a_socket_of_ipv6_can_use(text: str) -> None:
    SocketAddress(ip_address(text), 80).check_family("ipv6")


@pytest.mark.parametrize("text", ["::ffff:1.2.3.4", "::ffff:0:0", "::1.2.3.4", "::2", "1.2.3.4"])
def test_what_a_socket_of_ipv6_cannot_use(text: str) -> None:
    with pytest.raises(SocketError) as refused:
        SocketAddress(ip_address(text), 80).check_family("ipv6")
    assert refused.value.code is ErrorCode.INVALID_ARGUMENT
