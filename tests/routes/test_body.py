"""Bodies: whole, in pieces, both ways at once, and what a guest does when its response is over."""

import hashlib
import random
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from tests.routes.site import Site
from tests.routes.wire import Client

MIB = 1 << 20

ECHOED = 64 * MIB
"""Bytes that are echoed where memory is looked at: several times what it may grow by."""

GROWTH = 24 * MIB
"""Bytes that a gateway may grow by while a body of any size passes through: what buffers hold, and slack."""


@pytest.mark.parametrize("size", [0, 1, 4096, 65536, 65537, MIB + 1])
def test_a_body_of_known_length_is_echoed(site: Site, size: int) -> None:
    body = random.Random(size).randbytes(size)  # noqa: S311 - any bytes will do
    response = site.post("/echo", body)
    assert (response.status, response.body == body) == (200, True)


@pytest.mark.parametrize("size", [0, 1, 4096, 65536, 65537, MIB + 1])
def test_a_body_of_unknown_length_is_echoed(site: Site, size: int) -> None:
    body = random.Random(size).randbytes(size)  # noqa: S311 - any bytes will do
    with site.connect() as client:
        client.request("/echo", "Transfer-Encoding: chunked", method="POST")
        for start in range(0, size, 10_000):
            client.send_chunk(body[start : start + 10_000])
        client.send_chunk(b"")
        assert client.response().body == body
        assert client.post("/echo", b"next").body == b"next"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_request_without_body_has_an_empty_one(site: Site, method: str) -> None:
    with site.connect() as client:
        client.request("/echo", method=method)
        assert client.response().body == b""


def test_a_body_arrives_a_byte_at_a_time(site: Site) -> None:
    with site.connect(step=1) as client:
        assert client.post("/echo", b"a few bytes").body == b"a few bytes"


def test_a_client_that_expects_100_is_told_to_go_on(site: Site) -> None:
    with site.connect() as client:
        client.request(
            "/echo", "Expect: 100-continue", "Content-Length: 5", method="POST", version="1.1"
        )
        assert client.read_head().status == 100
        client.send(b"hello")
        assert client.response().body == b"hello"


# --- both ways at once ---------------------------------------------------------------------------


def test_what_is_sent_comes_back_before_more_is_sent(site: Site) -> None:
    with site.connect() as client:
        client.request("/echo", "Transfer-Encoding: chunked", method="POST")
        client.check_echo(b"first", b"second", b"x" * 1000)


def test_what_is_written_is_seen_before_the_guest_writes_on(site: Site) -> None:
    with site.connect() as client:
        # The second chunk would be written a minute later.
        client.request("/slow?n=2&ms=60000")
        assert client.read_head().status == 200
        assert client.read_chunk() == b"chunk\n"
        # Without this, the gateway would wait for the guest when it is stopped.
        client.reset()


def test_what_is_written_in_pieces_arrives_in_order(site: Site) -> None:
    assert site.get("/slow?n=5&ms=1").body == b"chunk\n" * 5


def blocks(size: int) -> Iterator[bytes]:
    """Random bytes, the same each time."""
    source = random.Random(size)  # noqa: S311 - any bytes will do
    for start in range(0, size, MIB):
        yield source.randbytes(min(MIB, size - start))


@contextmanager
def sending(client: Client, size: int) -> Iterator[None]:
    """Sends `blocks` in a thread, for as long as that takes."""

    def run() -> None:
        for block in blocks(size):
            client.send(block)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()


def digest(pieces: Iterable[bytes]) -> bytes:
    whole = hashlib.sha256()
    for piece in pieces:
        whole.update(piece)
    return whole.digest()


@pytest.mark.parametrize("size", [ECHOED])
def test_a_large_body_passes_through_constant_memory(site: Site, size: int) -> None:
    def received() -> Iterator[bytes]:
        for number, chunk in enumerate(client.read_chunks()):
            if number % 10 == 0:
                sizes.append(site.rss())
            yield chunk

    site.post("/echo", bytes(4 * MIB))
    sizes = [site.rss()]
    with site.connect(step=MIB) as client:
        client.request("/echo", f"Content-Length: {size}", method="POST")
        with sending(client, size):
            assert client.read_head().status == 200
            assert digest(received()) == digest(blocks(size))
    assert max(sizes) - sizes[0] < GROWTH


# --- after the response --------------------------------------------------------------------------


def test_a_guest_works_on_after_its_response(site: Site, request_id: str) -> None:
    with site.connect() as client:
        response = client.get("/sleep-after?ms=50", f"X-Request-Id: {request_id}")
        assert response.body == b"answered\n"
        # Its connection serves others meanwhile.
        assert client.get("/hello").status == 200
    output, ended = site.story(request_id)
    assert output["line"] == "worked on after the response"
    assert (ended["status"], ended["outcome"]) == (200, "ok")


def test_a_response_is_over_before_its_guest_is(site: Site, request_id: str) -> None:
    # This guest never comes to its end.
    given = (f"X-Request-Id: {request_id}",)
    response = site.get("/sleep-after?ms=60000", *given, host="hurried.test")
    assert response.body == b"answered\n"
    stopped, ended = site.story(request_id)
    assert stopped["event"] == "invocation stopped"
    assert (ended["status"], ended["outcome"]) == (200, "deadline")


def test_a_guest_works_on_when_its_client_has_left_with_the_response(
    site: Site, request_id: str
) -> None:
    with site.connect() as client:
        client.get("/sleep-after?ms=50", f"X-Request-Id: {request_id}")
        client.reset()
    output, ended = site.story(request_id)
    assert output["line"] == "worked on after the response"
    assert ended["outcome"] == "ok"


def test_a_body_that_nobody_reads_is_no_obstacle(site: Site) -> None:
    with site.connect() as client:
        client.request("/sleep?ms=1", "Content-Length: 200000", method="POST")
        assert client.response().body == b"slept\n"
        client.send(bytes(200_000))
        assert client.get("/hello").status == 200


def test_a_large_body_that_nobody_reads_ends_the_connection(site: Site) -> None:
    with site.connect(step=MIB) as client:
        client.request("/sleep?ms=1", f"Content-Length: {MIB}", method="POST")
        with sending(client, MIB):
            response = client.response()
            assert (response.body, response["connection"]) == (b"slept\n", "close")
            assert client.read_to_end() == b""


def test_a_connection_goes_on_after_a_large_body_that_is_read_beside_the_response(
    site: Site,
) -> None:
    piece = 64 << 10
    with site.connect() as client:
        client.request("/echo", f"Content-Length: {16 * piece}", method="POST")
        head = client.read_head()  # before any of the body was sent
        assert "connection" not in head
        for number in range(16):
            sent = bytes((number,)) * piece
            client.send(sent)
            received = b""
            while len(received) < piece:
                received += client.read_chunk()
            assert received == sent
        assert client.read_chunk() == b""
        assert client.get("/hello").body == b"Hello, World!\n"
