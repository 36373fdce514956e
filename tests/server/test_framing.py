"""What frames a request, and whether its connection can be used again after the response."""

from __future__ import annotations

import pytest

from gateway.server.http1.limits import UNREAD_BODY
from tests.server.client import head
from tests.server.running import Running

# --- lengths and codings ------------------------------------------------------------------------

FAULTY = {
    "two lengths": ("1.1", ("Content-Length: 6", "Transfer-Encoding: chunked"), 400),
    "two lengths, turned": ("1.1", ("Transfer-Encoding: chunked", "Content-Length: 6"), 400),
    "a coding of HTTP/1.0": ("1.0", ("Transfer-Encoding: chunked",), 400),
    "gzip": ("1.1", ("Transfer-Encoding: gzip, chunked",), 501),
    "gzip apart": ("1.1", ("Transfer-Encoding: gzip", "Transfer-Encoding: chunked"), 501),
    "identity": ("1.1", ("Transfer-Encoding: identity, chunked",), 501),
    "gzip alone": ("1.1", ("Transfer-Encoding: gzip",), 501),
}


@pytest.mark.parametrize(("version", "fields", "status"), FAULTY.values(), ids=FAULTY)
def test_a_body_that_can_be_read_in_two_ways_is_refused(
    server: Running, version: str, fields: tuple[str, ...], status: int
) -> None:
    before = len(server.app.seen)
    with server.connect() as connection:
        connection.send(head("/faulty", *fields, method="POST", version=version))
        connection.send(b"0\r\n\r\n" + head("/smuggled"))
        kind = {400: "malformed-request", 501: "not-implemented"}[status]
        connection.refusal(status, kind)
    assert len(server.app.seen) == before


@pytest.mark.parametrize("coding", ["chunked", "Chunked", "chunked "])
def test_chunked_alone_is_understood(server: Running, coding: str) -> None:
    with server.connect() as connection:
        connection.send(head("/chunked", f"Transfer-Encoding: {coding}", method="POST"))
        connection.send(b"5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n")
        assert connection.response().json["body"] == "hello"
        connection.send(head("/next"))
        assert connection.response().json["path"] == "/next"


@pytest.mark.parametrize("step", [1, 1 << 20])
def test_empty_lines_are_no_end_of_a_body(server: Running, step: int) -> None:
    body = b"\r\n\r\nGET /no HTTP/1.1\r\n\r\n" * 3
    with server.connect(step) as connection:
        connection.send(head("/known", f"Content-Length: {len(body)}", method="POST") + body)
        connection.send(head("/chunks", "Transfer-Encoding: chunked", method="POST"))
        connection.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) + head("/last"))
        for path, content in (("/known", body), ("/chunks", body), ("/last", b"")):
            document = connection.response().json
            assert (document["path"], document["body"]) == (path, content.decode())


# --- methods --------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 1 << 20])
@pytest.mark.parametrize(
    "method", ["GET", "PROPFIND", "MUX", "BAN", "get", "PRI", "PLAY", "SOURCE", "A!#$%&'*+-.^_`|~9"]
)
def test_the_application_is_asked_with_any_method(server: Running, method: str, step: int) -> None:
    with server.connect(step) as connection:
        for _ in range(2):
            connection.send(b"\r\n" + head("/any", "Content-Length: 2", method=method) + b"{}")
            document = connection.response().json
            assert (document["method"], document["body"]) == (method, "{}")


@pytest.mark.parametrize("method", ["", "G(T", "G\u00e9T", "x" * 2000])
def test_what_is_no_method_is_refused(server: Running, method: str) -> None:
    with server.connect() as connection:
        connection.send(head("/none", method=method))
        assert connection.response().status in {400, 431}
        assert connection.read_to_end() == b""


# --- responses that come before the end of the request ----------------------------------------------


def test_a_client_that_waits_for_a_100_learns_that_it_must_not_go_on(server: Running) -> None:
    path = f"/hold/{id(server)}/expect"
    with server.connect() as connection:
        connection.send(head(path, "Content-Length: 5", "Expect: 100-continue", method="POST"))
        server.app.open(path)
        response = connection.response()
        assert (response.status, response.headers["connection"]) == (200, "close")
        assert connection.read_to_end() == b""


def test_the_rest_of_a_small_body_is_received(server: Running) -> None:
    path = f"/hold/{id(server)}/small"
    with server.connect() as connection:
        connection.send(head(path, f"Content-Length: {UNREAD_BODY}", method="POST"))
        server.app.open(path)
        assert "connection" not in connection.response().headers
        connection.send(bytes(UNREAD_BODY) + head("/after"))
        assert connection.response().json["path"] == "/after"


def test_the_response_before_a_large_body_says_that_it_is_the_last(server: Running) -> None:
    path = f"/hold/{id(server)}/large"
    with server.connect() as connection:
        connection.send(head(path, f"Content-Length: {UNREAD_BODY + 1}", method="POST"))
        server.app.open(path)
        assert connection.response().headers["connection"] == "close"
        # It may go on sending for a while: the response must not be lost to a reset.
        connection.send(bytes(1000))
        assert connection.read_to_end() == b""


def test_a_body_of_unknown_length_is_received_to_a_bound(server: Running) -> None:
    path = f"/hold/{id(server)}/unknown"
    ended = server.app.connection_metrics.ended
    before = ended["unread_body"]
    with server.connect() as connection:
        connection.send(head(path, "Transfer-Encoding: chunked", method="POST"))
        server.app.open(path)
        assert "connection" not in connection.response().headers
        connection.send(b"%x\r\n" % (2 * UNREAD_BODY) + bytes(UNREAD_BODY + (64 << 10)))
        assert connection.read_to_end() == b""
    assert ended["unread_body"] == before + 1


@pytest.mark.parametrize("empty", [b"\r\n", b"\n", b"\r\n" * 30])
def test_empty_lines_between_requests_are_nothing(server: Running, empty: bytes) -> None:
    """Some clients send one after a body: RFC 9112, section 2.2."""
    with server.connect() as connection:
        first = head("/first", "Content-Length: 2", method="POST") + b"{}"
        connection.send(first + empty + head("/second") + empty)
        assert connection.response().json["path"] == "/first"
        assert connection.response().json["path"] == "/second"
        connection.send(head("/third"))
        assert connection.response().json["path"] == "/third"


def test_what_follows_the_last_request_does_not_cost_its_response(server: Running) -> None:
    with server.connect() as connection:
        connection.send(head("/last", "Connection: close") + head("/more") * 100)
        assert connection.response().json["path"] == "/last"
        assert connection.read_to_end() == b""
    assert "/more" not in server.app.seen
