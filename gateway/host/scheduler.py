"""Time among the guests of one event loop: deadlines, and turns for those that compute.

All guests of a loop run on its thread. In each turn of the loop they get two ticks of the epoch at most:

- One tick is for guests that begin, or that go on after they have waited. While it lasts they run at once, without
  having touched the loop; then they queue, and go first in the next turn.
- One tick is for a guest that was pre-empted, or for a piece of long work (`gateway.host.pieces`). Those queue by
  themselves, and one is let go in each turn. Before it comes to that, each guest goes on at the head of the others
  a few times: most need little more than a tick, and some would be served much later than their equals only for
  having been there when a tick came.

So however many guests spin, those that do not are hardly later for it; and however many begin, those that spin get
their share.

Deadlines are watched by one timer for all invocations, which stops when there are none: starting and
finishing an invocation costs no timer of its own.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import OrderedDict, deque
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Final

from gateway.host.engine import EPOCH_TICK

if TYPE_CHECKING:
    from gateway.host.invocation import Invocation

__all__ = ["Scheduler"]

_SWEEP: Final = 0.01
"""Seconds between two looks at the deadlines: how late a deadline may be noticed. Arbitrary."""


_STACKS: Final = 64
"""Long works that are done in pieces at once, each with a thread. Threat: clients that send a long text each.
Arbitrary: short ones among them still have their turns, and a service may have many more threads (`TasksMax=`)."""


class _Waiting:
    """A guest that waits until there is time for it; its place stays the same while others use that up."""

    __slots__ = ("turn",)

    def __init__(self, turn: asyncio.Future[None]) -> None:
        self.turn = turn


class Scheduler:
    """Deadlines and turns of one event loop.

    Attributes:
        has_time: whether a guest that begins or has waited may run now. Otherwise, `turn` comes first.
        stacks: places for work that is done in pieces (`gateway.host.pieces`).
    """

    _schedulers: ClassVar[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Scheduler]] = (
        weakref.WeakKeyDictionary()
    )
    _latest: ClassVar[Scheduler | None] = None

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # The loop is the key that this object hangs on: a strong reference would keep both for ever.
        self._loop = weakref.ref(loop)
        self._spinning: deque[asyncio.Future[None]] = deque()
        self._waiting: deque[_Waiting] = deque()
        self._spent = 0.0
        self._ran = 0
        self._releasing = False
        self.has_time = True
        self.stacks = asyncio.Semaphore(_STACKS)
        # Invocations of one time limit expire in the order in which they began.
        self._watched: dict[float, OrderedDict[Invocation, None]] = {}
        self._sweeping = False

    @classmethod
    def current(cls) -> Scheduler:
        """The scheduler of the running loop."""
        loop = asyncio.get_running_loop()
        # Nearly always there is one loop only.
        latest = cls._latest
        if latest is not None and latest._loop() is loop:
            return latest
        scheduler = cls._schedulers.get(loop)
        if scheduler is None:
            scheduler = cls._schedulers[loop] = cls(loop)
        cls._latest = scheduler
        return scheduler

    def spend(self, seconds: float) -> None:
        """Count that guests have run for so long. To be called each time one has."""
        self._spent += seconds
        self._ran += 1
        if self._spent > EPOCH_TICK:
            self.has_time = False
        if not self._releasing:
            self._begin_to_release()

    async def turn(self, *, first: bool = False) -> None:
        """Wait until there is time for a guest that begins or has waited.

        Args:
            first: whether it goes before all that wait, in the next turn.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(loop.create_future())
        if first:
            self._waiting.appendleft(waiting)
        else:
            self._waiting.append(waiting)
        self.has_time = False
        if not self._releasing:
            self._begin_to_release()
        try:
            await waiting.turn
            while self._spent > EPOCH_TICK:  # those before have used it up
                waiting.turn = loop.create_future()
                await waiting.turn
        finally:
            # It is the first, or next to it, but for those that were cancelled.
            self._waiting.remove(waiting)
            self.has_time = not self._waiting and self._spent <= EPOCH_TICK

    async def next_tick(self) -> None:
        """Wait for the tick of a guest that was pre-empted, or of other work that takes milliseconds."""
        turn = asyncio.get_running_loop().create_future()
        self._spinning.append(turn)
        if not self._releasing:
            self._begin_to_release()
        await turn

    def _begin_to_release(self) -> None:
        loop = self._loop()
        if loop is not None:
            self._releasing = True
            loop.call_soon(self._release)

    def _release(self) -> None:
        """Begin a turn of the loop."""
        # Twice as many as ran in the last turn: where guests take long, waking all that wait would be for nothing.
        for waiting in islice(self._waiting, 2 * self._ran + 1):
            _complete(waiting.turn)
        while self._spinning:
            if _complete(self._spinning.popleft()):
                break
        self._spent = 0.0
        self._ran = 0
        self._releasing = False
        self.has_time = not self._waiting
        if self._waiting or self._spinning:
            self._begin_to_release()

    def watch(self, invocation: Invocation) -> None:
        """Have an invocation's `expire` called once its deadline has passed."""
        self._watched.setdefault(invocation.max_execution_time, OrderedDict())[invocation] = None
        if not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(_SWEEP, self._sweep)

    def unwatch(self, invocation: Invocation) -> None:
        """Forget an invocation."""
        watched = self._watched.get(invocation.max_execution_time)
        if watched is not None:
            watched.pop(invocation, None)

    def _sweep(self) -> None:
        now = monotonic()
        for limit, watched in list(self._watched.items()):
            while watched:
                invocation = next(iter(watched))
                if invocation.deadline > now:
                    break
                del watched[invocation]
                invocation.expire()
            if not watched:
                del self._watched[limit]
        loop = self._loop()
        if self._watched and loop is not None:
            loop.call_later(_SWEEP, self._sweep)
        else:
            self._sweeping = False


def _complete(turn: asyncio.Future[None]) -> bool:
    """Complete a future, unless somebody has given it up."""
    if turn.done():
        return False
    turn.set_result(None)
    return True
