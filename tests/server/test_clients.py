"""How long clients may take, and how many there may be."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack

import pytest
from structlog.testing import capture_logs

from gateway.observe.connection_end import ConnectionEnd
from gateway.server.endpoint import Endpoint
from gateway.server.http1.writing import Writing
from tests.harness import PATIENCE
from tests.patience import until
from tests.server.client import Connection, head
from tests.server.conftest import KINDS
from tests.server.echo import LARGE, Echo
from tests.server.endpoints import play
from tests.server.running import Running


@pytest.fixture(scope="module")
def impatient() -> Iterator[Iterable[Running]]:
    """A server of each kind that waits half a second for anything."""
    with ExitStack() as started:
        yield [
            started.enter_context(Running(body_timeout=0.5, write_timeout=0.5, **KINDS[kind]))
            for kind in KINDS
        ]


@pytest.fixture
def clients(impatient: Iterable[Running]) -> Iterator[Mapping[Running, Connection]]:
    """A client of each of these servers: so they wait at the same time."""
    with ExitStack() as opened:
        yield {server: opened.enter_context(server.connect()) for server in impatient}


def ended(server: Running, end: ConnectionEnd) -> int:
    """How many connections a server has ended so."""
    return server.app.connection_metrics.ended[end.value]


def wait(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def until_ended(server: Running, end: ConnectionEnd, number: int) -> None:
    """Wait until a server has ended so many connections so."""
    wait(lambda: ended(server, end) >= number)


# --- the time of clients --------------------------------------------------------------------------


def test_a_body_that_does_not_go_on_is_refused(clients: Mapping[Running, Connection]) -> None:
    before = {server: ended(server, ConnectionEnd.BODY_TIMEOUT) for server in clients}
    for connection in clients.values():
        connection.send(head("/slow", "Content-Length: 5", method="POST") + b"h")
    for server, connection in clients.items():
        connection.refusal(408, "request-timeout")
        connection.close()
        server.app.wait_until_gone("/slow")
        assert ended(server, ConnectionEnd.BODY_TIMEOUT) == before[server] + 1


def test_it_breaks_a_response_that_has_begun(clients: Mapping[Running, Connection]) -> None:
    for connection in clients.values():
        connection.send(head("/begun", "Content-Length: 5", method="POST") + b"h")
    for server, connection in clients.items():
        connection.read_until(b"begun")
        assert connection.read_to_end() == b"\r\n"
        server.app.open("/begun")


@pytest.mark.parametrize("kind", KINDS)
def test_its_time_begins_when_it_is_asked_for(kind: str) -> None:
    async def scene(endpoint: Endpoint, app: Echo, client: socket.socket) -> None:
        client.send(head("/queue/x", "Content-Length: 5", "Expect: 100-continue", method="POST"))
        await until(lambda: app.seen == ["/queue/x"])
        (connection,) = endpoint.connections
        now = asyncio.get_running_loop().time() + 1000
        connection.guard.look(now)
        app.open("/queue/x")
        await until(lambda: not (connection.cycle and connection.cycle.awaits_continue))
        connection.guard.look(now + 10)
        assert connection.guard.refusal is None
        connection.guard.look(now + 21)
        assert connection.guard.refusal is not None

    play(KINDS[kind], scene, body_timeout="20s")


def test_a_client_that_takes_nothing_is_left(clients: Mapping[Running, Connection]) -> None:
    before = {server: ended(server, ConnectionEnd.WRITE_TIMEOUT) for server in clients}
    for connection in clients.values():
        connection.send(head("/large"))
    for server, connection in clients.items():
        until_ended(server, ConnectionEnd.WRITE_TIMEOUT, before[server] + 1)
        assert not read_rest(connection).endswith(b"\r\n0\r\n\r\n")


def test_so_is_one_that_leaves_its_last_response(clients: Mapping[Running, Connection]) -> None:
    before = {server: ended(server, ConnectionEnd.WRITE_TIMEOUT) for server in clients}
    for connection in clients.values():
        connection.send(head("/large", "Connection: close"))
    for server in clients:
        until_ended(server, ConnectionEnd.WRITE_TIMEOUT, before[server] + 1)


def read_rest(connection: Connection) -> bytes:
    try:
        return connection.read_to_end()
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("kind", KINDS)
def test_any_byte_that_a_client_takes_counts(kind: str) -> None:
    async def scene(endpoint: Endpoint, _app: Echo, client: socket.socket) -> None:
        client.send(head("/large"))
        await until(lambda: any(each.transport.write_paused for each in endpoint.connections))
        (connection,) = endpoint.connections
        writing = Writing(connection.transport)
        assert writing.stalled(0) == 0
        # What is on its way may still arrive.
        now = 1
        while writing.stalled(now) == 0:
            await asyncio.sleep(0.01)
            now += 1
        assert writing.stalled(1000) >= 900
        taken = 0
        while taken < LARGE // 4:
            try:
                taken += len(client.recv(1 << 20))
            except BlockingIOError:
                await asyncio.sleep(0.001)
        await until(lambda: writing.stalled(2000) == 0)

    play(KINDS[kind], scene)


# --- the number of clients ------------------------------------------------------------------------


@pytest.fixture(params=KINDS)
def small(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server that has no more than three clients."""
    with Running(max_connections=3, **KINDS[request.param]) as server:
        yield server


def test_more_connections_than_there_may_be_wait(small: Running) -> None:
    paths = [f"/hold/{number}" for number in range(3)]
    connections = [small.connect() for _ in paths]
    for connection, path in zip(connections, paths, strict=True):
        connection.send(head(path))
        small.app.wait_until_seen(path)
    with small.connect() as waiting:
        waiting.send(head("/waiting"))
        wait(lambda: small.app.connection_metrics.stops > 0)
        assert "/waiting" not in small.app.seen
        small.app.open(paths[1])
        assert connections[1].response().json["path"] == paths[1]
        connections[1].close()
        assert waiting.response().json["path"] == "/waiting"
    for path in paths:
        small.app.open(path)
    for connection in connections:
        connection.close()


def test_the_one_that_has_been_idle_longest_gives_up_its_place(small: Running) -> None:
    with small.connect() as first, small.connect() as second, small.connect() as third:
        for connection in (second, first, third):
            connection.send(head("/idle"))
            assert connection.response().status == 200
        with small.connect() as newcomer:
            newcomer.send(head("/newcomer"))
            assert newcomer.response().json["path"] == "/newcomer"
            assert second.read_to_end() == b""
            for connection in (first, third):
                connection.send(head("/still"))
                assert connection.response().status == 200
    assert ended(small, ConnectionEnd.MAX_CONNECTIONS) == 1


def test_connections_that_wait_are_served_when_the_server_stops(small: Running) -> None:
    with ExitStack() as opened:
        connections = [opened.enter_context(small.connect()) for _ in range(5)]
        for number, connection in enumerate(connections):
            connection.send(head(f"/hold/{number}"))
        wait(lambda: small.app.connection_metrics.stops > 0)
        for number in range(5):
            small.app.open(f"/hold/{number}")
        small.stop()
        for number, connection in enumerate(connections):
            assert connection.response().json["path"] == f"/hold/{number}"


def test_what_is_due_each_second_goes_on_after_a_failure() -> None:
    seconds = 0
    again = threading.Event()

    def fail_once() -> None:
        nonlocal seconds
        seconds += 1
        if seconds == 1:
            raise ValueError("a bug")
        again.set()

    with Running() as server, capture_logs() as logs:
        server.every_second = fail_once
        assert again.wait(PATIENCE)
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["gateway failed"]
