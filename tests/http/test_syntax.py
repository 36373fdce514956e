"""RFC 3986, RFC 9110: the syntax of what a guest or a proxy may name."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http import syntax as http_syntax

TCHAR = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# None of these may be in any part of a request line or of a field value that is built from parts.
INJECTIONS = ["\r", "\n", "\r\n", "\0", " ", "\t", "\x7f", "\x0b", "\u2028", "é"]


def test_tokens_have_the_characters_of_the_grammar_and_no_others() -> None:
    accepted = {chr(code) for code in range(0x250) if http_syntax.is_token(chr(code))}
    assert accepted == set(TCHAR)


@given(st.text(TCHAR, min_size=1))
def test_any_sequence_of_token_characters_is_a_token_and_a_method(text: str) -> None:
    assert http_syntax.is_token(text)
    assert http_syntax.is_method(text)


@pytest.mark.parametrize("method", ["GET", "get", "PROPFIND", "M-SEARCH", "x"])
def test_methods(method: str) -> None:
    assert http_syntax.is_method(method)


@pytest.mark.parametrize(
    "method", ["", "bad method", "GET ", "GET\r\nHost: x", "GET/", "(", "ÄNDERN"]
)
def test_invalid_methods(method: str) -> None:
    assert not http_syntax.is_method(method)


@pytest.mark.parametrize("name", ["a", "a-b.example", "_sip._tcp.example", "1.2", "a." * 126 + "a"])
def test_host_names(name: str) -> None:
    assert http_syntax.is_host_name(name)


@pytest.mark.parametrize(
    "name", ["", "a.", ".a", "a..b", "-a", "a-.b", "A", "é", "a b", "a" * 64, "a." * 127, "a\n"]
)
def test_invalid_host_names(name: str) -> None:
    assert not http_syntax.is_host_name(name)


@pytest.mark.parametrize("scheme", ["http", "HTTPS", "a", "coap+tcp", "z39.50r", "x-y"])
def test_schemes(scheme: str) -> None:
    assert http_syntax.is_scheme(scheme)


@pytest.mark.parametrize("scheme", ["", "1http", "+a", "-", "http:", "ht tp", "bad\nscheme", "ı"])
def test_invalid_schemes(scheme: str) -> None:
    assert not http_syntax.is_scheme(scheme)


@pytest.mark.parametrize(
    "authority",
    [
        "example.com",
        "example.com:443",
        "EXAMPLE.com.",
        "localhost:0",
        "localhost:65535",
        "localhost:00080",
        "127.0.0.1",
        "127.0.0.1:80",
        "[::]",
        "[::]:443",
        "[::1]",
        "[2001:DB8::1]:8080",
        "[::ffff:192.0.2.1]",
        "[v1.fe80::a+en1]",
        "xn--bcher-kva.example",
        "a_b.example",
        "sub-delims!$&'()*+,;=",
        "%C3%A9.example",
        "~",
    ],
)
def test_authorities(authority: str) -> None:
    assert http_syntax.is_authority(authority)


@pytest.mark.parametrize(
    "authority",
    [
        "",
        ":80",
        "example.com:",
        "example.com:abc",
        "example.com:-1",
        "example.com:+1",
        "example.com:65536",
        "example.com:99999999999999999999",
        "example.com:٣",
        "too-many-ports:80:80:80",
        "::1",
        "[]",
        "[::1",
        "::1]",
        "[::1]:",
        "[::1]:abc",
        "[::1]80",
        "[::1]:65536",
        "[1::2::3]",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[127.0.0.1]",
        "[v.x]",
        "user@example.com",
        "user:password@example.com",
        "example.com/path",
        "example.com?query",
        "example.com#fragment",
        "http://example.com",
        "a\\b",
        "<host>",
        "a|b",
        "%",
        "%4",
        "%zz",
    ],
)
def test_invalid_authorities(authority: str) -> None:
    assert not http_syntax.is_authority(authority)


@given(st.ip_addresses(v=6), st.integers(0, 65535))
def test_every_ipv6_address_is_a_host_in_brackets_only(address: IPv6Address, port: int) -> None:
    assert http_syntax.is_authority(f"[{address}]")
    assert http_syntax.is_authority(f"[{address}]:{port}")
    assert not http_syntax.is_authority(f"{address}:{port}")


@pytest.mark.parametrize(
    "path_with_query",
    [
        "",
        "/",
        "*",
        "?",
        "?q=1",
        "/a/b;c=d,e@f:g/",
        "//a",
        "/%2F%e9",
        "/?a=b&c=d/?",
        "/!$&'()*+,;=:@-._~",
        # What the URL Standard leaves bare, and browsers send.
        "/?{a}|b^`\\[0]",
        "/100%",
    ],
)
def test_paths_with_query(path_with_query: str) -> None:
    assert http_syntax.is_path_with_query(path_with_query)


@pytest.mark.parametrize(
    "path_with_query",
    [
        "a",
        "a/b",
        "http://host/",
        "/#fragment",
        "/?a#b",
        '/"',
        "/<",
        "/>",
        "**",
        "*?a",
        "/é",
        "/bad\npath",
    ],
)
def test_invalid_paths_with_query(path_with_query: str) -> None:
    assert not http_syntax.is_path_with_query(path_with_query)


@pytest.mark.parametrize("injection", INJECTIONS)
@pytest.mark.parametrize("template", ["{}", "{}a", "a{}", "a{}b"])
def test_nothing_accepts_white_space_control_characters_or_other_scripts(
    injection: str, template: str
) -> None:
    text = template.format(injection)
    assert not http_syntax.is_token(text)
    assert not http_syntax.is_method(text)
    assert not http_syntax.is_scheme(text)
    assert not http_syntax.is_authority(text)
    assert not http_syntax.is_authority(f"host:80{injection}")
    assert not http_syntax.is_path_with_query(f"/{text}")
    assert not http_syntax.is_path_with_query(f"/?{text}")


@given(st.text())
def test_what_is_accepted_is_visible_ascii(text: str) -> None:
    if http_syntax.is_authority(text) or http_syntax.is_path_with_query(text):
        assert all("!" <= character <= "~" for character in text)


@pytest.mark.parametrize("status_code", [100, 101, 200, 204, 304, 404, 599, 600, 999])
def test_status_codes(status_code: int) -> None:
    assert http_syntax.is_status_code(status_code)


@pytest.mark.parametrize("status_code", [-200, 0, 1, 99, 1000, 65535])
def test_invalid_status_codes(status_code: int) -> None:
    assert not http_syntax.is_status_code(status_code)
