"""`wasi:clocks`: the time, and timers to wait for.

The monotonic clock counts nanoseconds from the start of the invocation, so no guest learns how long the machine
has been up. A timer is a `Deadline`: it holds a timer of the loop only while its guest waits for it.

To wait for a clock is the adapter's in WASI 0.3 (`gateway.bindings.p3.tasks`).

Source: `wasi:clocks@0.2.12`, `monotonic-clock.wit`, `wall-clock.wit`; `wasi:clocks@0.3.2`, `monotonic-clock.wit`,
`system-clock.wit`, `types.wit`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import get_clock_info, monotonic_ns, time_ns
from typing import Final

from gateway.bindings.context import State, WasiCtx
from gateway.bindings.io import Pollable, Source
from gateway.host.binding import HostInterface

__all__ = ["INTERFACES", "ClockCtx", "Deadline"]

_SECOND: Final = 1_000_000_000
_MILLISECOND: Final = 1_000_000

_MONOTONIC_RESOLUTION: Final = max(1, round(get_clock_info("monotonic").resolution * _SECOND))
_WALL_RESOLUTION: Final = max(1, round(get_clock_info("time").resolution * _SECOND))


class ClockCtx(State):
    """The time of day of an invocation.

    Args:
        wall_ns: gives it, in nanoseconds since 1970.
    """

    __slots__ = ("wall_ns",)

    def __init__(self, wall_ns: Callable[[], int] = time_ns) -> None:
        self.wall_ns = wall_ns


class Deadline(Source):
    """Ready once a point in time has come, and ever after.

    Args:
        at: nanoseconds on the clock of `time.monotonic_ns`. Any number: a point in the past is ready at once, one
            beyond the age of the universe never.
    """

    __slots__ = ("_timers", "due")

    due: int

    def __init__(self, at: int) -> None:
        self.due = at
        self._timers: dict[asyncio.Future[None], asyncio.TimerHandle] = {}

    def ready(self) -> bool:
        """Whether the time has come."""
        return monotonic_ns() >= self.due

    def watch(self, waiter: asyncio.Future[None]) -> None:
        """Complete a future when the time has come."""
        if waiter in self._timers:
            return
        # Rounded up to what loops count in: a timer that fired early would only be set again.
        milliseconds = -((monotonic_ns() - self.due) // _MILLISECOND)
        # Both asyncio and uvloop take a delay of any size, and cut what they cannot count; the waiter looks again.
        timer = waiter.get_loop().call_later(milliseconds / 1000, _complete, waiter)
        self._timers[waiter] = timer

    def unwatch(self, waiter: asyncio.Future[None]) -> None:
        """Forget a future, and its timer."""
        timer = self._timers.pop(waiter, None)
        if timer is not None:
            timer.cancel()


def _complete(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


# --- the interfaces ----------------------------------------------------------------------------------------

monotonic_clock = HostInterface("wasi:clocks/monotonic-clock", "0.2.12")
wall_clock = HostInterface("wasi:clocks/wall-clock", "0.2.12")
monotonic_clock_p3 = HostInterface("wasi:clocks/monotonic-clock", "0.3.2")
system_clock = HostInterface("wasi:clocks/system-clock", "0.3.2")
types = HostInterface("wasi:clocks/types", "0.3.2")  # has a type, and no functions
INTERFACES = (monotonic_clock, wall_clock, monotonic_clock_p3, system_clock, types)


@monotonic_clock.function("now")
@monotonic_clock_p3.function("now")
def monotonic_now(ctx: WasiCtx) -> int:
    """Nanoseconds since the invocation began."""
    return monotonic_ns() - ctx.started_ns


@monotonic_clock.function("resolution")
@monotonic_clock_p3.function("get-resolution")
def monotonic_resolution(_ctx: WasiCtx) -> int:
    """Nanoseconds between two ticks of the clock."""
    return _MONOTONIC_RESOLUTION


@monotonic_clock.function("subscribe-instant")
def subscribe_instant(ctx: WasiCtx, when: int) -> Pollable:
    """A pollable that is ready from a point in time on."""
    return Pollable(Deadline(ctx.started_ns + when))


@monotonic_clock.function("subscribe-duration")
def subscribe_duration(_ctx: WasiCtx, when: int) -> Pollable:
    """A pollable that is ready once some nanoseconds have passed."""
    return Pollable(Deadline(monotonic_ns() + when))


def _datetime(nanoseconds: int) -> dict[str, int]:
    seconds, rest = divmod(nanoseconds, _SECOND)
    return {"seconds": seconds, "nanoseconds": rest}


@wall_clock.function("now")
@system_clock.function("now")
def wall_now(ctx: WasiCtx) -> dict[str, int]:
    """The time since 1970-01-01T00:00:00Z, a `datetime` or `instant`; it may jump and go backwards."""
    return _datetime(ctx.of(ClockCtx).wall_ns())


@wall_clock.function("resolution")
def wall_resolution(_ctx: WasiCtx) -> dict[str, int]:
    """The time between two ticks of the clock, a `datetime`."""
    return _datetime(_WALL_RESOLUTION)


@system_clock.function("get-resolution")
def system_resolution(_ctx: WasiCtx) -> int:
    """Nanoseconds between two ticks of the clock."""
    return _WALL_RESOLUTION
