"""How much of what many clients do at once falls into one turn of the loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest

from gateway.host.scheduler import NEWCOMERS, SHARE, Lane, Scheduler
from gateway.server.acceptor import AT_ONCE, Acceptor
from gateway.server.endpoint import Endpoint
from gateway.server.http1.connections import Connections, Timeouts
from gateway.server.listener import Listener
from tests.patience import until
from tests.server.client import head
from tests.server.conftest import KINDS
from tests.server.echo import Echo
from tests.server.endpoints import play

CLIENTS = 20


class Most:
    """The most by which something has grown in one turn of the loop."""

    def __init__(self) -> None:
        self.growth = 0

    async def watch(self, echo: Echo, wanted: int) -> None:
        """Look at the requests that have begun, until there are as many as wanted."""
        seen = len(echo.seen)
        while seen < wanted:
            await asyncio.sleep(0)
            self.growth = max(self.growth, len(echo.seen) - seen)
            seen = len(echo.seen)


@asynccontextmanager
async def sent_ahead(app: Echo, client: socket.socket) -> AsyncIterator[None]:
    """Clients that have sent ten requests each behind `/hold/{number}`, which has begun."""
    with ExitStack() as opened:
        clients = [client]
        for _ in range(CLIENTS - 1):
            sock = opened.enter_context(socket.create_connection(client.getpeername()))
            clients.append(sock)
        for number, each in enumerate(clients):
            each.sendall(head(f"/hold/{number}") + head("/ahead") * 10)
        await until(lambda: len(app.seen) == CLIENTS)
        yield


@pytest.mark.parametrize("kind", KINDS)
def test_requests_that_are_sent_ahead_begin_one_after_the_other(kind: str) -> None:
    async def scene(endpoint: Endpoint, app: Echo, client: socket.socket) -> None:
        async with sent_ahead(app, client):
            most = Most()
            watching = asyncio.create_task(most.watch(app, 11 * CLIENTS))
            for number in range(CLIENTS):
                app.open(f"/hold/{number}")
            await watching
            # Watching takes a turn to see it, in which the next one may begin.
            assert most.growth <= 2

    play(KINDS[kind], scene)


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_whose_next_request_waits_is_not_idle(kind: str) -> None:
    async def scene(endpoint: Endpoint, app: Echo, client: socket.socket) -> None:
        async with sent_ahead(app, client):
            for number in range(CLIENTS):
                app.open(f"/hold/{number}")
            await until(lambda: len(app.seen) == 11 * CLIENTS)

    play(KINDS[kind], scene, keep_alive_timeout="0.001s")


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_of_a_request_that_was_sent_ahead_is_timed(kind: str) -> None:
    async def scene(endpoint: Endpoint, app: Echo, client: socket.socket) -> None:
        client.sendall(head("/one") + b"GET /two")
        await until(lambda: endpoint.connections == set())
        assert app.seen == ["/one"]

    play(KINDS[kind], scene, header_timeout="0.1s")


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_connections_are_made_in_a_turn(kind: str) -> None:
    async def scene(endpoint: Endpoint, app: Echo, client: socket.socket) -> None:
        with ExitStack() as opened:
            for _ in range(CLIENTS):
                sock = opened.enter_context(socket.create_connection(client.getpeername()))
                sock.sendall(head("/one"))
            most = Most()
            await most.watch(app, CLIENTS)
            assert most.growth <= AT_ONCE

    play(KINDS[kind], scene)


@pytest.mark.parametrize(("after", "lane"), [(0.0, Lane.KEPT), (3600.0, Lane.NEW)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_is_kept_that_has_had_an_answer_and_has_lasted(
    kind: str, after: float, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.server.http1.connection.KEPT_AFTER", after)

    async def scene(endpoint: Endpoint, app: Echo, client: socket.socket) -> None:
        for number in range(2):
            client.sendall(head("/one"))
            assert await asyncio.get_running_loop().sock_recv(client, 1 << 16)
            assert len(app.seen) == number + 1
        (connection,) = endpoint.connections
        await until(lambda: connection.client.lane is lane)

    play(KINDS[kind], scene)


@pytest.mark.anyio
@pytest.mark.parametrize("behind_guests", [True, False])
async def test_newcomers_wait_for_guests_only_where_guests_answer(behind_guests: bool) -> None:
    scheduler, turns, made = Scheduler.current(), 0, asyncio.Event()

    async def guest() -> None:
        nonlocal turns
        while True:
            await scheduler.turn(Lane.NEW)
            scheduler.spend(2 * SHARE, Lane.NEW)
            turns += 1

    class Newcomer(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()
            made.set()

    guests = [asyncio.create_task(guest()) for _ in range(NEWCOMERS + 1)]
    await until(lambda: turns > 0)
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    connections = Connections(Timeouts(1, 1, 1))
    acceptor = Acceptor(
        [Listener.of(listening)],
        Newcomer,
        connections,
        CLIENTS,
        lambda: None,
        behind_guests=behind_guests,
    )
    with socket.create_connection(listening.getsockname()):
        so_far = turns
        await until(lambda: made.is_set() or turns > so_far + 10 * CLIENTS)
        assert made.is_set() is not behind_guests
        for each in guests:
            each.cancel()
        await made.wait()
        await acceptor.close()
