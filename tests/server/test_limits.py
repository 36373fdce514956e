"""What a connection may cost before there is a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

import pytest

from tests.server.client import Connection, head
from tests.server.conftest import KINDS
from tests.server.running import LIMIT, Running


def padded_head(path: str, size: int) -> bytes:
    """A head that counts `size` bytes: the target, and four more than name and value for each field."""
    rest = size - len(path) - len("Host" + "example.com") - 4 - len("Pad") - 4
    return head(path, f"Pad: {'x' * rest}")


# --- the size of a head -------------------------------------------------------------------------


def test_a_head_may_be_as_large_as_the_limit(server: Running) -> None:
    with server.connect() as connection:
        connection.send(padded_head("/limit", LIMIT))
        assert connection.response().json["path"] == "/limit"


def test_a_head_that_is_one_byte_larger_is_refused(server: Running) -> None:
    with server.connect() as connection:
        connection.send(padded_head("/over", LIMIT + 1))
        connection.refusal(431, "headers-too-large")
    assert "/over" not in server.app.seen


LARGE = 2 * LIMIT

HEADS = {
    "header": (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"x" * LARGE, b"\r\n\r\n"),
    "name": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x" * LARGE, b": x\r\n\r\n"),
    "headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: x\r\n" * LIMIT, b"\r\n"),
    "empty headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A:\r\n" * LIMIT, b"\r\n"),
    "target": (b"GET /" + b"x" * LARGE, b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "query": (b"GET /?" + b"x" * LARGE, b" HTTP/1.1\r\nHost: a\r\n\r\n"),
}


@pytest.mark.parametrize("step", [10, 1 << 20])
@pytest.mark.parametrize("ended", [True, False], ids=["ended", "open"])
@pytest.mark.parametrize(("large", "end"), HEADS.values(), ids=HEADS)
def test_a_large_head_is_refused(
    server: Running, large: bytes, end: bytes, ended: bool, step: int
) -> None:
    before = len(server.app.seen)
    with server.connect(step) as connection:
        connection.send(large + end if ended else large)
        connection.refusal(431, "headers-too-large")
    assert len(server.app.seen) == before


@pytest.mark.parametrize("step", [10, 1 << 20])
def test_padding_counts_while_a_head_is_open(server: Running, step: int) -> None:
    with server.connect(step) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b" " * LARGE)
        connection.refusal(431, "headers-too-large")


def test_the_answer_reaches_a_client_that_is_still_sending(server: Running) -> None:
    with server.connect() as connection:
        # Far more than sockets buffer: without lingering, the client gets a reset instead.
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"x" * (8 << 20))
        connection.refusal(431, "headers-too-large")


def test_a_large_head_after_a_good_request_is_refused(server: Running) -> None:
    with server.connect(10) as connection:
        connection.send(head("/good"))
        assert connection.response().json["path"] == "/good"
        connection.send(b"".join(HEADS["header"]))
        connection.refusal(431, "headers-too-large")


def test_a_refusal_waits_for_the_response_before_it(server: Running) -> None:
    path = f"/begun/{id(server)}"
    with server.connect() as connection:
        connection.send(head(path) + b"".join(HEADS["header"]))
        connection.read_until(b"begun")
        server.app.open(path)
        assert connection.read_until(b"0\r\n\r\n") == b"\r\n5\r\nended\r\n0\r\n\r\n"
        connection.refusal(431, "headers-too-large")


def test_a_refusal_waits_for_all_responses_before_it(server: Running) -> None:
    path = f"/hold/{id(server)}"
    with server.connect() as connection:
        connection.send(head(path) + head("/second") + head("/third") + b"garbage\r\n\r\n")
        server.app.open(path)
        assert [connection.response().json["path"] for _ in range(3)] == [path, "/second", "/third"]
        connection.refusal(400, "malformed-request")


# --- the size of what frames a body -------------------------------------------------------------

FRAMES = {
    "trailer": (b"0\r\nA: ", b"x"),
    "trailers": (b"0\r\n", b"A: x\r\n"),
    "chunk extension": (b"1;", b"x"),
    "chunk length": (b"", b"0"),
}


@pytest.mark.parametrize("step", [10, 1 << 20])
@pytest.mark.parametrize(("frame", "endless"), FRAMES.values(), ids=FRAMES)
def test_what_frames_a_body_is_bounded(
    server: Running, frame: bytes, endless: bytes, step: int
) -> None:
    path = f"/{id(endless)}/{step}"
    with server.connect(step) as connection:
        connection.send(
            head(path, "Transfer-Encoding: chunked", "Expect: 100-continue", method="POST")
        )
        connection.read_until(b"100 Continue\r\n\r\n")
        connection.send(frame + endless * LARGE)
        check_unframed(connection, frame)
    server.app.wait_until_gone(path)


@pytest.mark.parametrize(("frame", "endless"), FRAMES.values(), ids=FRAMES)
def test_what_frames_the_rest_of_a_body_is_bounded(
    server: Running, frame: bytes, endless: bytes
) -> None:
    path = f"/{id(endless)}/rest"
    with server.connect() as connection:
        connection.send(head(path, "Transfer-Encoding: chunked", method="POST") + b"1\r\nx\r\n")
        # What comes in one read with a chunk is bounded by the size of a read.
        connection.send(frame + endless * (1 << 20))
        check_unframed(connection, frame)
    server.app.wait_until_gone(path)


def check_unframed(connection: Connection, frame: bytes) -> None:
    # An endless length is malformed to one parser, too large to the other.
    assert connection.response().status in ({400, 431} if frame == b"" else {431})
    assert connection.read_to_end() == b""


def test_a_broken_body_ends_the_request(server: Running) -> None:
    path = f"/broken/{id(server)}"
    with server.connect() as connection:
        connection.send(
            head(path, "Transfer-Encoding: chunked", method="POST") + b"1\r\nx\r\nzz\r\n"
        )
        connection.refusal(400, "malformed-request")
    server.app.wait_until_gone(path)


def test_a_broken_body_breaks_a_response_that_has_begun(server: Running) -> None:
    path = f"/begun/{id(server)}/broken"
    with server.connect() as connection:
        connection.send(head(path, "Transfer-Encoding: chunked", method="POST"))
        connection.read_until(b"begun")
        connection.send(b"zz\r\n")
        # Neither a clean end (an empty chunk) nor a second response in the midst of the first.
        assert connection.read_to_end() == b"\r\n"
    server.app.open(path)


# --- the time of a head -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def impatient() -> Iterator[Iterable[Running]]:
    """A server of each kind, which waits half a second for a head.

    They are tried at the same time, for each test takes that long.
    """
    with ExitStack() as started:
        yield [started.enter_context(Running(header_timeout=0.5, **KINDS[kind])) for kind in KINDS]


@pytest.fixture
def connect() -> Iterator[Callable[[Running], Connection]]:
    """`connect(server)`: a connection that is closed when the test ends."""
    with ExitStack() as opened:
        yield lambda server: opened.enter_context(server.connect())


Connect = Callable[[Running], Connection]

BEGUN = [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nA: x", head()[:-2]]


def test_a_head_that_does_not_end_is_refused(
    impatient: Iterable[Running], connect: Connect
) -> None:
    connections = []
    for server in impatient:
        for begun in BEGUN:
            connections.append(connect(server))
            connections[-1].send(begun)
    for connection in connections:
        connection.refusal(408, "request-timeout")


def test_a_second_head_that_does_not_end_is_refused(
    impatient: Iterable[Running], connect: Connect
) -> None:
    connections = [connect(server) for server in impatient]
    for connection in connections:
        connection.send(head("/first"))
    for connection in connections:
        assert connection.response().status == 200
        connection.send(b"GET /second")
    for connection in connections:
        connection.refusal(408, "request-timeout")


def test_a_connection_without_a_request_is_closed_without_a_word(
    impatient: Iterable[Running], connect: Connect
) -> None:
    for connection in [connect(server) for server in impatient]:
        assert connection.read_to_end() == b""


def test_a_head_is_not_given_more_time_for_each_byte(
    impatient: Iterable[Running], connect: Connect
) -> None:
    connections = [connect(server) for server in impatient]
    waiting = connections
    for byte in b"GET /" + b"x" * LIMIT:
        for connection in waiting:
            connection.send(bytes([byte]))
        waiting = [connection for connection in waiting if not connection.is_answered(0.01)]
    for connection in connections:
        connection.refusal(408, "request-timeout")


def test_a_request_under_way_is_not_hurried(impatient: Iterable[Running], connect: Connect) -> None:
    late = []
    under_way = []
    for server in impatient:
        held, slow = connect(server), connect(server)
        held.send(head("/hold/unhurried"))
        slow.send(head("/slow", "Content-Length: 5", method="POST") + b"h")
        under_way.append((server, held, slow))
        # Their time would be up before that of this one, which begins to wait after them.
        late.append(connect(server))
        late[-1].send(b"GET /late")
    for connection in late:
        connection.refusal(408, "request-timeout")
    for server, held, slow in under_way:
        server.app.open("/hold/unhurried")
        slow.send(b"ello")
        assert held.response().json["path"] == "/hold/unhurried"
        assert slow.response().json["body"] == "hello"
