"""What becomes of connections when an endpoint closes, however the client and the loop happen to take turns.

Client and server share one thread here: what the client does between two awaits, the loop has not seen when the
endpoint closes.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.config import ServerConfig
from gateway.server.endpoint import Endpoint
from gateway.server.listener import Listener
from gateway.server.listening import Sockets
from gateway.server.settings import uvicorn_config
from tests.harness import PATIENCE
from tests.server.client import head
from tests.server.conftest import KINDS
from tests.server.echo import Echo

Play = Callable[[Endpoint, "Client"], Awaitable[None]]


class Client:
    """A client in the thread of the server, whose sending does not wait, and whose reading lets the loop run."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    async def read_to(self, mark: bytes) -> bytes:
        """Read up to a mark, or to the end if it is empty."""
        data = b""
        while not mark or not data.endswith(mark):
            piece = await asyncio.to_thread(self.socket.recv, 1 << 16)
            if not piece:
                break
            data += piece
        return data

    async def answer(self) -> tuple[dict[str, str], Any]:
        """Read a response; gives its headers and the document that it brings."""
        begun, _, content = (await self.read_to(b"}")).partition(b"\r\n\r\n")
        status, *lines = begun.decode().lower().split("\r\n")
        assert " 200 " in status
        return dict(line.split(": ", 1) for line in lines), json.loads(content)


async def last_answer(client: Client, path: str) -> None:
    """Read a response that says that it is the last, and is."""
    headers, document = await client.answer()
    assert document["path"] == path
    assert headers["connection"] == "close"
    assert await client.read_to(b"") == b""


@pytest.fixture(params=KINDS)
def run(request: pytest.FixtureRequest) -> Callable[[Play], None]:
    """`run(play)`: has an endpoint with a client, of each kind in turn."""
    settings = ServerConfig.model_validate({"port": 0, **KINDS[request.param]})

    async def scene(play: Play) -> None:
        sockets = Sockets.bind(settings)
        port = int(sockets.listen(settings)["url"].rpartition(":")[2])
        endpoint = Endpoint(uvicorn_config(Echo(), settings), {}, sockets.main, settings)
        await endpoint.open(settings.backlog)
        client = Client(port)
        try:
            await play(endpoint, client)
            with pytest.raises(ConnectionRefusedError):
                Client(port)
        finally:
            client.socket.close()
            await endpoint.abort()

    def run(play: Play) -> None:
        factory = uvicorn_config(Echo(), settings).get_loop_factory()
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(scene(play))

    return run


def test_a_connection_that_the_kernel_has_accepted_is_served(run: Callable[[Play], None]) -> None:
    async def play(endpoint: Endpoint, client: Client) -> None:
        client.send(head("/queued"))
        assert not endpoint.connections
        endpoint.drain()
        await endpoint.close()
        await last_answer(client, "/queued")
        assert await endpoint.ended(PATIENCE)

    run(play)


def test_none_is_accepted_while_the_last_ones_are_made(run: Callable[[Play], None]) -> None:
    async def play(endpoint: Endpoint, client: Client) -> None:
        client.send(head("/queued"))
        port = client.socket.getpeername()[1]
        endpoint.drain()
        closing = asyncio.create_task(endpoint.close())
        while not closing.done():
            await asyncio.sleep(0)
            with pytest.raises(ConnectionRefusedError):  # else it would be reset
                Client(port)
        await last_answer(client, "/queued")

    run(play)


def test_a_connection_that_is_new_is_given_time(run: Callable[[Play], None]) -> None:
    async def play(endpoint: Endpoint, client: Client) -> None:
        await endpoint.close()
        client.send(head("/late"))
        await last_answer(client, "/late")

    run(play)


def test_a_connection_that_is_new_does_not_hold_up_the_end(run: Callable[[Play], None]) -> None:
    async def play(endpoint: Endpoint, client: Client) -> None:
        await endpoint.close()
        assert await endpoint.ended(PATIENCE)
        assert await client.read_to(b"") == b""

    run(play)


def test_an_idle_connection_ends(run: Callable[[Play], None]) -> None:
    async def play(endpoint: Endpoint, client: Client) -> None:
        client.send(head("/first"))
        headers, _ = await client.answer()
        assert "connection" not in headers
        await endpoint.close()
        assert all(connection.transport.is_closing() for connection in endpoint.connections)
        assert await client.read_to(b"") == b""

    run(play)


def test_a_request_that_has_arrived_on_an_idle_connection_is_answered(
    run: Callable[[Play], None],
) -> None:
    async def play(endpoint: Endpoint, client: Client) -> None:
        client.send(head("/first"))
        await client.answer()
        client.send(head("/second"))
        await endpoint.close()
        await last_answer(client, "/second")
        assert await endpoint.ended(PATIENCE)

    run(play)


def test_a_request_that_has_begun_to_arrive_is_answered(run: Callable[[Play], None]) -> None:
    async def play(endpoint: Endpoint, client: Client) -> None:
        client.send(head("/first"))
        await client.answer()
        request = head("/second", "Padding: x")
        client.send(request[:20])
        for _ in range(10):  # turns of the loop, in which it reads that
            await asyncio.sleep(0)
        await endpoint.close()
        client.send(request[20:])
        await last_answer(client, "/second")

    run(play)


def test_connections_end_after_their_next_response_while_an_endpoint_drains(
    run: Callable[[Play], None],
) -> None:
    async def play(endpoint: Endpoint, client: Client) -> None:
        client.send(head("/first"))
        await client.answer()
        endpoint.drain()
        assert not await endpoint.ended(0)
        client.send(head("/second"))
        await last_answer(client, "/second")
        await endpoint.close()

    run(play)


def test_a_response_that_has_not_begun_when_an_endpoint_drains_is_the_last(
    run: Callable[[Play], None],
) -> None:
    async def play(endpoint: Endpoint, client: Client) -> None:
        client.send(head("/", "Content-Length: 5", "Expect: 100-continue", method="POST"))
        assert await client.read_to(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        endpoint.drain()
        client.send(b"hello")
        await last_answer(client, "/")
        await endpoint.close()

    run(play)


def test_what_does_not_end_is_counted(run: Callable[[Play], None]) -> None:
    async def play(endpoint: Endpoint, client: Client) -> None:
        client.send(head("/begun/forever"))
        await client.read_to(b"begun\r\n")
        await endpoint.close()
        assert not await endpoint.ended(0)
        assert endpoint.unanswered() == 1
        await endpoint.abort()
        assert await endpoint.ended(PATIENCE)

    run(play)


@pytest.mark.anyio
async def test_who_waits_at_a_socket_that_was_handed_over_is_left_to_the_next_one() -> None:
    settings = ServerConfig(port=0)
    with socket.create_server(("127.0.0.1", 0)) as given:
        mine = Listener.of(given.dup(), handed_over=True)
        endpoint = Endpoint(uvicorn_config(Echo(), settings), {}, [mine], settings)
        await endpoint.open(settings.backlog)
        with socket.create_connection(given.getsockname(), PATIENCE) as client:
            endpoint.drain()
            await endpoint.close()
            assert not endpoint.connections
            given.settimeout(PATIENCE)
            next_one, address = given.accept()
            next_one.close()
            assert address == client.getsockname()
        await endpoint.abort()
