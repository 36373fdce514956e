"""What a client sends faster than it is answered: how much of it is taken, and in what portions."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref

import pytest

from gateway.server.endpoint import Endpoint
from gateway.server.http1.intake import EVENTS, PIECE
from tests.patience import until
from tests.server.client import head
from tests.server.conftest import KINDS
from tests.server.echo import Echo
from tests.server.endpoints import play, push

READ = 256 << 10
"""Bytes that a loop reads at once, at most."""


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_pipelined_is_not_parsed_before_it_is_due(kind: str) -> None:
    async def scene(endpoint: Endpoint, app: Echo, client: socket.socket) -> None:
        sent = await push(client, head("/hold/1") + head("/next") * 100_000)
        (connection,) = endpoint.connections
        await until(lambda: app.seen != [])
        assert sent > READ
        assert connection.flow.waiting <= READ
        assert app.seen == ["/hold/1"]
        app.open("/hold/1")
        await until(lambda: len(app.seen) > 1000 or connection.transport.write_paused)
        assert connection.flow.waiting <= READ

    play(KINDS[kind], scene)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_pipelined_is_answered_in_its_order(kind: str) -> None:
    async def scene(_endpoint: Endpoint, app: Echo, client: socket.socket) -> None:
        paths = [f"/{number}" for number in range(2000)]
        client.setblocking(True)
        sending = asyncio.to_thread(client.sendall, b"".join(map(head, paths)))
        received = b""
        sent = asyncio.create_task(sending)
        while received.count(b"HTTP/1.1 200 OK") < len(paths):
            received += await asyncio.to_thread(client.recv, 1 << 20)
        await sent
        assert app.seen == paths

    play(KINDS[kind], scene)


@pytest.mark.parametrize("kind", KINDS)
def test_what_waited_is_freed_with_its_connection(kind: str) -> None:
    async def scene(endpoint: Endpoint, app: Echo, client: socket.socket) -> None:
        await push(client, head("/watch/gone") + head("/next") * 2000)
        (connection,) = endpoint.connections
        await until(lambda: app.seen != [])
        freed = weakref.ref(connection)
        del connection
        client.close()
        await until(lambda: not endpoint.connections)
        app.open(
            "/watch/gone"
        )  # where the end of the application was not noticed, it must not be why
        await until(lambda: gc.collect() >= 0 and freed() is None)
        assert app.seen == ["/watch/gone"]

    play(KINDS[kind], scene)


@pytest.mark.parametrize("kind", KINDS)
def test_tiny_chunks_take_turns_with_everything_else(kind: str) -> None:
    chunk = b"1\r\nx\r\n"

    async def scene(endpoint: Endpoint, _app: Echo, client: socket.socket) -> None:
        body = chunk * 50_000 + b"0\r\n\r\n"
        client.setblocking(True)
        request = head("/chunks", "Transfer-Encoding: chunked", method="POST") + body
        sent = asyncio.create_task(asyncio.to_thread(client.sendall, request))
        answered = asyncio.create_task(asyncio.to_thread(client.recv, 1 << 20))
        (connection,) = endpoint.connections
        most = 0
        while not answered.done():
            most = max(most, connection.flow.events)
            await asyncio.sleep(0)
        await sent
        assert (await answered).startswith(b"HTTP/1.1 200 ")
        assert 0 < most <= EVENTS + PIECE // len(chunk) + 1

    play(KINDS[kind], scene)
