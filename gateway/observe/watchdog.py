"""How long one thing held the event loop, and what it was.

Everything shares the loop's thread, so whatever holds it for long makes everybody wait. A timer of the loop
beats every `_INTERVAL`; one that beats late tells how long the turn of the loop lasted that it had to wait for.
A thread looks at the loop's stack while a beat is overdue, and so knows what ran then. What runs on the loop
notes nothing on its way, and pays for neither.

A turn is measured twice. Its **time** is what others had to wait, whatever the cause: the disk, a full pipe, or a
machine that gave its processors to somebody else. Its **CPU time** is what the loop's thread computed meanwhile,
or work in pieces that it waited for (`gateway.host.pieces`): no other process can make that longer.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable
from time import monotonic
from types import FrameType
from typing import Final, NamedTuple

import structlog

from gateway.host.callbacks import host_function
from gateway.host.invocation import is_guest
from gateway.host.pieces import loop_time

__all__ = ["BOUND", "Stall", "StallLog", "Watchdog"]

_log = structlog.get_logger("gateway.watchdog")

BOUND: Final = 0.05
"""Seconds that anything may hold the loop: ten turns of a guest that computes. What takes longer is a stall."""

_INTERVAL: Final = 0.02
"""Seconds between two beats, and between two looks. A stall is told as shorter than it was by this at most, so one
hardly longer than `BOUND` may go unnoticed. Arbitrary."""

_IDLE_INTERVAL: Final = 0.05
"""The same on a loop that had nothing to do for a while: 20 beats and 20 looks a second cost 0.3 % of a core."""

_IDLE: Final = 0.001
"""Seconds of CPU time between two beats of a loop that has next to nothing to do. A beat takes a tenth of that."""

_IDLE_BEATS: Final = 50
"""Beats of such a loop before it is left alone for longer."""

_OVERDUE: Final = 0.7 * BOUND
"""Seconds that a beat is late before the thread looks at the stack: so early that each stall is looked at once.
Until then the thread sleeps: whenever it wakes it takes the interpreter's lock from the loop. Fifty times a
second, that made requests on a busy machine cost 5 % more."""

_MOST_LOOKS: Final = 500
"""Looks that are remembered of one stall: those of its last 10 s."""

_DEPTH: Final = 8
"""Frames of the stack that are told."""

_WORTH_A_LINE: Final = 0.25
"""Seconds of a stall that is logged. Arbitrary: five times what anything may take, so that a busy machine does not
fill the log."""

_LINE_INTERVAL: Final = 10.0
"""Seconds between two lines about stalls at least. Threat: a guest that stalls the loop again and again."""


_COMPUTED: Final = "it computed"
_WAITED: Final = "the machine was busy with something else, or it waited for a disk"


class Stall(NamedTuple):
    """A turn of the event loop that took too long.

    Attributes:
        where: what held the loop: `guest` for a guest's own code, a host function by its name in WIT (such as
            `wasi:http/types#[method]fields.set`), a module of the gateway, or `other`. As many values as there are
            of those: nothing that a client or a guest chooses.
        seconds: how long others waited for it.
        cpu_seconds: how much of that the loop's thread computed.
        stack: what it was doing, innermost first; empty if nobody had looked.
    """

    where: str
    seconds: float
    cpu_seconds: float
    stack: tuple[str, ...]


class StallLog:
    """Warns of the longest stalls, now and then."""

    def __init__(self) -> None:
        self._next = 0.0
        self._unsaid = 0

    def __call__(self, stall: Stall) -> None:
        """Log a stall, if it is one of those."""
        if stall.seconds < _WORTH_A_LINE:
            return
        now = monotonic()
        if now < self._next:
            self._unsaid += 1
            return
        _log.warning(
            "event loop held",
            where=stall.where,
            seconds=round(stall.seconds, 3),
            cpu_seconds=round(stall.cpu_seconds, 3),
            frames=list(stall.stack),  # structlog writes a "stack" itself, which must be text
            likely=_COMPUTED if stall.cpu_seconds > stall.seconds / 2 else _WAITED,
            effect="nothing else was served meanwhile",
            since_last_line=self._unsaid,
        )
        self._next = now + _LINE_INTERVAL
        self._unsaid = 0


class Watchdog:
    """Watches the loop that it is started on.

    Args:
        tell: called with each stall, on the loop, once it is over.
    """

    def __init__(self, tell: Callable[[Stall], None]) -> None:
        self._tell = tell
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._cpu = 0.0
        self._interval = _INTERVAL
        self._idle_beats = 0
        # Where which beat was missed: a look that comes late is not taken for the next one's.
        self._looks: deque[tuple[float, _Place]] = deque(maxlen=_MOST_LOOKS)
        self._running = threading.Lock()

    def start(self) -> None:
        """Begin to watch the running loop, if it has not begun."""
        if self._timer is not None:
            return
        self._running = threading.Lock()
        self._running.acquire()
        self._expect(asyncio.get_running_loop(), monotonic())
        threading.Thread(
            target=self._look,
            args=(threading.get_ident(), self._running),
            name="loop-watchdog",
            daemon=True,
        ).start()

    def stop(self) -> None:
        """End. What has held the loop until now is told. To be called on the loop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._running.release()
            self._measure(monotonic())

    def _expect(self, loop: asyncio.AbstractEventLoop, now: float) -> None:
        self._cpu = loop_time()
        self._due = now + self._interval
        self._timer = loop.call_later(self._interval, self._beat, loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        now = monotonic()
        self._measure(now)
        self._idle_beats = self._idle_beats + 1 if loop_time() - self._cpu < _IDLE else 0
        self._interval = _IDLE_INTERVAL if self._idle_beats > _IDLE_BEATS else _INTERVAL
        self._expect(loop, now)

    def _measure(self, now: float) -> None:
        held = now - self._due
        if held <= BOUND:
            self._looks.clear()
            return
        # All but this may have gone into turns that ended before the beat was due.
        computed = max(0.0, loop_time() - self._cpu - self._interval)
        places = [place for due, place in list(self._looks) if due == self._due]
        self._looks.clear()
        where: str = "other"
        stack: tuple[str, ...] = ()
        if places:
            where = Counter(place.where for place in places).most_common(1)[0][0]
            stack = next(place.stack for place in places if place.where == where)
        self._tell(Stall(where, held, min(held, computed), stack))

    def _look(self, thread: int, running: threading.Lock) -> None:
        wait = _OVERDUE
        while not running.acquire(timeout=wait):
            due = self._due
            wait = due + _OVERDUE - monotonic()
            if wait <= 0:
                wait = _INTERVAL
                frame = sys._current_frames().get(thread)
                if frame is not None and due == self._due:
                    self._looks.append((due, _place(frame)))


class _Place(NamedTuple):
    """Where a thread was: the `where` and the `stack` of a `Stall`."""

    where: str
    stack: tuple[str, ...]


def _place(frame: FrameType) -> _Place:
    where: str | None = "guest" if is_guest(frame) else None
    module: str | None = None
    stack: list[str] = []
    at: FrameType | None = frame
    while at is not None:
        code = at.f_code
        name = at.f_globals.get("__name__", "")
        if len(stack) < _DEPTH:
            stack.append(f"{name}:{code.co_qualname}:{at.f_lineno}")
        if module is None and name.startswith("gateway.") and name != __name__:
            module = name
        where = where or host_function(at)
        at = at.f_back
    return _Place(where or module or "other", tuple(stack))
