"""allowed_outbound_hosts: what an entry says, and what a policy of some entries lets through."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from gateway.policy.egress import EgressPolicy, EgressRule, Verdict, canonical_host

PUBLIC = "93.184.216.34"
PUBLIC_IPV6 = "2606:2800:220:1:248:1893:25c8:1946"


def policy(*entries: str) -> EgressPolicy:
    return EgressPolicy(map(EgressRule.parse, entries))


# --- entries -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "scheme", "host", "ports"),
    [
        ("https://api.example.com", "https", "api.example.com", [443]),
        ("http://api.example.com", "http", "api.example.com", [80]),
        ("HTTPS://API.Example.COM.", "https", "api.example.com", [443]),
        ("https://api.example.com/", "https", "api.example.com", [443]),
        ("https://*.example.com:8443", "https", "*.example.com", [8443]),
        ("http://localhost:8000-8100", "http", "localhost", list(range(8000, 8101))),
        ("http://a_b:1-1", "http", "a_b", [1]),
        ("*://*:*", None, "*", list(range(1, 65536))),
        ("tcp://db.internal:5432", "tcp", "db.internal", [5432]),
        ("https://192.168.1.7", "https", ip_network("192.168.1.7"), [443]),
        ("https://10.0.0.0/8:443", "https", ip_network("10.0.0.0/8"), [443]),
        ("http://[::1]:8080", "http", ip_network("::1"), [8080]),
        ("http://[fd00::/8]", "http", ip_network("fd00::/8"), [80]),
    ],
)
def test_entries(entry: str, scheme: str | None, host: object, ports: list[int]) -> None:
    rule = EgressRule.parse(entry)
    assert (rule.text, rule.scheme, rule.host, list(rule.ports)) == (entry, scheme, host, ports)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("", "must be scheme, host and port"),
        ("*", "must be scheme, host and port"),
        ("api.example.com", "must be scheme, host and port"),
        ("api.example.com:443", "must be scheme, host and port"),
        ("https:/api.example.com", "must be scheme, host and port"),
        ("http://::1", "must be scheme, host and port"),
        ("https://api.example.com/v1", 'remove "/v1"'),
        ("https://api.example.com?x", "must have a host"),
        ("https://user:secret@api.example.com", "must not have a user name or password"),
        ("https://", "must have a host"),
        ("https://a..b", "must have a host"),
        ("https://-a", "must have a host"),
        ("https://" + "a" * 64, "must have a host"),
        ("https://" + "a." * 127 + "a", "must have a host"),
        ("https:// api.example.com", "must have a host"),
        ("https://bücher.example", "ASCII"),
        ("https://api.*.com", '"*" only alone or as the first label'),
        ("https://*example.com", '"*" only alone or as the first label'),
        ("https://*.*.com", '"*" only alone or as the first label'),
        ("https://10.0.0.1/8", 'must be a network, "10.0.0.0/8"'),
        ("https://10.0.0.0/33", "must have an IP address or network"),
        ("https://name/8", "must have an IP address or network"),
        ("https://127.1", "must have an IP address or network"),
        ("https://2130706433", "must have an IP address or network"),
        ("https://0x7f.0.0.1", "must have an IP address or network"),
        ("https://010.0.0.1", "must have an IP address or network"),
        ("https://[nonsense]", "must have an IP address or network"),
        ("https://[fe80::1%eth0]", "must have an IP address or network"),
        ("https://[10.0.0.1]", "in brackets"),
        ("https://[::ffff:10.0.0.1]", "must name IPv4 addresses as such"),
        ("https://[64:ff9b::/96]", "must name IPv4 addresses as such"),
        ("https://[2002::/16]", "must name IPv4 addresses as such"),
        ("*://api.example.com", "must name a port"),
        ("tcp://api.example.com", "must name a port"),
        ("https://api.example.com:", "must have a port"),
        ("https://api.example.com:https", "must have a port"),
        ("https://api.example.com:80..90", "must have a port"),
        ("https://api.example.com:80-", "must have a port"),
        ("https://api.example.com:²", "must have a port"),
        ("https://api.example.com:0", "must have ports from 1 to 65535"),
        ("https://api.example.com:65536", "must have ports from 1 to 65535"),
        ("https://api.example.com:90-80", "must have ports from 1 to 65535"),
    ],
)
def test_what_is_no_entry_is_refused_with_a_reason(entry: str, reason: str) -> None:
    with pytest.raises(ValueError, match="must") as raised:
        EgressRule.parse(entry)
    assert reason in str(raised.value)
    assert "secret" not in str(raised.value)


# --- hosts as guests write them ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("API.Example.com.", "api.example.com"),
        ("127.0.0.1", ip_address("127.0.0.1")),
        ("[::1]", ip_address("::1")),
        ("::1", ip_address("::1")),
        ("[0:0:0:0:0:0:0:1]", ip_address("::1")),
        ("[::ffff:127.0.0.1]", ip_address("127.0.0.1")),
        ("[::7f00:1]", ip_address("127.0.0.1")),
        ("[64:ff9b::7f00:1]", ip_address("127.0.0.1")),
        ("[2002:7f00:1::]", ip_address("127.0.0.1")),
        # What inet_aton would read as 127.0.0.1 is a name until a resolver says otherwise.
        ("127.1", "127.1"),
        ("0x7f000001", "0x7f000001"),
        ("2130706433", "2130706433"),
        ("0177.0.0.1", "0177.0.0.1"),
    ],
)
def test_hosts_have_one_spelling(host: str, canonical: object) -> None:
    assert canonical_host(host) == canonical


# --- what a guest may ask for ------------------------------------------------------------------------------


def test_nothing_is_allowed_by_default() -> None:
    verdict = EgressPolicy().check_target("https", "example.com", 443)
    assert verdict == Verdict(
        False, "no entry of allowed_outbound_hosts matches https://example.com:443"
    )


@pytest.mark.parametrize(
    ("entry", "target", "allowed"),
    [
        ("https://api.example.com", ("https", "api.example.com", 443), True),
        ("https://api.example.com", ("https", "API.EXAMPLE.COM.", 443), True),
        ("https://api.example.com", ("http", "api.example.com", 443), False),
        ("https://api.example.com", ("https", "api.example.com", 8443), False),
        ("https://api.example.com", ("https", "example.com", 443), False),
        ("https://api.example.com", ("https", "api.example.com.evil.test", 443), False),
        ("https://*.example.com", ("https", "a.example.com", 443), True),
        ("https://*.example.com", ("https", "a.b.example.com", 443), True),
        ("https://*.example.com", ("https", "example.com", 443), False),
        ("https://*.example.com", ("https", "badexample.com", 443), False),
        ("http://a:8000-8100", ("http", "a", 7999), False),
        ("http://a:8000-8100", ("http", "a", 8000), True),
        ("http://a:8000-8100", ("http", "a", 8100), True),
        ("http://a:8000-8100", ("http", "a", 8101), False),
        ("*://a:80", ("http", "a", 80), True),
        ("*://a:80", ("https", "a", 80), True),
        ("http://*", ("http", "anything", 80), True),
        ("http://*", ("http", "10.0.0.1", 80), True),
        ("http://*", ("http", "[::1]", 80), True),
        ("http://10.0.0.0/8", ("http", "10.255.0.1", 80), True),
        ("http://10.0.0.0/8", ("http", "11.0.0.1", 80), False),
        ("http://10.0.0.0/8", ("http", "[::ffff:10.0.0.1]", 80), True),
        # What a name stands for is not known yet.
        ("http://10.0.0.0/8", ("http", "internal", 80), False),
        ("http://[fd00::/8]", ("http", "[fd12::1]", 80), True),
        ("http://[fd00::/8]", ("http", "[fe12::1]", 80), False),
        ("http://localhost", ("http", "localhost", 80), True),
        ("http://localhost", ("http", "127.8.9.10", 80), True),
        ("http://localhost", ("http", "[::1]", 80), True),
        ("http://localhost", ("http", "10.0.0.1", 80), False),
        ("http://localhost", ("http", "x.localhost", 80), False),
        ("http://127.0.0.1", ("http", "localhost", 80), False),
    ],
)
def test_targets(entry: str, target: tuple[str, str, int], allowed: bool) -> None:
    verdict = policy(entry).check_target(*target)
    assert verdict.allowed is allowed
    assert not allowed or verdict.rule == entry


def test_the_verdict_names_the_entry_that_matched() -> None:
    checked = policy("http://a", "http://b", "http://*")
    assert checked.check_target("http", "b", 80).rule == "http://b"
    assert checked.check_target("http", "c", 80).rule == "http://*"


# --- what a name may stand for -----------------------------------------------------------------------------

SPECIAL = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],  # noqa: S104 - nobody binds to it
    "private": [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.1",
        "192.168.0.1",
        "fc00::1",
        "fdff::1",
        "fec0::1",
    ],
    "carrier-grade NAT": ["100.64.0.1", "100.127.255.254"],
    "link-local": ["169.254.0.1", "fe80::1", "fe80::1%2"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1"],
    "metadata": [
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
    ],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"],
    "benchmarking": ["198.18.0.1", "198.19.255.255"],
    "local translation": ["64:ff9b:1::1"],
    "reserved": ["192.0.0.8", "240.0.0.1", "255.255.255.255", "2001::1", "4000::1", "100::1"],
}
DISGUISED = {
    "loopback": ["::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::1"],
    "metadata": ["::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::"],
    "private": ["::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:a00:1::"],
}
CASES = [
    (kind, address)
    for table in (SPECIAL, DISGUISED)
    for kind, addresses in table.items()
    for address in addresses
]


@pytest.mark.parametrize(("kind", "address"), CASES)
def test_special_addresses_are_refused_whatever_name_led_there(kind: str, address: str) -> None:
    checked = policy("*://*:*", "http://0.0.0.0/0", "http://[2000::/3]", "http://name.test")
    verdict = checked.check_address("http", ip_address(address), 80)
    assert not verdict.allowed
    assert f"{ip_address(address)} is a {kind} address" in verdict.rule


@pytest.mark.parametrize(
    "address",
    [
        PUBLIC,
        PUBLIC_IPV6,
        "1.1.1.1",
        "172.32.0.1",
        "100.128.0.1",
        f"::ffff:{PUBLIC}",
        f"64:ff9b::{PUBLIC}",
    ],
)
def test_public_addresses_need_no_naming(address: str) -> None:
    assert policy("http://name.test").check_address("http", ip_address(address), 80).allowed


@pytest.mark.parametrize(
    ("entry", "address", "allowed"),
    [
        ("http://10.0.0.0/8", "10.1.2.3", True),
        ("http://10.1.2.3", "10.1.2.3", True),
        ("http://10.1.2.3", "10.1.2.4", False),
        ("http://10.0.0.0/8", "64:ff9b::10.1.2.3", True),
        ("http://10.0.0.0/8", "192.168.0.1", False),
        ("https://10.0.0.0/8", "10.1.2.3", False),
        ("http://10.0.0.0/8:81", "10.1.2.3", False),
        # A network that goes beyond the special range names nothing in it.
        ("http://8.0.0.0/5", "10.1.2.3", False),
        ("http://0.0.0.0/0", "127.0.0.1", False),
        ("http://[fc00::/6]", "fc00::1", False),
        ("http://[fd00::/8]", "fd00::1", True),
        ("http://localhost", "127.0.0.1", True),
        ("http://localhost", "127.9.9.9", True),
        ("http://localhost", "::1", True),
        ("http://localhost", "::ffff:127.0.0.1", True),
        ("http://localhost", "0.0.0.0", False),  # noqa: S104
        ("http://localhost", "10.0.0.1", False),
        ("http://*.localhost", "127.0.0.1", False),
        ("http://127.0.0.1", "127.0.0.1", True),
        ("http://169.254.0.0/16", "169.254.1.1", True),
        # Of the metadata services only the very address.
        ("http://169.254.0.0/16", "169.254.169.254", False),
        ("http://169.254.169.254", "169.254.169.254", True),
        ("http://100.64.0.0/10", "100.100.100.200", False),
        ("http://[fd00::/8]", "fd00:ec2::254", False),
        ("http://[fd00:ec2::254]", "fd00:ec2::254", True),
    ],
)
def test_what_names_a_special_address(entry: str, address: str, allowed: bool) -> None:
    verdict = policy("http://name.test", entry).check_address("http", ip_address(address), 80)
    assert verdict.allowed is allowed
    assert not allowed or verdict.rule == entry


def test_a_refusal_says_what_is_missing() -> None:
    verdict = policy("http://name.test:*").check_address("http", ip_address("10.0.0.1"), 8080)
    assert verdict.rule == (
        "10.0.0.1 is a private address, which no entry of allowed_outbound_hosts names for http and port 8080"
    )


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.0.0.2", "::1", "10.1.2.3", "::ffff:127.0.0.1"]
)
@pytest.mark.parametrize(
    "entries",
    [
        (),
        ("*://*:*",),
        ("tcp://localhost:8000-8100",),
        ("tcp://127.0.0.1:8000", "udp://[::1]:8001-8003"),
        ("tcp://127.0.0.0/8:8000-8002", "*://127.0.0.2:8004", "tcp://db.internal:8003"),
        ("tcp://0.0.0.0/0:8000", "tcp://10.0.0.0/8:8000"),
    ],
)
def test_the_ports_of_a_special_address_are_those_that_pass_both_checks(
    entries: tuple[str, ...], address: str, scheme: str
) -> None:
    allowing, ip = policy(*entries), ip_address(address)
    ports = allowing.ports_of(scheme, ip)
    for port in range(7999, 8105):
        allowed = (
            allowing.check_target(scheme, address, port).allowed
            and allowing.check_address(scheme, ip, port).allowed
        )
        assert any(port in found for found in ports) == allowed
