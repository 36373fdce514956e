"""wasi:sockets: what a guest may ask to be resolved."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bindings.sockets.error_code import ErrorCode, SocketError
from gateway.bindings.sockets.host_name import parse


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("localhost", "localhost"),
        ("Example.COM", "example.com"),
        ("example.com.", "example.com."),
        ("a-b.c_d.example", "a-b.c_d.example"),
        ("123.example", "123.example"),
        ("example.123abc", "example.123abc"),
        ("münchen.de", "xn--mnchen-3ya.de"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("x" * 63, "x" * 63),
        (".".join(["x" * 49] * 5) + ".x12", ".".join(["x" * 49] * 5) + ".x12"),
    ],
)
def test_names(text: str, name: str) -> None:
    assert parse(text) == name


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("[::FFFF:7f00:1]", "127.0.0.1"),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert parse(text) == ip_address(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "a..b",
        ".example.com",
        "example.com..",
        "exa mple.com",
        "example.com\n",
        "a\0b",
        "a.b<&>",
        "example.com:80",
        "127.0.0.1:80",
        "[::]:80",
        "[127.0.0.1]",
        "[::1",
        "http://example.com/",
        "user@example.com",
        "127.1",
        "127.0.0.1.",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "2130706433",
        "1.2.3.4.5",
        "256.0.0.1",
        "1２7.0.0.1",
        "fe80::1%eth0",
        "[fe80::1%1]",
        "x" * 64,
        "ü" * 63,
        ".".join(["x" * 49] * 5) + ".x123",
        "x" * 100_000,
        "ü" * 100_000,
        "\u2100",
    ],
)
def test_neither(text: str) -> None:
    with pytest.raises(SocketError) as refused:
        parse(text)
    assert refused.value.code is ErrorCode.INVALID_ARGUMENT


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with suppress(SocketError):
        parsed = parse(text)
        # What a policy is asked about is what is looked up.
        assert not isinstance(parsed, str) or parse(parsed) == parsed
