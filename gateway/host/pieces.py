"""Work that may be long, done in pieces, with a turn for everyone else between two of them.

Values of a component have any size, and turning a million elements from one form into another takes a second. It
must neither hold the event loop nor go on beside it: a thread that computes takes the interpreter's lock from the
loop at every call into the engine, for 5 ms each. So such work has a thread of its own that only ever runs while
the loop waits for it. It runs until it has had its time, hands back at the next `pause`, and goes on when its turn
has come. A thread is used as a stack that can be set aside, not for doing two things at once: whoever writes such
work need not think of any other thread. What it computes is the loop's time, and `loop_time` counts it.

Most values are small. `at_once` does the same work where it is called, and gives up (`Postponed`) if it gets long.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic, thread_time
from typing import Any, Final, Protocol, TypeVar

from gateway.host.errors import Exhausted, ResultTooLarge
from gateway.host.garbage import full_collections_put_off
from gateway.host.scheduler import Level, Scheduler
from gateway.host.settings import EPOCH_TICK

__all__ = ["STRETCH", "Postponed", "at_once", "in_pieces", "loop_time", "of_any_length", "pause"]

T = TypeVar("T")

STRETCH: Final = 256
"""Elements of a list between two pauses. Arbitrary: a step takes a microsecond or so."""

_AT_ONCE: Final = 2048
"""Steps that work may take where it is called. Arbitrary: about as long as a piece."""


class Postponed(Exception):
    """The work is too long to be done at once; what it has done so far is in vain."""


class _Abandoned(BaseException):
    """Nobody waits for the work any more."""


class _Pace(Protocol):
    def did(self, steps: int, size: int) -> None:
        """Hear how much is about to be done."""


class _Local(threading.local):
    pace: _Pace | None = None
    lent = 0.0


_local: Final = _Local()


def pause(steps: int, size: int = 0) -> None:
    """Say how much is about to be done; the place where others may have their turn.

    Args:
        steps: about how many steps of Python it takes.
        size: how much larger the value gets by it, at least: elements of lists, and bytes of text.

    Raises:
        Postponed: that is too much to be done at once.
        ResultTooLarge: the value gets larger than it may be.
    """
    pace = _local.pace
    if pace is not None:
        pace.did(steps, size)


def at_once(work: Callable[[], T], *, max_size: int | None = None) -> T:
    """Do work that is likely to be short.

    Args:
        work: what to do. It must be possible to do it again from the start.
        max_size: the size of the value that it makes, as `pause` is told, at most.

    Raises:
        Postponed: it is not: call `in_pieces`.
        ResultTooLarge: the value is larger.
    """
    before, _local.pace = _local.pace, _Budget(max_size)
    try:
        return work()
    finally:
        _local.pace = before


def loop_time() -> float:
    """Seconds of CPU time that this thread has computed, or work in pieces while this thread waited for it."""
    return thread_time() + _local.lent


async def in_pieces(work: Callable[[], T], *, max_size: int | None = None) -> T:
    """Do work that calls `pause` now and then, however long it is.

    Args:
        work: what to do; it runs in a thread of its own, while the loop waits.
        max_size: the size of the value that it makes, as `pause` is told, at most.

    Raises:
        ResultTooLarge: the value is larger.
        Exhausted: the system has no thread for it.
        asyncio.CancelledError: the task was cancelled; the work has ended.
    """
    scheduler = Scheduler.current()
    async with scheduler.stacks:
        with full_collections_put_off():
            if not scheduler.has_time:
                await scheduler.next_tick(Level.SHORT)
            worker = _Worker(work, max_size)
            try:
                while not _piece(worker, scheduler):
                    await scheduler.next_tick(Level.of(worker.computed))
            except BaseException:
                worker.abandon()
                raise
    result: T = worker.result()
    return result


async def of_any_length(work: Callable[[], T], *, max_size: int | None = None) -> T:
    """Do work `at_once` if it is short, and `in_pieces` if it is not, from its start.

    Raises:
        ResultTooLarge: the value that it makes is larger than `max_size`.
        Exhausted: as of `in_pieces`.
        asyncio.CancelledError: ditto.
    """
    try:
        return at_once(work, max_size=max_size)
    except Postponed:
        return await in_pieces(work, max_size=max_size)


def _piece(worker: _Worker, scheduler: Scheduler) -> bool:
    """Have a piece of work done; returns whether it was the last."""
    began, level = monotonic(), Level.of(worker.computed)
    try:
        return worker.go_on()
    finally:
        scheduler.spend(monotonic() - began, level)


class _Counted:
    """How large the value gets that is made, and how much has been done for it."""

    __slots__ = ("_max_size", "_size", "_steps")

    def __init__(self, max_size: int | None) -> None:
        self._max_size = max_size
        self._size = self._steps = 0

    def _count(self, steps: int, size: int) -> None:
        self._size += size
        if self._max_size is not None and self._size > self._max_size:
            raise ResultTooLarge(self._max_size)
        self._steps += steps


class _Budget(_Counted):
    """The pace of what is done at once."""

    __slots__ = ()

    def did(self, steps: int, size: int) -> None:
        self._count(steps, size)
        if self._steps > _AT_ONCE:
            raise Postponed


class _Worker(_Counted):
    """Work in a thread. Of the two locks, the one that is free says who runs: the work, or the loop.

    Attributes:
        computed: seconds of CPU time that the work has taken so far.
    """

    def __init__(self, work: Callable[[], Any], max_size: int | None) -> None:
        super().__init__(max_size)
        self._work = work
        self._its_turn = threading.Lock()
        self._our_turn = threading.Lock()
        self._its_turn.acquire()
        self._our_turn.acquire()
        self._thread: threading.Thread | None = None
        self._running = self._done = self._abandoned = False
        self._result: Any = None
        self._error: BaseException | None = None
        self._until = 0.0
        self.computed = 0.0
        self._cpu = self._latest = 0.0

    # For the loop.

    def go_on(self) -> bool:
        """Let it do a piece; returns whether it was the last."""
        if self._thread is None:
            self._begin_thread()
        else:
            self._running = True
            self._its_turn.release()
        self._our_turn.acquire()
        self._running = False
        _local.lent += self._latest
        self.computed += self._latest
        return self._done

    def _begin_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="pieces", daemon=True)
        try:
            self._running = True
            thread.start()
        except (RuntimeError, MemoryError) as error:  # it will never run: wait for it no more
            self._running = False
            raise Exhausted("the system has no thread for one more large value") from error
        self._thread = thread

    def result(self) -> Any:
        """What it has made, or raises what it has raised."""
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
            return self._result
        finally:
            del error, self._result

    def abandon(self) -> None:
        """Have it end, at its next pause."""
        self._abandoned = True
        if self._running:  # an exception of a signal handler came while the loop waited
            self._our_turn.acquire()
        if self._thread is not None and not self._done:
            self.go_on()

    # For the thread.

    def did(self, steps: int, size: int) -> None:
        """See whether its time is up."""
        self._count(steps, size)
        if self._steps >= STRETCH:
            self._steps = 0
            if monotonic() >= self._until:
                self._hand_back()

    def _begin(self) -> None:
        self._until = monotonic() + EPOCH_TICK
        self._cpu = thread_time()

    def _end(self) -> None:
        self._latest = thread_time() - self._cpu
        self._our_turn.release()

    def _hand_back(self) -> None:
        self._end()
        self._its_turn.acquire()
        if self._abandoned:
            raise _Abandoned
        self._begin()

    def _run(self) -> None:
        _local.pace = self
        self._begin()
        try:
            self._result = self._work()
        except BaseException as error:
            self._error = error
        finally:
            del self._work
            self._done = True
            self._end()
