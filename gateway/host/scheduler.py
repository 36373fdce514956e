"""Time among the guests of one event loop: deadlines, and turns for those that compute.

All guests of a loop run on its thread. One that is pre-empted at a tick of the epoch queues here, and one of the
queue is let go in each iteration of the loop; so however many guests spin, everything else waits for one tick
at most. Deadlines are watched by one timer for all invocations, which stops when there are none: starting and
finishing an invocation costs no timer of its own.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import OrderedDict, deque
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from gateway.host.invocation import Invocation

__all__ = ["Scheduler"]

_SWEEP: Final = 0.01
"""Seconds between two looks at the deadlines: how late a deadline may be noticed. Arbitrary."""


class Scheduler:
    """Deadlines and turns of one event loop."""

    _schedulers: ClassVar[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Scheduler]] = (
        weakref.WeakKeyDictionary()
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # The loop is the key that this object hangs on: a strong reference would keep both for ever.
        self._loop = weakref.ref(loop)
        self._turns: deque[asyncio.Future[None]] = deque()
        self._releasing = False
        # Invocations of one time limit expire in the order in which they began.
        self._watched: dict[float, OrderedDict[Invocation, None]] = {}
        self._sweeping = False

    @classmethod
    def current(cls) -> Scheduler:
        """The scheduler of the running loop."""
        loop = asyncio.get_running_loop()
        scheduler = cls._schedulers.get(loop)
        if scheduler is None:
            scheduler = cls._schedulers[loop] = cls(loop)
        return scheduler

    async def turn(self) -> None:
        """Wait for a turn to compute on."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._turns.append(turn)
        if not self._releasing:
            self._releasing = True
            loop.call_soon(self._release)
        await turn

    def _release(self) -> None:
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
                break
        loop = self._loop()
        if self._turns and loop is not None:
            loop.call_soon(self._release)
        else:
            self._releasing = False

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
