"""What becomes of requests on the way to the application, and of responses on the way back."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime

import pytest

from tests.server.client import head
from tests.server.echo import LARGE
from tests.server.running import Running


def test_a_request_is_answered(server: Running) -> None:
    with server.connect() as connection:
        connection.send(
            head("/a%20b?c=%20d", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https")
        )
        response = connection.response()
    assert response.status == 200
    assert "date" in response.headers
    assert "server" not in response.headers
    assert (response.json["path"], response.json["query"]) == ("/a%20b", "c=%20d")
    # Nobody's word is taken for where a request comes from; that is the application's to decide.
    assert (response.json["client"], response.json["scheme"]) == ("127.0.0.1", "http")


def test_a_response_is_dated_when_it_begins(server: Running) -> None:
    path = f"/hold/dated/{id(server)}"
    with server.connect() as held, server.connect() as other:

        def date() -> datetime:
            other.send(head("/"))
            return parsedate_to_datetime(other.response().headers["date"])

        held.send(head(path))
        server.app.wait_until_seen(path)
        before = date()
        while (later := date()) == before:
            pass
        server.app.open(path)
        assert parsedate_to_datetime(held.response().headers["date"]) >= later


@pytest.mark.parametrize("step", [1, 10, 1 << 20])
def test_requests_on_one_connection(server: Running, step: int) -> None:
    with server.connect(step) as connection:
        for number in range(3):
            connection.send(head(f"/{number}", "Content-Length: 5", method="POST") + b"hello")
            assert connection.response().json["body"] == "hello"


@pytest.mark.parametrize("step", [10, 1 << 20])
def test_pipelined_requests_are_answered_in_order(server: Running, step: int) -> None:
    with server.connect(step) as connection:
        connection.send(
            head("/1")
            + head("/2", "Content-Length: 5", method="POST")
            + b"hello"
            + head("/3", "Transfer-Encoding: chunked", method="POST")
            + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
            + head("/4")
        )
        answers = [connection.response().json for _ in range(4)]
    assert [(answer["path"], answer["body"]) for answer in answers] == [
        ("/1", ""),
        ("/2", "hello"),
        ("/3", "hello"),
        ("/4", ""),
    ]


def test_trailers_do_not_become_headers(server: Running) -> None:
    with server.connect() as connection:
        connection.send(head("/", "Transfer-Encoding: chunked", method="POST"))
        connection.send(b"5\r\nhello\r\n0\r\nAuthorization: forged\r\n\r\n")
        response = connection.response()
    assert response.json["body"] == "hello"
    assert [name for name, _ in response.json["headers"]] == ["host", "transfer-encoding"]


# --- other protocols and other targets ----------------------------------------------------------


@pytest.mark.parametrize("step", [10, 1 << 20])
@pytest.mark.parametrize("protocol", ["websocket", "h2c", "x, y"])
def test_an_upgrade_is_answered_as_ordinary_http(server: Running, protocol: str, step: int) -> None:
    upgrade = (
        "Connection: Upgrade, HTTP2-Settings",
        "HTTP2-Settings: AAMA",
        f"Upgrade: {protocol}",
    )
    with server.connect(step) as connection:
        connection.send(
            head("/get", *upgrade)
            + head("/post", *upgrade, "Content-Length: 5", method="POST")
            + b"hello"
            + head("/chunked", *upgrade, "Transfer-Encoding: chunked", method="POST")
            + b"5\r\nhello\r\n0\r\n\r\n"
            + head("/last", "Connection: close")
        )
        answers = [connection.response().json for _ in range(4)]
        assert connection.read_to_end() == b""
    assert [(answer["path"], answer["body"]) for answer in answers] == [
        ("/get", ""),
        ("/post", "hello"),
        ("/chunked", "hello"),
        ("/last", ""),
    ]
    assert [name for name, _ in answers[1]["headers"]] == [
        "host",
        "connection",
        "http2-settings",
        "upgrade",
        "content-length",
    ]


@pytest.mark.parametrize(
    ("target", "path", "query", "host"),
    [
        ("http://other.test/a?b", "/a", "b", "other.test"),
        ("HTTPS://other.test:8443/", "/", "", "other.test:8443"),
        ("http://other.test", "/", "", "other.test"),
        ("http://other.test?b", "/", "b", "other.test"),
        ("/http://other.test/", "/http://other.test/", "", "example.com"),
        ("//other.test/a", "//other.test/a", "", "example.com"),
    ],
)
def test_a_target_in_absolute_form_is_taken_apart(
    server: Running, target: str, path: str, query: str, host: str
) -> None:
    with server.connect() as connection:
        connection.send(head(target))
        response = connection.response()
    assert (response.json["path"], response.json["query"]) == (path, query)
    assert [value for name, value in response.json["headers"] if name == "host"] == [host]


@pytest.mark.parametrize("hosts", [(), ("other.test", "other.test")])
def test_a_target_in_absolute_form_needs_one_host_too(
    server: Running, hosts: tuple[str, ...]
) -> None:
    """RFC 9112, section 3.2: it would not be seen any more when the target's authority stands in its place."""
    fields = "".join(f"Host: {host}\r\n" for host in hosts)
    with server.connect() as connection:
        connection.send(f"GET http://other.test/ HTTP/1.1\r\n{fields}\r\n".encode())
        connection.refusal(400, "malformed-request")


def test_http_1_0_needs_no_host_beside_a_target_in_absolute_form(server: Running) -> None:
    with server.connect() as connection:
        connection.send(b"GET http://other.test/a HTTP/1.0\r\n\r\n")
        assert ["host", "other.test"] in connection.response().json["headers"]


def test_a_target_in_asterisk_form_is_for_the_application(server: Running) -> None:
    with server.connect() as connection:
        connection.send(head("*", method="OPTIONS"))
        assert connection.response().json["path"] == "*"


@pytest.mark.parametrize(
    "target",
    ["*", "a", "example.com:80", "http://", "http:///a", "http://me@other.test/", "ftp://a/"],
)
def test_a_target_of_no_server_is_refused(server: Running, target: str) -> None:
    with server.connect() as connection:
        connection.send(head(target))
        connection.refusal(400, "malformed-request")


def test_connect_is_refused(server: Running) -> None:
    with server.connect() as connection:
        connection.send(head("other.test:443", method="CONNECT"))
        connection.refusal(501, "not-implemented")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(server: Running, garbage: bytes) -> None:
    with server.connect() as connection:
        connection.send(garbage)
        connection.refusal(400, "malformed-request")


# --- HTTP/1.0 -----------------------------------------------------------------------------------


def test_a_response_of_known_length_to_http_1_0_is_as_ever(server: Running) -> None:
    with server.connect() as connection:
        connection.send(head("/known", version="1.0"))
        response = connection.response()
        assert response.json["path"] == "/known"
        assert response.headers["connection"] == "close"
        assert connection.read_to_end() == b""


def test_a_response_of_unknown_length_to_http_1_0_ends_with_the_connection(server: Running) -> None:
    path = f"/begun/{id(server)}/1.0"
    with server.connect() as connection:
        connection.send(head(path, version="1.0"))
        response = connection.head()
        assert response.status == 200
        assert response.headers.keys() == {"date", "connection"}
        assert connection.read_exactly(5) == b"begun"
        server.app.open(path)
        assert connection.read_to_end() == b"ended"


def test_a_large_response_to_http_1_0_is_whole(server: Running) -> None:
    with server.connect() as connection:
        connection.send(head("/large", version="1.0"))
        connection.head()
        assert len(connection.read_to_end()) == LARGE


def test_a_response_to_head_of_http_1_0_ends_with_its_head(server: Running) -> None:
    path = f"/begun/{id(server)}/head"
    server.app.open(path)
    with server.connect() as connection:
        connection.send(head(path, method="HEAD", version="1.0"))
        assert connection.head().headers.keys() == {"date", "connection"}
        assert connection.read_to_end() == b""


def test_a_response_to_http_1_0_that_is_cut_short_does_not_look_whole(server: Running) -> None:
    with server.connect() as connection:
        connection.send(head("/cut", version="1.0"))
        connection.read_until(b"begun")
        with pytest.raises(ConnectionResetError):
            connection.read_to_end()


def test_a_client_of_http_1_0_is_not_told_to_continue(server: Running) -> None:
    lines = ("Expect: 100-continue", "Content-Length: 5")
    with server.connect() as connection:
        connection.send(head("/1.0", *lines, method="POST", version="1.0") + b"he")
        connection.send(b"llo")
        response = connection.response()
        assert (response.status, response.json["body"]) == (200, "hello")


def test_a_client_of_http_1_1_is_told_to_continue(server: Running) -> None:
    with server.connect() as connection:
        connection.send(head("/", "Expect: 100-continue", "Content-Length: 5", method="POST"))
        assert connection.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        connection.send(b"hello")
        assert connection.response().json["body"] == "hello"


# --- clients that go away, applications that fail -----------------------------------------------


def test_a_client_that_closes_its_sending_half_has_gone(server: Running) -> None:
    path = f"/half/{id(server)}"
    with server.connect() as connection:
        connection.send(head(path, "Content-Length: 5", method="POST") + b"he")
        connection.finish()
        server.app.wait_until_gone(path)
        assert connection.read_to_end() == b""


def test_an_aborted_response_is_broken_off(server: Running) -> None:
    with server.connect() as connection:
        connection.send(head("/abort"))
        assert connection.head().headers["content-length"] == "100"
        assert connection.read_to_end() == b"begun"


def test_a_response_of_unknown_length_that_is_cut_short_has_no_last_chunk(server: Running) -> None:
    with server.connect() as connection:
        connection.send(head("/cut"))
        assert connection.head().headers["transfer-encoding"] == "chunked"
        assert connection.read_to_end() == b"5\r\nbegun\r\n"
