"""Reading a long request and writing a long response: admitted, timed and stopped as the call itself is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from anyio.lowlevel import checkpoint

from gateway.app import Gateway, create_app
from gateway.config import ComponentConfig, GatewayConfig, ServerConfig
from gateway.host.store import STORES
from gateway.observe.events import Outcome, ReturnEvent
from gateway.serving.call import Call
from gateway.serving.service import Service
from tests.rpc.mirror import Caller, body
from tests.threadless import no_more_threads

pytestmark = pytest.mark.anyio

LONG: Final = [{"x": 1, "y": -2}] * 40_000
"""Takes many turns of the loop to read, to make a list of points of, and to write."""


def application(source: Path, **component: Any) -> Gateway:
    return create_app(
        GatewayConfig(
            server=ServerConfig(rpc_max_body=16 << 20, rpc_max_result=16 << 20),
            components=(ComponentConfig(name="guest", source=source, **component),),
        )
    )


def events_of(app: Gateway) -> list[ReturnEvent]:
    events: list[ReturnEvent] = []
    app.runtime.channel.add_sink(events.append)
    return events


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await checkpoint()


def is_read(service: Service) -> bool:
    """Whether something is read or written, and no guest runs."""
    return bool(service.under_way) and not any(isinstance(it, Call) for it in service.under_way)


async def ended(app: Gateway) -> None:
    """Everything was given back."""
    app.runtime.channel.flush()
    (service,) = app.services
    assert (service.in_flight, service.under_way, STORES) == (0, set(), {})


async def test_reading_has_the_time_of_the_call(mirror: Path) -> None:
    app = application(mirror, max_execution_time=0.001)
    events = events_of(app)
    caller = Caller(body("points", LONG))
    await caller.run(app)
    await ended(app)
    assert (caller.status, caller.json["error"]["code"], caller.json["id"]) == (200, -32001, None)
    assert [(event.outcome, event.instantiated) for event in events] == [(Outcome.DEADLINE, False)]
    assert events[0].export == ""


async def test_a_long_request_without_a_place_is_not_read(mirror: Path) -> None:
    app = application(mirror, max_concurrency=1)
    events = events_of(app)
    with app.services[0].gate.try_enter() or pytest.fail("no place"):
        caller = Caller(body("points", LONG))
        await caller.run(app)
    await ended(app)
    assert (caller.status, caller.json["error"]["code"], caller.json["id"]) == (503, -32002, None)
    assert [event.outcome for event in events] == [Outcome.EXHAUSTED]


async def test_a_long_request_without_a_thread_is_refused(mirror: Path) -> None:
    app = application(mirror)
    events = events_of(app)
    caller = Caller(body("points", LONG))
    with no_more_threads():
        await caller.run(app)
    await ended(app)
    assert (caller.status, caller.json["error"]["code"], caller.json["id"]) == (503, -32002, None)
    assert [event.outcome for event in events] == [Outcome.EXHAUSTED]


async def test_a_long_result_without_a_thread_is_refused(mirror: Path) -> None:
    app = application(mirror)
    events = events_of(app)
    (service,) = app.services
    caller = Caller(body("points", LONG))
    running = asyncio.create_task(caller.run(app))
    await until(lambda: any(isinstance(it, Call) for it in service.under_way))
    with no_more_threads():
        await running
    await ended(app)
    assert (caller.status, caller.json["error"]["code"], caller.json["id"]) == (503, -32002, 1)
    assert [event.outcome for event in events] == [Outcome.EXHAUSTED]


@pytest.mark.parametrize("batch", [False, True])
async def test_no_more_are_read_than_there_are_places(mirror: Path, batch: bool) -> None:
    app = application(mirror, max_concurrency=2, max_queue=8, max_queue_time=300)
    (service,) = app.services
    content = body("points", LONG)
    callers = [Caller(b"[%b]" % content if batch else content) for _ in range(5)]
    at_once: list[int] = []

    async def look() -> None:
        while True:
            at_once.append(max(len(service.under_way), service.in_flight))
            await checkpoint()

    looking = asyncio.create_task(look())
    await asyncio.gather(*(caller.run(app) for caller in callers))
    looking.cancel()
    await ended(app)
    assert max(at_once) == 2
    for caller in callers:
        (answer,) = caller.json if batch else [caller.json]
        assert len(answer["result"]) == len(LONG)


async def test_reading_ends_when_the_client_leaves(mirror: Path) -> None:
    app = application(mirror)
    events = events_of(app)
    caller = Caller(body("points", LONG))
    running = asyncio.create_task(caller.run(app))
    await until(lambda: is_read(app.services[0]))
    caller.gone.set()
    await running
    await ended(app)
    assert not caller.sent
    assert [(event.outcome, event.instantiated) for event in events] == [(Outcome.CANCELLED, False)]


async def test_reading_ends_when_the_gateway_stops(mirror: Path) -> None:
    app = application(mirror)
    caller = Caller(body("points", LONG))
    running = asyncio.create_task(caller.run(app))
    await until(lambda: is_read(app.services[0]))
    assert app.stop_calls() == 1
    await running
    await ended(app)
    assert caller.json["error"]["code"] == -32003


async def test_writing_has_a_place_and_ends_when_the_client_leaves(mirror: Path) -> None:
    app = application(mirror)
    caller = Caller(body("points", LONG))
    running = await written(app, caller)
    caller.gone.set()
    await running
    await ended(app)
    assert not caller.sent


async def test_writing_ends_when_the_gateway_stops(mirror: Path) -> None:
    app = application(mirror)
    caller = Caller(body("points", LONG))
    running = await written(app, caller)
    assert app.stop_calls() == 1
    await running
    await ended(app)
    assert (caller.json["error"]["code"], caller.json["id"]) == (-32003, 1)


async def written(app: Gateway, caller: Caller) -> asyncio.Task[None]:
    """Waits until the function has returned, and its response is being written."""
    events = events_of(app)
    running = asyncio.create_task(caller.run(app))
    await until(lambda: events)
    assert events[0].outcome is Outcome.OK
    assert is_read(app.services[0])
    assert app.services[0].in_flight == 1
    return running


async def test_parameters_of_a_batch_are_read_under_its_deadline(mirror: Path) -> None:
    app = application(mirror, max_execution_time=0.001)
    caller = Caller(json.dumps([json.loads(body("points", LONG))] * 2).encode())
    await caller.run(app)
    await ended(app)
    assert caller.json["error"]["code"] == -32001
