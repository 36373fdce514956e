"""Return events: what a sink is told of each invocation. The server is scripted, all else is real."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from gateway.app import Gateway, create_app
from gateway.config import ComponentConfig, GatewayConfig, Route
from gateway.host.errors import TrapKind
from gateway.observe.events import (
    DynamicExportReturned,
    HttpIncomingHandlerHandleReturned,
    Kind,
    Outcome,
    ReturnEvent,
)
from tests.harness import GuestPath
from tests.routes.test_asgi import Server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def app(guest: GuestPath) -> Gateway:
    components = (
        ComponentConfig(
            name="fail", source=guest("c/fail"), routes=(Route(path="/"),), max_concurrency=1
        ),
        ComponentConfig(name="echo", source=guest("c/echo"), routes=(Route(path="/echo"),)),
        ComponentConfig(name="rpc", source=guest("c/rpc")),
    )
    return create_app(GatewayConfig(components=components))


@pytest.fixture
async def events(app: Gateway) -> AsyncIterator[list[ReturnEvent]]:
    found: list[ReturnEvent] = []
    app.runtime.channel.add_sink(found.append)
    yield found
    app.runtime.channel.remove_sink(found.append)


class Posting(Server):
    """A server whose request has a body."""

    def __init__(self, target: str, body: bytes, *headers: tuple[bytes, bytes]) -> None:
        host = (b"host", b"gateway.test")
        length = (b"content-length", b"%d" % len(body))
        super().__init__(target, method="POST", headers=[host, length, *headers])
        self._request = [{"type": "http.request", "body": body, "more_body": False}]


async def only(app: Gateway, events: list[ReturnEvent], server: Server) -> ReturnEvent:
    """The event of a request."""
    await server.run(app)
    app.runtime.channel.flush()
    (event,) = events
    return event


async def test_a_request(app: Gateway, events: list[ReturnEvent]) -> None:
    trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = ((b"traceparent", trace), (b"x-request-id", b"here"))
    event = await only(app, events, Posting("/echo", b"x" * 1000, *headers))
    assert isinstance(event, HttpIncomingHandlerHandleReturned)
    assert (event.kind, event.outcome, event.success) == (Kind.HTTP, Outcome.OK, True)
    assert (event.component, event.route) == ("echo", "*/echo")
    assert event.digest == app.services[1].linked.component.digest
    assert event.export == "wasi:http/incoming-handler@0.2.0#handle"
    assert event.request_id == "here"
    assert event.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert (event.bytes_in, event.bytes_out) == (1000, 1000)
    assert event.instantiated
    phases = event.phases
    assert phases.queue == 0
    assert min(phases.instantiate, phases.guest, phases.host) > 0
    assert phases.total == phases.queue + phases.instantiate + phases.guest + phases.host
    assert event.host_calls["wasi:http/types@0.2.0"] >= 5
    assert event.host_calls["wasi:io/streams@0.2.0"] >= 2


async def test_a_wait_in_the_host_is_the_hosts_time(
    app: Gateway, events: list[ReturnEvent]
) -> None:
    event = await only(app, events, Server("/sleep?ms=200"))
    # Its clock runs from when the guest has asked for it, which is before it waits.
    assert event.phases.host + event.phases.guest >= 0.2
    assert event.phases.host > event.phases.guest


async def test_a_call(app: Gateway, events: list[ReturnEvent]) -> None:
    body = json.dumps({"jsonrpc": "2.0", "method": "add", "params": [1, 2], "id": 1}).encode()
    server = Posting("/rpc/rpc", body, (b"content-type", b"application/json"))
    event = await only(app, events, server)
    assert isinstance(event, DynamicExportReturned)
    assert (event.kind, event.outcome) == (Kind.RPC, Outcome.OK)
    assert (event.export, event.route) == ("add", "/rpc")
    assert len(event.trace_id or "") == 32
    assert event.host_calls == {}


@pytest.mark.parametrize(
    ("target", "outcome", "trap"),
    [
        ("/trap", Outcome.TRAP, TrapKind.UNREACHABLE),
        ("/noset", Outcome.ERR, None),
    ],
)
async def test_a_failure(
    app: Gateway, events: list[ReturnEvent], target: str, outcome: Outcome, trap: TrapKind | None
) -> None:
    event = await only(app, events, Server(target))
    assert (event.outcome, event.trap, event.success) == (outcome, trap, False)


async def test_what_found_no_place(app: Gateway, events: list[ReturnEvent]) -> None:
    first = Server("/sleep?ms=60000")
    task = asyncio.create_task(first.run(app))
    while not app.services[0].in_flight:
        await checkpoint()
    event = await only(app, events, Server("/"))
    assert (event.outcome, event.instantiated) == (Outcome.EXHAUSTED, False)
    assert event.phases.total == 0
    first.gone.set()
    await task
    app.runtime.channel.flush()
    assert events[1].outcome is Outcome.CANCELLED


async def test_what_was_stopped_from_outside(app: Gateway, events: list[ReturnEvent]) -> None:
    server = Server("/sleep?ms=60000")
    task = asyncio.create_task(server.run(app))
    while not app.services[0].under_way:
        await checkpoint()
    assert app.stop_calls() == 1
    await task
    app.runtime.channel.flush()
    assert [event.outcome for event in events] == [Outcome.CANCELLED]
    assert server.sent[0]["status"] == 503
    problem: Any = json.loads(server.body)
    assert problem["type"] == "urn:component-gateway:problem:stopping"


async def test_a_sink_that_fails_harms_nobody(app: Gateway, events: list[ReturnEvent]) -> None:
    def fail(_event: ReturnEvent) -> None:
        raise RuntimeError("no")

    app.runtime.channel.add_sink(fail)
    try:
        event = await only(app, events, Server("/trap"))
    finally:
        app.runtime.channel.remove_sink(fail)
    assert event.outcome is Outcome.TRAP
