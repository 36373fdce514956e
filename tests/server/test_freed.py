"""What is left of a connection that has ended: nothing, before the garbage collector comes."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from collections.abc import Iterator

import pytest

from gateway.server.endpoint import Endpoint
from tests.patience import until
from tests.server.client import head
from tests.server.conftest import KINDS
from tests.server.echo import Echo
from tests.server.endpoints import play

PHASES = {
    "before a request": b"",
    "within a head": b"GET /head HTTP/1.1\r\nHost: ",
    "within a body": head("/body", "Content-Length: 10", method="POST") + b"part",
    "within a chunk": head("/chunk", "Transfer-Encoding: chunked", method="POST") + b"5\r\npart",
    "while it waits": head("/watch/it"),
    "while it waits, with more behind": head("/watch/it") + head("/next") * 2000,
    "between requests": head("/one") + head("/two"),
    "of HTTP/1.0": b"GET /large HTTP/1.0\r\n\r\n",
    "when it was refused": b"\0\r\n\r\n",
    "before it has read": head("/large"),
}
"""What a client has sent before it goes away."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Have only what nothing refers to freed."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sent", PHASES.values(), ids=PHASES)
def test_a_connection_that_has_ended_is_freed_at_once(sent: bytes, kind: str) -> None:
    async def scene(endpoint: Endpoint, app: Echo, client: socket.socket) -> None:
        await until(lambda: len(endpoint.connections) == 1)
        (connection,) = endpoint.connections
        parts: list[weakref.ref[object]] = [weakref.ref(connection)]
        parts += map(weakref.ref, (connection.guard, connection.flow, connection.transport))
        del connection
        loop = asyncio.get_running_loop()
        if sent:
            await loop.sock_sendall(client, sent)
        if sent.startswith((b"GET /one", b"GET /watch", b"GET /large")):
            await until(lambda: bool(app.seen))
        client.close()
        await until(lambda: not endpoint.connections)
        await until(lambda: [part() for part in parts if part() is not None] == [])

    play(KINDS[kind], scene)
