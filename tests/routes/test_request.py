"""A request reaches the guest as it was sent."""

import pytest

from gateway.http.gateway_fields import RESERVED
from tests.routes.asked import PROBE, ask
from tests.routes.site import Site


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/a/b",
        "/a%20b",
        "/a%2Fb",
        "/a%2fb",
        "/%7Euser",
        "/%E4%BD%A0",
        "/%ff",
        "/%00",
        "/a//b",
        "//a/b",
        "/a/../b/./c",
        "/a;b=c/d",
        "/a:b@c!$&'()*+,=~",
        "/a?b=c&d=e",
        "/a?b=%2F+%20",
        "/a??b?",
        "/?b",
        "/?",
        "/a?",
        "/a?/b#c".removesuffix("#c"),
    ],
)
def test_path_and_query_are_as_sent(probe_site: Site, target: str) -> None:
    assert ask(probe_site, target).target == target


@pytest.mark.parametrize(
    ("method", "case"),
    [
        ("GET", "Method_Get"),
        ("POST", "Method_Post"),
        ("PUT", "Method_Put"),
        ("DELETE", "Method_Delete"),
        ("OPTIONS", "Method_Options"),
        ("TRACE", "Method_Trace"),
        ("PATCH", "Method_Patch"),
        ("PROPFIND", {"Method_Other": "PROPFIND"}),
        ("M-SEARCH", {"Method_Other": "M-SEARCH"}),
    ],
)
def test_the_method_is_as_sent(probe_site: Site, method: str, case: object) -> None:
    assert ask(probe_site, method=method).method == case


def test_headers_are_as_sent_in_order_and_with_repeats(probe_site: Site) -> None:
    asked = ask(
        probe_site,
        "/",
        "X-B: 1",
        "x-a: first",
        "X-b: 2",
        "X-Empty:",
        "X-A:   second, third \t",
        "Cookie: a=b",
        "Cookie: c=d",
        "X-Latin: caf\xe9",
        "TE: trailers",
        "Expect: nothing",
    )
    assert asked.headers == [
        ("x-b", "1"),
        ("x-a", "first"),
        ("x-b", "2"),
        ("x-empty", ""),
        ("x-a", "second, third"),
        ("cookie", "a=b"),
        ("cookie", "c=d"),
        ("x-latin", "caf\xe9"),
        ("te", "trailers"),
        ("expect", "nothing"),
    ]


def test_headers_of_the_connection_are_not_the_guest_s(probe_site: Site) -> None:
    asked = ask(
        probe_site,
        "/",
        "Connection: keep-alive,, X-Named",
        "Connection: te ,x-other",
        "X-Named: 1",
        "X-Other: 1",
        "X-Other: 2",
        "TE: trailers",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic YTpi",
        "Proxy-Authenticate: Basic",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        "X-Kept: 1",
    )
    assert asked.headers == [("x-kept", "1")]


def test_a_client_cannot_take_away_what_is_for_everyone(probe_site: Site) -> None:
    headers = [
        ("x-forwarded-for", "10.1.2.3"),
        ("forwarded", "for=10.1.2.3"),
        ("authorization", "Basic YTpi"),
        ("content-type", "text/plain"),
        ("cookie", "a=b"),
    ]
    names = ", ".join(name for name, _ in headers)
    lines = [f"{name}: {value}" for name, value in headers]
    asked = ask(probe_site, "/", f"Connection: Host, {names}", *lines)
    assert asked.headers == headers
    assert asked.authority == "gateway.test"


def test_transfer_encoding_is_not_the_guest_s(probe_site: Site) -> None:
    with probe_site.connect() as client:
        client.request("/", *PROBE, "Transfer-Encoding: chunked", method="POST")
        client.send_chunk(b"")
        answer = client.response().json["ok"]
    names = {name.encode() for name, _ in answer["headers"]}
    assert names - RESERVED == {b"probe-source"}


@pytest.mark.parametrize(
    "host",
    ["gateway.test", "gateway.test:8080", "GateWay.Test", "10.0.0.1", "[::1]", "[::1]:443", "a_b"],
)
def test_the_authority_is_the_host_as_sent(probe_site: Site, host: str) -> None:
    asked = ask(probe_site, host=host)
    assert (asked.authority, asked.scheme) == (host, "Scheme_Http")


def test_whitespace_around_the_host_is_no_part_of_it(probe_site: Site) -> None:
    assert ask(probe_site, host=" \tgateway.test \t").authority == "gateway.test"


def test_the_authority_of_an_absolute_target_goes_before_the_host(probe_site: Site) -> None:
    asked = ask(probe_site, "http://other.test:81/a?b")
    assert (asked.target, asked.authority) == ("/a?b", "other.test:81")


@pytest.mark.parametrize(
    ("target", "scheme"), [("https://a.test/", "Scheme_Https"), ("HTTP://a.test/", "Scheme_Http")]
)
def test_the_scheme_of_an_absolute_target_is_the_request_s(
    probe_site: Site, target: str, scheme: str
) -> None:
    with probe_site.connect() as client:
        seen = []
        for each in (target, "/"):
            client.request(each, *PROBE)
            seen.append(client.response().json["ok"]["scheme"])
    assert seen == [scheme, "Scheme_Http"]  # it is not that of the connection


def test_a_request_of_http_1_0_needs_no_host(probe_site: Site) -> None:
    asked = ask(probe_site, host=None, version="1.0")
    assert asked.authority == f"127.0.0.1:{probe_site.port}"


@pytest.mark.parametrize("hosts", [(), ("a.test", "a.test"), ("a.test", "b.test")])
def test_another_number_of_hosts_is_refused(probe_site: Site, hosts: tuple[str, ...]) -> None:
    with probe_site.connect() as client:
        client.request("/", *[f"Host: {host}" for host in hosts], host=None)
        assert client.response().status == 400


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    "host", ["", "a b", "a/b", "me@a.test", "a.test:", "a.test:x", "a.test:70000", "[::1", "a,b c"]
)
def test_a_host_that_is_none_is_refused(probe_site: Site, host: str, version: str) -> None:
    with probe_site.connect() as client:
        client.request("/", host=host, version=version)
        response = client.response()
    assert response.status == 400
    assert response["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "header", ["Forwarded: for=1.2.3.4;proto=https;host=a.test", "X-Forwarded-Host: a.test"]
)
def test_nobody_s_word_is_taken_for_where_a_request_went(probe_site: Site, header: str) -> None:
    asked = ask(probe_site, "/", header, "X-Forwarded-Proto: https")
    assert (asked.scheme, asked.authority) == ("Scheme_Http", "gateway.test")
    assert asked.headers[0] == tuple(header.lower().split(": ", 1))
