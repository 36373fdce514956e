"""A guest that forwards both bodies: all of them arrives, at the pace of whoever is slowest."""

from collections.abc import Iterator
from typing import Final

import pytest

from tests.bindings.outbound.peer import Wire
from tests.gateway_outbound.peers import CHUNKED, Signal, StartPeer, answering, echo
from tests.routes.site import Site
from tests.routes.test_backpressure import BUFFERED, others_are_served, send_while_taken
from tests.routes.test_body import GROWTH, MIB, blocks, digest, sending

FORWARDED: Final = 64 * MIB
"""Bytes that are forwarded both ways where memory is looked at: several times what it may grow by."""

ENDLESS: Final = 1 << 40
"""Bytes that nobody could buffer, nor send while a test runs."""


@pytest.fixture(params=["proxy.test", "proxy-0-3.test"], ids=["0.2", "0.3"])
def host(request: pytest.FixtureRequest) -> str:
    """Where the guest is: one of WASI 0.2, and one of 0.3."""
    name: str = request.param
    return name


def test_a_target_is_forwarded(site: Site, start_peer: StartPeer, host: str) -> None:
    peer = start_peer(answering(lambda target: target.encode()))
    response = site.post(f"/{peer.authority}/a/b?c=d", b"", host=host)
    assert (response.status, response.body) == (200, b"/a/b?c=d")


def test_what_is_sent_comes_back_before_more_is_sent(
    site: Site, start_peer: StartPeer, host: str
) -> None:
    peer = start_peer(echo)
    with site.connect() as client:
        client.request(
            f"/{peer.authority}/", "Transfer-Encoding: chunked", method="POST", host=host
        )
        client.check_echo(b"first", b"second", b"x" * 1000)


@pytest.mark.parametrize("size", [FORWARDED])
def test_a_large_body_is_forwarded_in_constant_memory(
    site: Site, start_peer: StartPeer, size: int, host: str
) -> None:
    def received() -> Iterator[bytes]:
        for number, piece in enumerate(client.read_chunks()):
            if number % 10 == 0:
                sizes.append(site.rss())
            yield piece

    target = f"/{start_peer(echo).authority}/"
    site.post(target, bytes(4 * MIB), host=host)
    sizes = [site.rss()]
    with site.connect(step=MIB) as client:
        client.request(target, f"Content-Length: {size}", method="POST", host=host)
        with sending(client, size):
            assert client.read_head().status == 200
            assert digest(received()) == digest(blocks(size))
    assert max(sizes) - sizes[0] < GROWTH


def test_a_peer_that_does_not_read_makes_the_client_wait(
    site: Site, start_peer: StartPeer, request_id: str, host: str
) -> None:
    asked = Signal("the peer was asked")
    reads_on = Signal("the client has left")
    hung_up = Signal("the gateway closed its connection to the peer")

    async def script(wire: Wire) -> None:
        await wire.head()
        asked.set()
        await reads_on.happened()
        await wire.hung_up()
        hung_up.set()

    peer = start_peer(script)
    before = site.rss()
    with site.connect() as client:
        client.request(
            f"/{peer.authority}/",
            f"X-Request-Id: {request_id}",
            f"Content-Length: {ENDLESS}",
            method="POST",
            host=host,
        )
        asked.wait()
        assert send_while_taken(site, client, ENDLESS) < 2 * BUFFERED
        assert site.rss() - before < GROWTH
        client.reset()
    # Nobody asks the client for more while the peer takes nothing, so only now can its absence be seen.
    reads_on.set()
    hung_up.wait()
    assert site.ended(request_id)["outcome"] == "cancelled"


def test_a_client_that_does_not_read_makes_the_peer_wait(
    site: Site, start_peer: StartPeer, request_id: str, host: str
) -> None:
    hung_up = Signal("the gateway closed its connection to the peer")
    sent: list[int] = []

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(CHUNKED + b"%x\r\n" % ENDLESS)
        try:
            while True:
                await wire.send(bytes(MIB))
                sent.append(MIB)
        except ConnectionError:
            hung_up.set()

    peer = start_peer(script)
    before = site.rss()
    with site.connect() as client:
        target = f"/{peer.authority}/"
        client.request(target, f"X-Request-Id: {request_id}", host=host)
        assert client.read_head().status == 200
        others_are_served(site)
        assert site.rss() - before < GROWTH
        client.reset()
    hung_up.wait()
    assert site.ended(request_id)["outcome"] == "cancelled"
    assert sum(sent) < 2 * BUFFERED
