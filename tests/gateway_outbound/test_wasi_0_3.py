"""Requests that a guest of WASI 0.3 sends, beside those that it passes on (`test_proxy`)."""

import asyncio
from threading import Barrier
from typing import Final

import pytest

from tests.bindings.outbound.peer import Wire
from tests.gateway_outbound.peers import (
    CHUNKED,
    Signal,
    Stalling,
    StartPeer,
    answering,
    chunk,
    echo,
    refusing,
    text,
)
from tests.harness import PATIENCE
from tests.routes.site import Site
from tests.routes.test_body import MIB
from tests.routes.wire import BrokenBody

HOST: Final = "proxy-0-3.test"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_is_sent_on_as_it_came_and_its_response_returned(
    site: Site, start_peer: StartPeer, method: str
) -> None:
    peer = start_peer(answering(lambda target: f"{method} {target}".encode()))
    with site.connect() as client:
        client.request(f"/f{peer.authority}/a?b", "Content-Length: 4", method=method, host=HOST)
        client.send(b"body")
        response = client.response()
    assert (response.status, response.body) == (200, f"{method} /a?b".encode())


def test_a_body_is_sent_on_as_it_comes(site: Site, start_peer: StartPeer) -> None:
    peer = start_peer(echo)
    with site.connect() as client:
        client.request(
            f"/f{peer.authority}/", "Transfer-Encoding: chunked", method="POST", host=HOST
        )
        assert client.read_head().status == 200
        for piece in (b"first", b"second", b"x" * 100_000):
            client.send_chunk(piece)
            read = b""
            while len(read) < len(piece):
                read += client.read_chunk()
            assert read == piece
        client.send_chunk(b"")
        assert client.read_chunk() == b""


@pytest.mark.parametrize("way", ["", "f"], ids=["in-one-of-its-own", "as-it-is"])
def test_the_status_and_headers_of_a_response_are_passed_on(
    site: Site, start_peer: StartPeer, way: str
) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 418 no\r\ncontent-length: 3\r\nx-tea: pot\r\n\r\ntea")

    peer = start_peer(script)
    response = site.get(f"/{way}{peer.authority}/", host=HOST)
    assert (response.status, response["x-tea"], response.body) == (418, "pot", b"tea")


@pytest.mark.parametrize("way", ["", "f"], ids=["in-one-of-its-own", "as-it-is"])
def test_a_response_that_breaks_off_never_looks_whole(
    site: Site, start_peer: StartPeer, request_id: str, way: str
) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(CHUNKED + chunk(b"some") + b"a\r\n")

    target = f"/{way}{start_peer(script).authority}/"
    try:
        status = site.get(target, f"X-Request-Id: {request_id}", host=HOST).status
    except BrokenBody:  # it had begun
        status = 500
    assert status == 500
    assert site.ended(request_id)["outcome"] == "err"


def test_several_are_under_way_at_once(site: Site, start_peer: StartPeer) -> None:
    together = Barrier(4)

    async def script(wire: Wire) -> None:
        await wire.head()
        await asyncio.to_thread(together.wait, PATIENCE)
        await wire.send(text(b"hello"))

    assert site.get(f"/m{start_peer(script).authority}/", host=HOST).status == 200


def test_the_guest_hears_that_a_request_was_sent(site: Site, start_peer: StartPeer) -> None:
    peer = start_peer(answering(str.encode))
    assert site.get(f"/w{peer.authority}/told", host=HOST).body == b"/told"


@pytest.mark.parametrize("way", ["d", "p"], ids=["whole", "rest"])
def test_a_response_that_is_dropped_is_cancelled(
    site: Site, start_peer: StartPeer, way: str
) -> None:
    hung_up = Signal("the gateway closed its connection to the peer")

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(CHUNKED + chunk(b"some"))
        await wire.hung_up()
        hung_up.set()

    assert site.get(f"/{way}{start_peer(script).authority}/", host=HOST).status == 200
    hung_up.wait()


def test_a_subtask_that_is_cancelled_ends_its_request(site: Site, start_peer: StartPeer) -> None:
    script = Stalling()
    peer = start_peer(script)
    with site.connect() as client:
        client.request(f"/c{peer.authority}/", "Content-Length: 4", method="POST", host=HOST)
        script.reached.wait()
        client.send(b"body")
        assert client.response().status == 200
    script.hung_up.wait()


def test_a_client_that_leaves_ends_the_request(
    site: Site, start_peer: StartPeer, request_id: str
) -> None:
    script = Stalling()
    peer = start_peer(script)
    with site.connect() as client:
        client.request(f"/{peer.authority}/", f"X-Request-Id: {request_id}", host=HOST)
        script.reached.wait()
    script.hung_up.wait()
    assert site.ended(request_id)["outcome"] == "cancelled"


def test_the_deadline_ends_the_request(site: Site, start_peer: StartPeer, request_id: str) -> None:
    script = Stalling()
    peer = start_peer(script)
    target = f"/{peer.authority}/"
    response = site.get(target, f"X-Request-Id: {request_id}", host="hurried-0-3.test")
    assert response.status == 504
    script.hung_up.wait()
    assert site.ended(request_id)["outcome"] == "deadline"


@pytest.mark.parametrize(
    ("way", "authority", "status"),
    [
        ("", "localhost:1", 403),  # the policy allows no names
        ("f", "localhost:1", 403),
        ("", "refusing", 502),
        ("o", "stalling", 504),
    ],
    ids=["denied", "denied-as-it-is", "refused", "late"],
)
def test_an_error_is_the_guests(
    site: Site, start_peer: StartPeer, way: str, authority: str, status: int
) -> None:
    with refusing() as nobody:
        named = {"refusing": nobody, "stalling": start_peer(Stalling()).authority}
        authority = named.get(authority, authority)
        response = site.post(f"/{way}{authority}/", bytes(MIB), host=HOST)
    assert response.status == status
    assert response.json["type"].endswith("component-error")
