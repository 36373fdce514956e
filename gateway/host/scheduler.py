"""Time among the guests of one event loop: deadlines, and turns for those that compute.

All guests of a loop run on its thread. In each turn of the loop they get so much time at most:

- A quarter of a millisecond is for guests that begin, or that go on after they have waited. While it lasts they
  run at once, without having touched the loop; then they queue, in lanes, and the lane that has had the least time
  goes first. It is a tick for those whose clients keep their connections, for whose sake it is short; and for all
  while a crowd of those waits.
- One tick is for a guest that was pre-empted, or for a piece of long work (`gateway.host.pieces`). Those queue by
  themselves, and one is let go in each turn, or in every other one while guests wait in lanes. Before it comes to
  that, each guest goes on at the head of the others a few times: most need little more than a tick, and some would
  be served much later than their equals only for having been there when a tick came.

So however many guests spin, those that do not are hardly later for it; and however many begin, those that spin get
their share.

Lanes are served by start-time fair queueing: each has a clock, which its guests' time moves on, and one that was
idle begins again where the others are. A guest whose lane is behind them does not queue at all.

Deadlines are watched by one timer for all invocations, which stops when there are none: starting and
finishing an invocation costs no timer of its own.
"""

from __future__ import annotations

import asyncio
import enum
import weakref
from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import islice
from time import monotonic
from typing import ClassVar, Final, Protocol

from gateway.host.settings import EPOCH_TICK

__all__ = ["AT_ONCE", "SHARE", "Expiring", "Lane", "Scheduler"]

_SWEEP: Final = 0.01
"""Seconds between two looks at the deadlines: how late a deadline may be noticed. Arbitrary."""

AT_ONCE: Final = 16
"""Invocations whose deadlines are noticed in one turn of the loop: freeing each takes some 0.1 ms, and those of
clients that came together expire together."""

SHARE: Final = 0.00025
"""Seconds in each turn of the loop for guests that begin or have waited, if their clients are new or send ahead;
the last of them may take longer. Those of other clients wait for the end of it, so less is better, as long as a
turn of the loop by itself takes less: some 50 us. Those others have a tick."""

_CROWD: Final = 16
"""Guests of clients that keep their connections, of which so many wait that all lanes have a tick: they wait for
each other then, and fewer turns serve more. Arbitrary."""

_STACKS: Final = 64
"""Long works that are done in pieces at once, each with a thread. Threat: clients that send a long text each.
Arbitrary: short ones among them still have their turns, and a service may have many more threads (`TasksMax=`)."""


class Expiring(Protocol):
    """What has a deadline.

    Attributes:
        max_execution_time: seconds that it may take.
        deadline: when they are over, by `time.monotonic`.
    """

    max_execution_time: float
    deadline: float

    def expire(self) -> None:
        """End it: the deadline has passed."""


class Lane(enum.IntEnum):
    """Where an invocation queues, by how its caller came.

    Lanes get the same time where they want it, so a client that keeps its connection and waits for its answers is
    hardly later for thousands that connect and leave, or that send requests ahead; and no lane is left without.
    """

    KEPT = 0
    """On a connection that has had an answer before."""
    NEW = 1
    """The first of a connection, or of who has none."""
    AHEAD = 2
    """Sent before the answer to the one before it was there."""


class _Queue:
    """A lane: those that wait in it, and its clock, the time that its guests have had."""

    __slots__ = ("clock", "waiting")

    def __init__(self) -> None:
        self.clock = 0.0
        self.waiting: deque[_Waiting] = deque()


class _Waiting:
    """A guest that waits until there is time for it; its place stays the same while others use that up."""

    __slots__ = ("turn",)

    def __init__(self, turn: asyncio.Future[None]) -> None:
        self.turn = turn


class Scheduler:
    """Deadlines and turns of one event loop.

    Attributes:
        has_time: whether any guest that begins or has waited may run now. Where there is none for all, `may_run`
            tells of one, and otherwise `turn` comes first.
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
        self._lanes = tuple(_Queue() for _ in Lane)
        self._number_waiting = 0
        self._clock = 0.0
        self._spent = 0.0
        self._ran = 0
        self._releasing = False
        self._spin = False
        self.has_time = True
        self.stacks = asyncio.Semaphore(_STACKS)
        # Invocations of one time limit expire in the order in which they began.
        self._watched: dict[float, OrderedDict[Expiring, None]] = {}
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

    def spend(self, seconds: float, lane: Lane | None = None) -> None:
        """Count that guests have run for so long. To be called each time one has.

        Args:
            seconds: how long.
            lane: whose time that was; None for work that has none.
        """
        self._spent += seconds
        self._ran += 1
        if lane is not None:
            queue = self._lanes[lane]
            if queue.waiting:
                self._clock = max(self._clock, queue.clock)
            else:  # as `_catch_up`
                self._clock = queue.clock = max(self._clock, queue.clock)
            queue.clock += seconds
        if self._spent > SHARE:
            self.has_time = False
        if not self._releasing:
            self._begin_to_release()

    def may_run(self, lane: Lane) -> bool:
        """Whether a guest may run now: there is time for any, or its lane is behind others, or may have more."""
        if self.has_time:
            return True
        queue = self._lanes[lane]
        if queue.waiting:
            return False
        return queue.clock <= self._clock or (
            lane is Lane.KEPT and not self._number_waiting and self._spent <= EPOCH_TICK
        )

    async def turn(self, lane: Lane = Lane.NEW, *, first: bool = False) -> None:
        """Wait until there is time for a guest that begins or has waited.

        Args:
            lane: where it queues.
            first: whether it goes before all that wait there.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(loop.create_future())
        queue = self._lanes[lane]
        self._catch_up(queue)
        if first:
            queue.waiting.appendleft(waiting)
        else:
            queue.waiting.append(waiting)
        self._number_waiting += 1
        self.has_time = False
        if not self._releasing:
            self._begin_to_release()
        try:
            await waiting.turn
            while self._spent > self._share(lane):  # those before have used it up
                waiting.turn = loop.create_future()
                await waiting.turn
        finally:
            # It is the first, or next to it, but for those that were cancelled.
            queue.waiting.remove(waiting)
            self._number_waiting -= 1
            self.has_time = not self._number_waiting and self._spent <= SHARE

    async def next_tick(self) -> None:
        """Wait for the tick of a guest that was pre-empted, or of other work that takes milliseconds."""
        turn = asyncio.get_running_loop().create_future()
        self._spinning.append(turn)
        if not self._releasing:
            self._begin_to_release()
        await turn

    def _share(self, lane: Lane) -> float:
        """How much time guests may have had in this turn for one more of a lane, in seconds."""
        crowded = len(self._lanes[Lane.KEPT].waiting) > _CROWD
        return EPOCH_TICK if crowded or lane is Lane.KEPT else SHARE

    def _catch_up(self, queue: _Queue) -> None:
        """Have a lane that was idle go on where the others are: it has saved up no time."""
        if not queue.waiting:
            queue.clock = max(queue.clock, self._clock)

    def _begin_to_release(self) -> None:
        loop = self._loop()
        if loop is not None:
            self._releasing = True
            loop.call_soon(self._release)

    def _release(self) -> None:
        """Begin a turn of the loop."""
        self._spin = bool(self._spinning) and not (self._spin and self._number_waiting)
        if self._spin:
            while self._spinning and not _complete(self._spinning.popleft()):
                pass
        elif self._number_waiting:
            # Twice as many as ran in the last turn: where guests take long, waking all would be for nothing.
            for waiting in islice(self._in_turns(), 2 * self._ran + 1):
                _complete(waiting.turn)
        self._spent = 0.0
        self._ran = 0
        self._releasing = False
        self.has_time = not self._number_waiting
        if self._number_waiting or self._spinning:
            self._begin_to_release()

    def _in_turns(self) -> Iterator[_Waiting]:
        """Those that wait, the lane first that has had the least time."""
        for queue in sorted(self._lanes, key=lambda queue: queue.clock):
            yield from queue.waiting

    def watch(self, invocation: Expiring) -> None:
        """Have an invocation's `expire` called once its deadline has passed."""
        self._watched.setdefault(invocation.max_execution_time, OrderedDict())[invocation] = None
        if not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(_SWEEP, self._sweep)

    def unwatch(self, invocation: Expiring) -> None:
        """Forget an invocation."""
        watched = self._watched.get(invocation.max_execution_time)
        if watched is not None:
            watched.pop(invocation, None)

    def _sweep(self) -> None:
        """Notice the deadlines that have passed, and look again when it is time to."""
        left = AT_ONCE
        for limit, watched in list(self._watched.items()):
            left = self._expire(watched, left)
            if not watched:
                del self._watched[limit]
        loop = self._loop()
        if not self._watched or loop is None:
            self._sweeping = False
        elif left:
            loop.call_later(_SWEEP, self._sweep)
        else:
            loop.call_soon(self._sweep)

    @staticmethod
    def _expire(watched: OrderedDict[Expiring, None], most: int) -> int:
        """Expire those whose deadlines have passed, the first ones; returns how many more it could have been."""
        now = monotonic()
        while watched and most:
            invocation = next(iter(watched))
            if invocation.deadline > now:
                break
            del watched[invocation]
            invocation.expire()
            most -= 1
        return most


def _complete(turn: asyncio.Future[None]) -> bool:
    """Complete a future, unless somebody has given it up."""
    if turn.done():
        return False
    turn.set_result(None)
    return True
