"""Bodies of outbound requests and responses that never are in memory as a whole."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.bindings.context import Caller
from gateway.bindings.http.body import (
    BodyInputStream,
    BodyOutputStream,
    IncomingContent,
    OutgoingContent,
    Queue,
)
from gateway.bindings.http.fields import Fields
from gateway.bindings.http.outbound import (
    Exchange,
    OutboundRequests,
    ResponseHead,
    Timeouts,
    outbound_request,
)
from gateway.bindings.http.outbound.connection import MAX_EVENTS
from gateway.bindings.io import Closed, until_ready
from gateway.host.table import Resource
from gateway.host.values import Ok
from tests.bindings.outbound.component import component
from tests.bindings.outbound.guest import CLOSED, http_guest, request
from tests.bindings.outbound.peer import Peer, Wire, peer

pytestmark = pytest.mark.anyio

MIB = 1 << 20
SIZE = 64 * MIB

FLAT = 16 * MIB
"""What may be in memory of a body of `SIZE`, with the peer's own buffers and those of asyncio counted in."""


@contextmanager
def flat_memory() -> Iterator[None]:
    """Fail if more than `FLAT` bytes are allocated at any time."""
    tracemalloc.start(1)
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < FLAT


def pattern(size: int) -> Iterator[bytes]:
    """Bytes that show when a block is missing, repeated or misplaced."""
    for at in range(0, size, 65536):
        yield at.to_bytes(8, "big") * 8192


async def write_all(content: OutgoingContent, blocks: Iterator[bytes]) -> str:
    """Write blocks as a guest does, whenever there is room; returns their digest."""
    stream = BodyOutputStream(content, Resource())
    digest = hashlib.blake2b()
    for block in blocks:
        digest.update(block)
        rest = block
        while rest:
            await until_ready(stream)
            permit = stream.check_write()
            stream.write(rest[:permit])
            rest = rest[permit:]
    assert content.finish(None) is None
    return digest.hexdigest()


async def read_all(content: IncomingContent) -> str:
    """Read to the end as a guest does; returns the digest."""
    stream = BodyInputStream(content, Resource())
    digest = hashlib.blake2b()
    while True:
        await until_ready(stream)
        try:
            digest.update(stream.read(65536))
        except Closed:
            return digest.hexdigest()


def post(requests: OutboundRequests, server: Peer) -> tuple[Exchange, OutgoingContent]:
    """Begin to send a body of unknown length."""
    content = OutgoingContent(Queue(), None, "HTTP-request-body-size")
    made = outbound_request(
        method="POST",
        scheme="http",
        authority=server.authority,
        path_with_query="/",
        headers=Fields(),
        content=content,
        timeouts=Timeouts(),
    )
    return requests.send(made), content


async def response_of(exchange: Exchange) -> ResponseHead:
    while exchange.result is None:
        waiter = asyncio.get_running_loop().create_future()
        exchange.waiters.watch(waiter)
        await waiter
    assert isinstance(exchange.result, ResponseHead), exchange.result
    return exchange.result


async def echo(wire: Wire) -> None:
    """A script that sends back what it gets, chunk by chunk."""
    await wire.head()
    await wire.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    async for chunk in wire.chunks():
        await wire.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
    await wire.trailers()
    await wire.send(b"0\r\n\r\n")


async def test_both_ways_at_once_nothing_is_lost_and_memory_is_flat() -> None:
    async with component() as client, peer(echo) as server:
        requests = client.invocation(Caller(client.component, "request-1"))
        with flat_memory():
            exchange, content = post(requests, server)
            writing = asyncio.create_task(write_all(content, pattern(SIZE)))
            response = await response_of(exchange)
            received = await read_all(response.content)
            assert await writing == received
        await server.finished()


async def test_what_the_server_does_not_take_waits_with_the_guest() -> None:
    """The guest finds no room, and finds some as soon as the server reads on."""
    reading = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await reading.wait()
        async for _ in wire.chunks():
            pass
        await wire.trailers()
        await wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def full(content: OutgoingContent) -> bool:
        """Whether nobody takes what was written, over many turns of the loop."""
        for _ in range(1000):
            await asyncio.sleep(0)
            if content.check_write():
                return False
        return True

    async with component() as client, peer(script) as server:
        exchange, content = post(client.invocation(Caller(client.component, "request-1")), server)
        with flat_memory():
            # More than the buffers of the kernel hold.
            while not await full(content):
                content.write(bytes(content.check_write()))
                assert content.written < SIZE
            reading.set()
            await until_ready(BodyOutputStream(content, Resource()))
            content.finish(None)
            assert (await response_of(exchange)).status == 204


async def test_chunk_by_chunk_each_side_sees_what_the_other_says() -> None:
    """A dialogue in one exchange: no byte waits for the next."""

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        async for chunk in wire.chunks():
            await wire.send(b"%x\r\n%b\r\n" % (len(chunk) + 1, chunk + b"!"))
        await wire.trailers()
        await wire.send(b"0\r\n\r\n")

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        made = await guest.own(request(server.authority, method="POST"))
        body, stream = await guest.open_body(made)
        _, response = await guest.consume(await guest.fetch(made))
        for word in (b"one", b"two", b"three"):
            await guest.write(stream, word)
            assert (await guest.read(response)).value == word + b"!"
        await guest.finish(body, stream)
        assert await guest.read(response) == CLOSED


async def test_a_response_in_tiny_chunks_does_not_hold_up_the_loop() -> None:
    """However much of it has arrived at once, others get their turn between a few of its chunks."""
    chunks = 60_000

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        await wire.send(b"1\r\nx\r\n" * chunks + b"0\r\n\r\n")

    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        response = await guest.fetch(request(server.authority))
        body = (await guest.call("incoming-response.consume", response)).value
        task = asyncio.create_task(others())
        # Nobody reads: what is counted are the turns that receiving takes.
        assert await guest.trailers(body) == Ok(None)
        task.cancel()
    assert turns > chunks // (2 * MAX_EVENTS)


async def test_a_proxy_of_two_exchanges() -> None:
    """What one server sends goes to another as the guest moves it, by `splice`."""
    size = 8 * MIB
    digest = hashlib.blake2b()

    async def source(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        for block in pattern(size):
            await wire.send(block)

    async def sink(wire: Wire) -> None:
        await wire.head()
        async for chunk in wire.chunks():
            digest.update(chunk)
        await wire.trailers()
        await wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with (
        component() as client,
        peer(source) as first,
        peer(sink) as second,
        http_guest(client) as guest,
    ):
        made = await guest.own(request(second.authority, method="POST"))
        body, output = await guest.open_body(made)
        future = await guest.begin(made)
        _, input_ = await guest.consume(await guest.fetch(request(first.authority)))
        splice = "streams#output-stream.blocking-splice"
        while (moved := await guest.driven.call(splice, output, input_, 65536)) != CLOSED:
            assert moved.value
        await guest.finish(body, output)
        assert await guest.status((await guest.outcome(future)).value) == 204
    assert digest.digest() == hashlib.blake2b(b"".join(pattern(size))).digest()
