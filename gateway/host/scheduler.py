"""Time among the guests of one event loop: deadlines, and turns for those that compute.

All guests of a loop run on its thread. In each turn of the loop they get so much time at most:

- A quarter of a millisecond is for guests that begin, or that go on after they have waited. While it lasts they
  run at once, without having touched the loop; then they queue, in lanes, and the lane that has had the least time
  goes first. It is a tick for those whose clients keep their connections, for whose sake it is short; and for
  all while a crowd of those waits, or while guests are there that were pre-empted, whose turns are long anyway.
- One tick is for a guest that was pre-empted, or for a piece of long work (`gateway.host.pieces`). Those queue by
  themselves, and one is let go in each turn, or in every other one while guests wait in lanes; after all that
  arrived before it in that turn. They queue by how long they have computed: who has had little goes first, as long
  as its equals together have not had more than their share.

So however many guests spin, those that do not are hardly later for it; and however many begin, those that spin get
their share. While many wait to begin and others spin, those who begin are pre-empted sooner than otherwise
(`slice`): none can tell which of them are short, and all who are wait for those before them.

A guest whose lane is behind the others does not queue at all (`gateway.host.fair_queues`).

Deadlines are watched by one timer for all invocations, which stops when there are none: starting and
finishing an invocation costs no timer of its own.
"""

from __future__ import annotations

import asyncio
import enum
import weakref
from collections import OrderedDict
from itertools import islice
from time import monotonic
from typing import ClassVar, Final, Protocol

from gateway.host.fair_queues import FairQueues
from gateway.host.settings import EPOCH_TICK

__all__ = ["AT_ONCE", "NEWCOMERS", "SHARE", "Expiring", "Lane", "Level", "Scheduler"]

_SWEEP: Final = 0.01
"""Seconds between two looks at the deadlines: how late a deadline may be noticed. Arbitrary."""

AT_ONCE: Final = 16
"""Invocations whose deadlines are noticed in one turn of the loop: freeing each takes some 0.1 ms, and those of
clients that came together expire together."""

SHARE: Final = 0.00025
"""Seconds in each turn of the loop for guests that begin or have waited, if their clients are new or send ahead;
the last of them may take longer. Those of other clients wait for the end of it, so less is better, as long as a
turn of the loop by itself takes less: some 50 us. Those others have a tick."""

NEWCOMERS: Final = 64
"""Guests of new connections that wait, while more are accepted: those behind them wait in the kernel's queue, and
cost nothing. Arbitrary: so many that hardly any waits there who would have its turn before these."""

_SLICE: Final = EPOCH_TICK / 2
"""Seconds of uninterrupted computing that make a guest queue for its next turn. One that is pre-empted sooner was
only there when a tick came."""

_BRIEF: Final = EPOCH_TICK / 10
"""The same while a crowd waits to begin and others spin; ticks come every millisecond then. Two hundred that begin
have all had their first slice after a fifth of a second, or after twice that where others have spun before."""

_CROWD: Final = 16
"""Guests that wait in a lane, of which so many are a crowd. Where they keep their connections all lanes have the
same share of a turn: they wait for each other then, and fewer turns serve more. Arbitrary."""

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


class Level(enum.IntEnum):
    """Where a guest queues that was pre-empted, by what it has computed so far.

    Each has a share of the time where it wants it, so that nobody waits for ever for those who have had less.
    """

    SHORT = 0
    """Two ticks at most."""
    LONG = 1
    """Twenty."""
    ENDLESS = 2
    """More."""

    @classmethod
    def of(cls, seconds: float) -> Level:
        """That of one which has computed for so long."""
        if seconds < 2 * EPOCH_TICK:
            return cls.SHORT
        return cls.LONG if seconds < 20 * EPOCH_TICK else cls.ENDLESS


_SHARES: Final = (4.0, 2.0, 1.0)
"""How the time of those that were pre-empted is shared by `Level`. Arbitrary."""


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
        slice: seconds that a guest which begins may compute; it is pre-empted by the next tick that comes then.
        stacks: places for work that is done in pieces (`gateway.host.pieces`).
    """

    _schedulers: ClassVar[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Scheduler]] = (
        weakref.WeakKeyDictionary()
    )
    _latest: ClassVar[Scheduler | None] = None

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # The loop is the key that this object hangs on: a strong reference would keep both for ever.
        self._loop = weakref.ref(loop)
        self._levels: FairQueues[asyncio.Future[None]] = FairQueues(_SHARES)
        self._lanes: FairQueues[_Waiting] = FairQueues([1.0] * len(Lane))
        self._spent = 0.0
        self._ran = 0
        self._releasing = False
        self._spin = False
        self.has_time = True
        self.slice = _SLICE
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

    def spend(self, seconds: float, whose: Lane | Level) -> None:
        """Count that a guest has run for so long. To be called each time one has.

        Args:
            seconds: how long.
            whose: where it has queued, or would have.
        """
        self._spent += seconds
        self._ran += 1
        (self._lanes if isinstance(whose, Lane) else self._levels).spend(whose, seconds)
        if self._spent > SHARE:
            self.has_time = False
        if not self._releasing:  # for each request: `_begin_to_release`, without a call
            self._releasing = True
            asyncio.get_running_loop().call_soon(self._release)

    def may_run(self, lane: Lane) -> bool:
        """Whether a guest may run now: there is time for any, or its lane is behind others, or may have more."""
        if self.has_time:
            return True
        lanes = self._lanes
        if lanes.number_in(lane):
            return False
        return not lanes.is_ahead(lane) or (
            lane is Lane.KEPT and not lanes.waiting and self._spent <= EPOCH_TICK
        )

    def may_come(self, lane: Lane) -> bool:
        """Whether a lane has room for more: fewer than `NEWCOMERS` wait in it."""
        return self._lanes.number_in(lane) < NEWCOMERS

    async def turn(self, lane: Lane = Lane.NEW) -> None:
        """Wait until there is time for a guest that begins or has waited, and queues in that lane."""
        loop = asyncio.get_running_loop()
        waiting, lanes = _Waiting(loop.create_future()), self._lanes
        lanes.add(lane, waiting)
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
            lanes.remove(lane, waiting)
            self.has_time = not lanes.waiting and self._spent <= SHARE

    async def next_tick(self, level: Level) -> None:
        """Wait for the tick of a guest that was pre-empted, or of other work that takes milliseconds."""
        turn = asyncio.get_running_loop().create_future()
        self._levels.add(level, turn)
        if not self._releasing:
            self._begin_to_release()
        await turn

    def _share(self, lane: Lane) -> float:
        """How much time guests may have had in this turn for one more of a lane, in seconds."""
        long = self._levels.waiting or self._lanes.number_in(Lane.KEPT) > _CROWD
        return EPOCH_TICK if long or lane is Lane.KEPT else SHARE

    def _begin_to_release(self) -> None:
        self._releasing = True
        asyncio.get_running_loop().call_soon(self._release)

    def _release(self) -> None:
        """Begin a turn of the loop."""
        lanes, spinning = self._lanes, self._levels.waiting
        self._spin = bool(spinning) and not (self._spin and lanes.waiting)
        if lanes.waiting and not self._spin:
            # Twice as many as ran in the last turn: where guests take long, waking all would be for nothing.
            for waiting in islice(lanes.in_turns(), 2 * self._ran + 1):
                _complete(waiting.turn)
        self._spent = 0.0
        self._ran = 0
        self._releasing = False
        self.has_time = not lanes.waiting
        self.slice = _BRIEF if spinning and lanes.waiting > _CROWD else _SLICE
        if self._spin:
            # What is read before the next turn of the loop goes before it: that would wait for all of its tick.
            self._releasing = True
            asyncio.get_running_loop().call_soon(self._let_spin)
        elif lanes.waiting or spinning:
            self._begin_to_release()

    def _let_spin(self) -> None:
        """Have one go on that was pre-empted, the others of this turn having had theirs."""
        while self._levels.waiting and not _complete(self._levels.pop()):
            pass
        self._begin_to_release()

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
