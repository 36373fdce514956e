"""`fetch` in JavaScript, as guests of StarlingMonkey use it."""

import asyncio
from typing import Final
from urllib.parse import urlencode

import pytest

from tests.bindings.outbound.peer import Peer, Wire
from tests.gateway_outbound.peers import (
    CHUNKED,
    Signal,
    StartPeer,
    answering,
    chunk,
    echo,
    target_of,
    text,
)
from tests.routes.site import Site

AT_ONCE: Final = 8
"""Requests of one invocation at the same time."""


def query(*peers: Peer, path: str = "/") -> str:
    """The parameters that name URLs."""
    return urlencode([("url", f"http://{peer.authority}{path}") for peer in peers])


def test_a_response_is_fetched(site: Site, start_peer: StartPeer) -> None:
    peer = start_peer(answering(lambda target: f"you asked for {target}".encode()))
    response = site.get(f"/get?{query(peer, path='/a?b=c%20d')}")
    assert response.json == {"status": 200, "text": "you asked for /a?b=c%20d"}


@pytest.mark.parametrize("status", [404, 500])
def test_a_response_with_an_error_status_is_a_response(
    site: Site, start_peer: StartPeer, status: int
) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(text(b"no", f"{status} Because"))

    peer = start_peer(script)
    assert site.get(f"/get?{query(peer)}").json == {"status": status, "text": "no"}


def test_requests_are_sent_at_once(site: Site, start_peer: StartPeer) -> None:
    all_here = asyncio.Barrier(AT_ONCE)

    async def script(wire: Wire) -> None:
        target = target_of(await wire.head())
        # Nobody is answered before everybody has asked.
        await all_here.wait()
        await wire.send(text(target.encode()))

    peer = start_peer(script)
    urls = [("url", f"http://{peer.authority}/{number}") for number in range(AT_ONCE)]
    response = site.get(f"/all?{urlencode(urls)}")
    assert response.json == [{"status": 200, "text": f"/{number}"} for number in range(AT_ONCE)]
    assert peer.connections == AT_ONCE


def test_a_response_is_handed_on_while_it_comes(site: Site, start_peer: StartPeer) -> None:
    first_arrived = Signal("the client had the first chunk")

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(CHUNKED + chunk(b"first"))
        await first_arrived.happened()
        await wire.send(chunk(b"second") + chunk(b""))

    with site.connect() as client:
        client.request(f"/pipe?{query(start_peer(script))}")
        assert client.read_head().status == 200
        assert client.read_chunk() == b"first"
        first_arrived.set()
        assert b"".join(client.read_chunks()) == b"second"


def test_a_request_is_handed_on_while_it_comes(site: Site, start_peer: StartPeer) -> None:
    first_arrived = Signal("the peer had the first chunk")

    async def script(wire: Wire) -> None:
        await wire.head()
        chunks = wire.chunks()
        content = await anext(chunks)
        first_arrived.set()
        content += b"".join([data async for data in chunks])
        await wire.send(text(content))

    with site.connect() as client:
        target = f"/proxy?{query(start_peer(script))}"
        client.request(target, "Transfer-Encoding: chunked", method="POST")
        client.send_chunk(b"first, ")
        first_arrived.wait()
        client.send_chunk(b"second")
        client.send_chunk(b"")
        assert client.response().body == b"first, second"


@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_a_body_is_proxied(site: Site, start_peer: StartPeer, size: int) -> None:
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    response = site.post(f"/proxy?{query(start_peer(echo))}", body)
    assert (response.status, response.body == body) == (200, True)
