"""Hand return events to whom they concern, without ever making an invocation wait.

Theory of operation. `Channel.send` puts an event into a bounded queue and asks the running event loop, once,
to call back. The callback hands what waits to every sink, a bounded number of events in each iteration of the
loop, so that sinks delay requests a little and never for long. What does not fit into the queue is dropped
and counted: the alternative, waiting, would let a slow sink stop the gateway.

There is no task and nothing to start: the first event on a loop finds that loop by itself. Where no loop
runs, as on the command line, an event is handed over at once. A channel belongs to one thread; that it is
used on one loop after another is no harm, since an event that finds its channel waiting for another loop asks
its own one.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final, TypeAlias

import structlog

from gateway.observe.events import ReturnEvent

__all__ = ["CAPACITY", "Channel", "LogSink", "Sink"]

_log = structlog.get_logger("gateway.events")

Sink: TypeAlias = Callable[[ReturnEvent], None]
"""Is told of each event, on the event loop: it must not block, and cannot wait. What it raises is logged and goes
no further."""

CAPACITY: Final = 4096
"""Events. Threat: sinks slower than the invocations fill the memory. An event is about 1 KiB, so this is 4
MiB; it is also more than one iteration of the loop can bring at the default limits of concurrency, so that
none is dropped as long as the sinks keep up on average."""

_BATCH: Final = 64
"""Events in one iteration of the loop, at least. Arbitrary: below a millisecond with the sinks of this package."""

_SHARE: Final = 4
"""The part of the queue in one iteration of the loop, if that is more: a quarter. A fixed number alone would fall
behind where every iteration brings more than that, though there were time for all of them."""

_INTERVAL: Final = 10.0
"""Seconds between two lines about the same trouble. Arbitrary: often enough to be noticed while it lasts."""


_SLOW: Final = 0.05
"""Seconds that one call of a sink may take until it is told of. Nothing may hold the event loop for longer."""


class Channel:
    """A bounded queue of return events in front of their sinks.

    Attributes:
        capacity: events that may wait.
        dropped: events that did not fit.
        on_dropped: called once for each of them, by the sender.
    """

    def __init__(
        self, capacity: int = CAPACITY, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make a channel without sinks.

        Args:
            capacity: events that may wait, 1 or more.
            clock: seconds that only grow; when to repeat a warning is told by it.
        """
        if capacity < 1:
            raise ValueError(f"a channel for {capacity} events would drop all of them")
        self.capacity = capacity
        self.dropped = 0
        self.on_dropped: Callable[[], None] | None = None
        self._waiting: deque[ReturnEvent] = deque()
        # The loop that will call back; None where none was asked.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handing_over = False
        self._sinks: list[_Guarded] = []
        self._clock = clock
        self._drops = _Trouble(clock)

    @property
    def waiting(self) -> int:
        """Events that no sink was told of yet."""
        return len(self._waiting)

    def add_sink(
        self,
        sink: Sink,
        *,
        name: str | None = None,
        timed: bool = True,
        flush: Callable[[], None] | None = None,
    ) -> None:
        """Tell a sink of every event from now on, after the sinks that are there already.

        Args:
            sink: what is told. What one sink raises is logged, and neither the sender nor another sink sees it.
            name: what the log calls it; the name of its class or function by default.
            timed: whether the log tells of it when it takes long. One that is known not to block only takes long
                where the machine is busy with something else.
            flush: called after the last of events that are handed over together, for a sink that adds them up.

        Raises:
            TypeError: the sink cannot be called, or a call of it does nothing yet: a coroutine function or a
                generator function, which nobody would await or iterate.
        """
        if not callable(sink):
            raise TypeError(f"a sink is called with each event, and {sink!r} cannot be called")
        called = name or str(getattr(sink, "__qualname__", type(sink).__qualname__))
        if _does_nothing_yet(sink):
            raise TypeError(
                f"the sink {called} is a coroutine or generator function, and sinks are only called. "
                "Have it put events into an asyncio.Queue (put_nowait), and a task of yours take them from there."
            )
        self._sinks.append(_Guarded(sink, called, self._clock, timed=timed, flush=flush))

    def remove_sink(self, sink: Sink) -> None:
        """Tell a sink nothing any more, not even of what waits; one that is not there is no error."""
        self._sinks = [guarded for guarded in self._sinks if guarded.sink != sink]

    def send(self, event: ReturnEvent) -> None:
        """Take an event. Never blocks, and never raises."""
        waiting = self._waiting
        if len(waiting) >= self.capacity:
            self._drop()
            return
        waiting.append(event)
        # Without an exception where no loop runs, unlike get_running_loop().
        loop = asyncio._get_running_loop()
        if loop is None:
            self._hand_over_now()
        elif loop is not self._loop:
            self._ask(loop)

    def flush(self) -> None:
        """Hand over all that waits now, at once. The last thing before the process or the loop ends.

        Events that sinks send meanwhile wait for the next event or flush.
        """
        self._hand_over_now()
        self._report(final=True)

    def _hand_over_now(self) -> None:
        # A context of its own: log lines of sinks must not carry the request id of whoever sent.
        Context().run(self._hand_over, len(self._waiting))

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        loop.call_soon(self._called_back, loop, context=Context())

    def _called_back(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._hand_over(max(_BATCH, len(self._waiting) // _SHARE))
            if self._drops.count:
                self._report()
        finally:
            self._loop = None
            if self._waiting:
                self._ask(loop)

    def _hand_over(self, count: int) -> None:
        if self._handing_over:
            # A sink has sent an event where no loop runs, or flushes.
            return
        self._handing_over = True
        try:
            for _ in range(min(count, len(self._waiting))):
                event = self._waiting.popleft()
                for sink in self._sinks:
                    sink(event)
            for sink in self._sinks:
                if sink.adds_up:
                    sink.flush()
        finally:
            self._handing_over = False

    def _drop(self) -> None:
        # Only counted here. The queue is full, so a callback is due, and it will report.
        self.dropped += 1
        self._drops.happened()
        if self.on_dropped is not None:
            try:
                self.on_dropped()
            except Exception:
                _log.exception("dropped event not counted")

    def _report(self, *, final: bool = False) -> None:
        if drops := self._drops.due(final=final):
            _log.warning(
                "events dropped",
                dropped=drops,
                capacity=self.capacity,
                effect="metrics and logs miss these invocations",
                action="make the sinks faster, or remove some",
            )
        if final:
            for sink in self._sinks:
                sink.report(final=True)


class _Trouble:
    """Something that is told at most once in an interval.

    Attributes:
        count: how often it has happened since it was told last.
    """

    __slots__ = ("_clock", "_quiet_until", "count")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.count = 0
        self._quiet_until: float | None = None

    def happened(self) -> None:
        self.count += 1

    def due(self, *, final: bool = False) -> int:
        """How often it has happened since it was last told; zero where it is not time to tell."""
        if not self.count:
            return 0
        now = self._clock()
        if not final and self._quiet_until is not None and now < self._quiet_until:
            return 0
        self._quiet_until = now + _INTERVAL
        count, self.count = self.count, 0
        return count


class _Guarded:
    """A sink that harms nobody.

    Attributes:
        adds_up: whether it is to be told of the last of events that are handed over together.
    """

    __slots__ = ("_clock", "_delays", "_failures", "_flush", "_timed", "adds_up", "name", "sink")

    def __init__(
        self,
        sink: Sink,
        name: str,
        clock: Callable[[], float],
        *,
        timed: bool,
        flush: Callable[[], None] | None,
    ) -> None:
        self._timed = timed
        self._flush = flush
        self.adds_up = flush is not None
        self.sink = sink
        self.name = name
        self._clock = clock
        self._failures = _Trouble(clock)
        self._delays = _Trouble(clock)

    def __call__(self, event: ReturnEvent) -> None:
        began = self._clock()
        try:
            returned: object = self.sink(event)
            if returned is not None and inspect.isawaitable(returned):
                if inspect.iscoroutine(returned):
                    returned.close()
                raise TypeError("the sink returned something to await, and sinks are only called")
        # A cancellation is not meant for the loop's callback, which runs in no task.
        except (Exception, asyncio.CancelledError) as error:
            self._failed(error)
        if self._timed and self._clock() - began > _SLOW:
            self._delays.happened()
            self._report_delays()

    def flush(self) -> None:
        if self._flush is not None:
            try:
                self._flush()
            except (Exception, asyncio.CancelledError) as error:
                self._failed(error)

    def _failed(self, error: BaseException) -> None:
        self._failures.happened()
        self.report(error)

    def report(self, error: BaseException | None = None, *, final: bool = False) -> None:
        if failures := self._failures.due(final=final):
            _log.error("sink failed", sink=self.name, failures=failures, exc_info=error)
        if final:
            self._report_delays(final=True)

    def _report_delays(self, *, final: bool = False) -> None:
        if delays := self._delays.due(final=final):
            _log.warning(
                "sink blocks",
                sink=self.name,
                times=delays,
                longer_than=_SLOW,
                effect="all requests wait for it",
                action="have it hand events to a thread or a task",
            )


def _does_nothing_yet(sink: Sink) -> bool:
    """Whether what a call runs would be begun by an `await` or an iteration."""
    call = getattr(sink, "__call__", None)  # noqa: B004 - what an instance of a class does when it is called
    return any(
        lazy(function)
        for function in (sink, call)
        for lazy in (
            inspect.iscoroutinefunction,
            inspect.isgeneratorfunction,
            inspect.isasyncgenfunction,
        )
    )


class LogSink:
    """Logs one line, "invocation returned", for each event, with all that it tells.

    A line is bounded: names come from the configuration, interfaces are those that the gateway implements, and a
    request id is no longer than `gateway.http.request_id` allows.
    """

    def __init__(self) -> None:
        self._log = structlog.get_logger("gateway.invocations")

    def __call__(self, event: ReturnEvent) -> None:
        """Log an event."""
        self._log.info("invocation returned", **_fields(event))


def _fields(event: ReturnEvent) -> dict[str, Any]:
    """What an event tells, for JSON: times in seconds, to the microsecond."""
    phases = event.phases
    return {
        "kind": event.kind.value,
        "component": event.component,
        "digest": event.digest,
        "export": event.export,
        "request_id": event.request_id,
        "trace_id": event.trace_id,
        "route": event.route,
        "issuer": event.issuer,
        "subject": event.subject,
        "success": event.success,
        "outcome": event.outcome.value,
        "trap": None if event.trap is None else event.trap.value,
        "instantiated": event.instantiated,
        "duration": round(phases.total, 6),
        "phases": {
            "queue": round(phases.queue, 6),
            "instantiate": round(phases.instantiate, 6),
            "guest": round(phases.guest, 6),
            "host": round(phases.host, 6),
        },
        "bytes_in": event.bytes_in,
        "bytes_out": event.bytes_out,
        "deliveries": event.deliveries,
        "host_calls": dict(event.host_calls),
    }
