"""How return events come to their sinks."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from gateway.observe.event_queue import Channel
from gateway.observe.events import ReturnEvent
from tests.harness import PATIENCE
from tests.observe.metrics.happened import DIGEST, TRACE_ID, returned
from tests.observe.metrics.scraped import environment

pytestmark = pytest.mark.anyio


class Told:
    """A sink that remembers the request ids of its events."""

    def __init__(self) -> None:
        self.request_ids: list[str] = []

    def __call__(self, event: ReturnEvent) -> None:
        self.request_ids.append(event.request_id)


class Clock:
    """Time that stands still until it is moved, in seconds."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def fail(*_event: ReturnEvent) -> None:
    raise ZeroDivisionError


def send(channel: Channel, *request_ids: object) -> None:
    for request_id in request_ids:
        channel.send(returned(request_id=str(request_id)))


async def one_iteration() -> None:
    """Until the loop has called back whoever has asked for it so far."""
    await asyncio.sleep(0)


async def test_sinks_are_told_after_the_sender_has_gone_on() -> None:
    channel, first, second = Channel(), Told(), Told()
    channel.add_sink(first)
    channel.add_sink(second)

    send(channel, 1, 2, 3)
    assert (first.request_ids, channel.waiting) == ([], 3)

    await one_iteration()
    assert first.request_ids == second.request_ids == ["1", "2", "3"]
    assert channel.waiting == 0


async def test_many_events_are_handed_over_in_several_iterations() -> None:
    channel, told = Channel(), Told()
    channel.add_sink(told)
    send(channel, *range(1000))

    steps = []
    while channel.waiting:
        before = channel.waiting
        await one_iteration()
        steps.append(before - channel.waiting)
        assert steps[-1] <= max(64, before // 4)

    assert told.request_ids == [str(number) for number in range(1000)]
    assert len(steps) > 4


async def test_a_sink_that_adds_up_hears_when_a_batch_ends() -> None:
    channel, told, batches = Channel(), Told(), []
    channel.add_sink(fail, flush=fail)
    channel.add_sink(told, flush=lambda: batches.append(list(told.request_ids)))
    send(channel, 1, 2)
    await one_iteration()
    send(channel, 3)
    await one_iteration()
    assert batches == [["1", "2"], ["1", "2", "3"]]


async def test_what_does_not_fit_is_dropped_and_counted() -> None:
    channel, told, hooked = Channel(capacity=2), Told(), []
    channel.add_sink(told)
    channel.on_dropped = lambda: hooked.append(1)

    send(channel, 1, 2, 3, 4)
    assert (channel.dropped, len(hooked)) == (2, 2)

    await one_iteration()
    send(channel, 5)
    await one_iteration()
    assert told.request_ids == ["1", "2", "5"]


async def test_drops_are_warned_about_once_in_a_while() -> None:
    clock = Clock()
    channel = Channel(capacity=1, clock=clock)

    async def drop(count: int) -> list[int]:
        """Drops events; returns the numbers that are warned about."""
        with capture_logs() as logs:
            send(channel, *range(1 + count))
            await one_iteration()
        assert all(log["event"] == "events dropped" for log in logs)
        return [log["dropped"] for log in logs]

    assert await drop(3) == [3]
    assert await drop(2) == []
    clock.now += 9.9
    assert await drop(4) == []
    clock.now += 0.1
    assert await drop(1) == [7]
    clock.now += 60
    assert await drop(0) == []

    assert await drop(5) == [5]
    assert await drop(1) == []
    with capture_logs() as logs:
        channel.flush()
    assert [log["dropped"] for log in logs] == [1]


async def test_failing_hook_does_not_reach_the_sender() -> None:
    channel = Channel(capacity=1)
    channel.on_dropped = fail
    with capture_logs() as logs:
        send(channel, 1, 2)
    assert [log["event"] for log in logs] == ["dropped event not counted"]


async def test_failing_sink_harms_nobody_and_is_logged_once_in_a_while() -> None:
    clock = Clock()
    channel, told = Channel(clock=clock), Told()
    channel.add_sink(fail, name="broken")
    channel.add_sink(told)

    async def failures(*request_ids: int) -> list[int]:
        with capture_logs() as logs:
            send(channel, *request_ids)
            await one_iteration()
        assert all((log["event"], log["sink"]) == ("sink failed", "broken") for log in logs)
        assert all(isinstance(log["exc_info"], ZeroDivisionError) for log in logs)
        return [log["failures"] for log in logs]

    assert await failures(1, 2, 3) == [1]
    clock.now += 10
    assert await failures(4) == [3]
    assert told.request_ids == ["1", "2", "3", "4"]

    assert await failures(5) == []
    with capture_logs() as logs:
        channel.flush()
    assert [log["failures"] for log in logs] == [1]


async def test_flush_hands_over_all_at_once() -> None:
    channel, told = Channel(), Told()
    channel.add_sink(told)
    send(channel, *range(500))
    channel.flush()
    assert (len(told.request_ids), channel.waiting) == (500, 0)

    await one_iteration()
    send(channel, 500)
    await one_iteration()
    assert len(told.request_ids) == 501


async def test_removed_sink_is_told_nothing_more() -> None:
    channel, told = Channel(), Told()
    channel.add_sink(told)
    send(channel, 1)
    channel.remove_sink(told)
    channel.remove_sink(told)
    await one_iteration()
    assert told.request_ids == []


async def test_sinks_do_not_inherit_what_the_sender_has_bound() -> None:
    channel = Channel()
    bound: list[dict[str, object]] = []
    channel.add_sink(lambda _: bound.append(structlog.contextvars.get_contextvars()))
    with structlog.contextvars.bound_contextvars(request_id="sender"):
        send(channel, 1)
        await one_iteration()
        send(channel, 2)
        channel.flush()
    assert bound == [{}, {}]


def test_without_a_loop_sinks_are_told_at_once() -> None:
    channel, told = Channel(), Told()
    channel.add_sink(told)
    send(channel, 1)
    assert told.request_ids == ["1"]


def test_without_a_loop_a_failing_sink_is_logged_once_in_a_while_too() -> None:
    channel = Channel(clock=Clock())
    channel.add_sink(fail)
    with capture_logs() as logs:
        send(channel, 1, 2, 3)
    assert [log["failures"] for log in logs] == [1]


def test_sink_that_sends_does_not_go_round_in_circles() -> None:
    channel, told = Channel(capacity=3), Told()

    def again(event: ReturnEvent) -> None:
        if len(told.request_ids) < 10_000:
            channel.send(event)

    channel.add_sink(told)
    channel.add_sink(again)
    send(channel, 1)
    # Not one call inside the other, which would end at Python's limit of recursion.
    assert told.request_ids == ["1"]
    assert channel.waiting == 1


def test_events_that_a_closed_loop_left_behind_come_with_the_next() -> None:
    channel, told = Channel(), Told()
    channel.add_sink(told)

    async def follow() -> None:
        send(channel, 2)
        await one_iteration()

    with new_loop() as loop:
        # Ends with this callback, before the loop comes to the one that the channel has asked for.
        loop.call_soon(loop.stop)
        loop.call_soon(send, channel, 1)
        loop.run_forever()
    assert told.request_ids == []

    with new_loop() as loop:
        loop.run_until_complete(follow())
    assert told.request_ids == ["1", "2"]


@contextmanager
def new_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    try:
        yield loop
    finally:
        loop.close()


def test_a_channel_for_nothing() -> None:
    with pytest.raises(ValueError, match="0 events"):
        Channel(0)


LOGGED = """
from gateway.observe import log
from gateway.observe.event_queue import Channel, LogSink
from gateway.observe.events import Outcome, Phases
from gateway.host.errors import TrapKind
from tests.observe.metrics.happened import TRACE_ID, returned

log.configure("json")
channel = Channel()
channel.add_sink(LogSink())
channel.send(returned(
    outcome=Outcome.TRAP, trap=TrapKind.HOST, trace_id=TRACE_ID, instantiated=True,
    phases=Phases(0.25, 0.125, 0.5, 0.0000004), bytes_in=3, bytes_out=5, host_calls={"wasi:io/streams": 7},
))
"""


def test_log_line_tells_all_of_an_event() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LOGGED],
        env=environment(),
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    )
    (line,) = ran.stderr.splitlines()
    record = json.loads(line)
    assert record.pop("timestamp")
    assert record == {
        "level": "info",
        "logger": "gateway.invocations",
        "event": "invocation returned",
        "kind": "http",
        "component": "shop",
        "digest": DIGEST,
        "export": "wasi:http/incoming-handler@0.2.3#handle",
        "request_id": "request",
        "trace_id": TRACE_ID,
        "route": "/shop",
        "issuer": None,
        "subject": None,
        "success": False,
        "outcome": "trap",
        "trap": "host",
        "instantiated": True,
        "duration": 0.875,
        "phases": {"queue": 0.25, "instantiate": 0.125, "guest": 0.5, "host": 0.0},
        "bytes_in": 3,
        "bytes_out": 5,
        "deliveries": None,
        "host_calls": {"wasi:io/streams": 7},
    }


async def asynchronous(_event: ReturnEvent) -> None:
    raise AssertionError("was awaited")


class Asynchronous:
    async def __call__(self, _event: ReturnEvent) -> None:
        raise AssertionError("was awaited")


def generating(_event: ReturnEvent) -> Iterator[None]:
    yield
    raise AssertionError("was iterated")


async def generating_asynchronously(_event: ReturnEvent) -> AsyncIterator[None]:
    yield
    raise AssertionError("was iterated")


@pytest.mark.parametrize(
    "sink",
    [
        asynchronous,
        Asynchronous(),
        partial(asynchronous),
        Asynchronous().__call__,
        generating,
        generating_asynchronously,
        partial(generating),
    ],
)
def test_sink_whose_call_would_do_nothing_is_refused(sink: Any) -> None:
    channel = Channel()
    with pytest.raises(TypeError, match=r"coroutine or generator function.*asyncio\.Queue"):
        channel.add_sink(sink)
    send(channel, 1)


async def test_sink_that_returns_what_would_have_to_be_awaited_fails() -> None:
    channel, told = Channel(), Told()
    channel.add_sink(lambda event: [asynchronous(event)][0], name="hidden")  # type: ignore[arg-type]
    channel.add_sink(told)
    with capture_logs() as logs:
        send(channel, 1)
        await one_iteration()
    assert [(log["event"], log["sink"]) for log in logs] == [("sink failed", "hidden")]
    assert told.request_ids == ["1"]


async def test_sink_that_is_cancelled_harms_nobody() -> None:
    def cancelled(_event: ReturnEvent) -> None:
        raise asyncio.CancelledError

    channel, told = Channel(), Told()
    channel.add_sink(cancelled)
    channel.add_sink(told)
    with capture_logs() as logs:
        send(channel, 1)
        await one_iteration()
    assert [log["event"] for log in logs] == ["sink failed"]
    assert told.request_ids == ["1"]


async def test_sink_that_is_known_not_to_block_is_not_blamed_for_a_busy_machine() -> None:
    clock = Clock()

    def slow(_event: ReturnEvent) -> None:
        clock.now += 0.06

    channel = Channel(clock=clock)
    channel.add_sink(slow, timed=False)
    with capture_logs() as logs:
        send(channel, 1)
        await one_iteration()
        channel.flush()
    assert not logs


def test_sink_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="None cannot be called"):
        Channel().add_sink(None)  # type: ignore[arg-type]


async def test_sink_that_blocks_is_told_of_once_in_a_while() -> None:
    clock = Clock()

    def block(_event: ReturnEvent) -> None:
        clock.now += 0.06

    channel = Channel(clock=clock)
    channel.add_sink(block, name="slow")
    with capture_logs() as logs:
        send(channel, 1, 2, 3)
        await one_iteration()
        assert [(log["event"], log["sink"], log["times"]) for log in logs] == [
            ("sink blocks", "slow", 1)
        ]
        channel.flush()
    assert [log["times"] for log in logs] == [1, 2]
