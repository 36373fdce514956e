"""Who may invoke now, who waits, and who is turned away.

Theory of operation
-------------------
An `Admission` counts the places of one worker, a `Gate` those of one component. An invocation takes one of
each, as one `Place`, and gives both back when it ends. If there is none, it waits in the queue of its gate,
which is bounded in length and in time; what does not fit, or has waited too long, is refused with `NoRoom`. So
the latency of what is accepted stays bounded under any load, and so does the memory of what waits.

A gate is *ready* if somebody waits at it and it has a place of its own: it lacks nothing but a place of the
worker. Ready gates stand in line, in `Admission._line`. A place that becomes free goes to the first of them,
for the first that waits there, and that gate goes to the end of the line if it is still ready. Thus components
take turns however many requests wait for each of them, and the requests of one component are served in the
order of their arrival.

The invariants:

1. Where the worker has a free place, no gate is ready. Places are given away as soon as they are free, by
   whoever frees them; hence one that finds both a place of the gate and one of the worker passes nobody by
   entering at once.
2. A place belongs to its next holder, and is counted, from the moment in which it is handed over: before the
   task that waits for it has run again. No newcomer can come between. A task that is cancelled in that moment
   gives the place back, to the next in line.
3. A gate stands in line exactly if it is ready, and once.

What can wait elsewhere as well, as messages do, waits *patiently*: in a queue of its own, which is for those who
wait there to bound, and for as long as it takes. Of both queues, who has come first is the next.

An invocation that another one waits for, in a call by a link, goes *within* that one's place of the worker: it
needs a place of its gate alone. Otherwise callers that hold all places of the worker would keep out those that
they wait for. Who waits so has a queue of its own at the gate, and goes first: a place stays taken for each.

All who wait at a gate otherwise may wait equally long, so the order of arrival is the order in which their time
is up. A gate therefore needs one timer, for its first; it is not moved when that one is served but looks again
when it fires, which it does at most once for each that waited. With a timer for each, serving somebody would
mean to cancel one, and cancelled timers stay in asyncio's heap until half of it is cancelled. If the event loop
was late, a place does not go to somebody whose time is up although the timer has not fired yet.

Nothing here takes longer the more there are that wait. One event loop, no threads, no locks: nothing between
two `await`s can be interrupted.

A configuration that replaces another brings gates of its own and keeps the `Admission`. Those who hold places
of the old gates give them back to the same worker; those who wait at old gates stand in line like all the
others, until they are served, or have waited too long, or the gate is closed. An `Admission` knows no gates but
those in line, so a gate at which nobody waits is gone with the last that refers to it.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from typing import Self, TypeAlias

__all__ = ["Admission", "Closed", "Gate", "NoRoom", "Place"]


class NoRoom(Exception):
    """There is no place, and no more waiting for one. Whoever asked may try again later."""


class Closed(NoRoom):
    """The gate has been closed: there will never be a place."""


class Admission:
    """The places of one worker.

    Args:
        max_in_flight: how many there are; None for as many as the gates have.

    Attributes:
        in_flight: how many are taken.
    """

    def __init__(self, max_in_flight: int | None) -> None:
        self.in_flight = 0
        self._max_in_flight = sys.maxsize if max_in_flight is None else max_in_flight
        self._line: OrderedDict[Gate, None] = OrderedDict()

    def gate(self, name: str, *, max_in_flight: int, max_queue: int, max_wait: float) -> Gate:
        """Make the gate of a component.

        Args:
            name: the component's name, for messages; need not be unique.
            max_in_flight: how many of its invocations may be under way at once.
            max_queue: how many may wait.
            max_wait: seconds that each of them may wait.
        """
        return Gate(self, name, max_in_flight=max_in_flight, max_queue=max_queue, max_wait=max_wait)

    def _hand_over(self) -> None:
        """Give the place that has become free to the next in line, if anybody there still waits."""
        while self._line and self.in_flight < self._max_in_flight:
            gate, _ = self._line.popitem(last=False)
            gate._admit_first()
            gate._line_up()


class Gate:
    """The places of one component, and those who wait for them; made by `Admission.gate`.

    Attributes:
        name: the component's name.
        in_flight: how many places are taken.
    """

    def __init__(
        self,
        admission: Admission,
        name: str,
        *,
        max_in_flight: int,
        max_queue: int,
        max_wait: float,
    ) -> None:
        self.name = name
        self.in_flight = 0
        self._admission = admission
        self._max_in_flight = max_in_flight
        self._max_queue = max_queue
        self._max_wait = max_wait
        self._closed = False
        # With the loop's time at which each of them came. Not a dict: finding the first of one takes the longer
        # the more have been taken from its front.
        self._queue: OrderedDict[asyncio.Future[_Answer], float] = OrderedDict()
        self._patient: OrderedDict[asyncio.Future[_Answer], float] = OrderedDict()
        self._within: OrderedDict[asyncio.Future[_Answer], float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self._queue) + len(self._patient) + len(self._within)

    @property
    def is_saturated(self) -> bool:
        """Whether one more would be refused at once."""
        return self._closed or (not self._has_place and len(self._queue) >= self._max_queue)

    def try_enter(self) -> Place | None:
        """Take a place, if that is possible without waiting and without passing anybody by."""
        if self._closed or not self._has_place:
            return None
        return Place(self, 0.0)

    async def enter(self) -> Place:
        """Take a place, once there is one.

        Whoever is cancelled here holds no place, and waits for none.

        Raises:
            NoRoom: too many wait already, or there was no place in time.
            Closed: the gate is closed, or was while waiting.
        """
        return self.try_enter() or await self._wait(patiently=False)

    async def enter_patiently(self) -> Place:
        """Take a place, once there is one, however many wait and for however long.

        Whoever is cancelled here holds no place, and waits for none.

        Raises:
            Closed: the gate is closed, or was while waiting.
        """
        return self.try_enter() or await self._wait(patiently=True)

    def try_enter_within(self) -> Place | None:
        """Take a place for what another invocation waits for, if that is possible without waiting."""
        if self._closed or self.in_flight >= self._max_in_flight:
            return None
        return Place(self, 0.0, within=True)

    async def enter_within(self) -> Place:
        """Take a place for what another invocation waits for, once there is one, as `enter` does.

        Whoever is cancelled here holds no place, and waits for none.

        Raises:
            NoRoom: too many wait already, or there was no place in time.
            Closed: the gate is closed, or was while waiting.
        """
        if (place := self.try_enter_within()) is not None:
            return place
        if self._closed:
            raise self._closed_error()
        if len(self._queue) + len(self._within) >= self._max_queue:
            raise self._no_room()
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[_Answer] = loop.create_future()
        self._within[waiter] = loop.time()
        try:
            async with asyncio.timeout(self._max_wait):
                answer = await waiter
        except TimeoutError:
            self._withdraw(waiter)
            raise self._too_late() from None
        except BaseException:
            self._withdraw(waiter)
            raise
        if isinstance(answer, Place):
            return answer
        raise answer

    def close(self) -> None:
        """Admit nobody any more, and turn those away who wait. May be called again.

        Places that are taken stay so until they are released.
        """
        self._closed = True
        for queue in (self._queue, self._patient, self._within):
            for waiter in queue:
                if not waiter.done():
                    waiter.set_result(self._closed_error())
            queue.clear()
        self._line_up()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def _has_place(self) -> bool:
        admission = self._admission
        return (
            self.in_flight < self._max_in_flight and admission.in_flight < admission._max_in_flight
        )

    async def _wait(self, *, patiently: bool) -> Place:
        if self._closed:
            raise self._closed_error()
        if not patiently and len(self._queue) >= self._max_queue:
            raise self._no_room()
        loop = asyncio.get_running_loop()
        # Never given an exception: if the task is cancelled meanwhile, nobody would retrieve it.
        waiter: asyncio.Future[_Answer] = loop.create_future()
        now = loop.time()
        queue = self._patient if patiently else self._queue
        queue[waiter] = now
        self._line_up()
        if not patiently and self._timer is None:
            self._timer = loop.call_at(now + self._max_wait, self._look_again, loop)
        try:
            answer = await waiter
        except BaseException:
            self._withdraw(waiter)
            raise
        if isinstance(answer, Place):
            return answer
        raise answer

    def _withdraw(self, waiter: asyncio.Future[_Answer]) -> None:
        """Undo the waiting of one that has been cancelled, whatever has become of it by now."""
        if waiter.done() and not waiter.cancelled():
            answer = waiter.result()
            if isinstance(answer, Place):
                answer.release()
        else:
            self._queue.pop(waiter, None)
            self._patient.pop(waiter, None)
            self._within.pop(waiter, None)
            self._line_up()

    def _line_up(self) -> None:
        """Stand in line if ready, where it stands already if it does; else leave it."""
        if (self._queue or self._patient) and self.in_flight < self._max_in_flight:
            self._admission._line.setdefault(self)
        else:
            self._admission._line.pop(self, None)

    def _admit_first(self) -> None:
        """Give a place, which must be there, to the first that still waits. The gate is ready."""
        now = next(iter(self._queue or self._patient)).get_loop().time()
        waiter, queue = self._first(now), self._queue
        patient = self._first_patient()
        if patient is not None and (waiter is None or self._patient[patient] < self._queue[waiter]):
            waiter, queue = patient, self._patient
        if waiter is not None:
            since = queue.pop(waiter)
            waiter.set_result(Place(self, now - since))

    def _admit_within(self) -> None:
        """Give places to those who wait within others' places of the worker, as far as there are some."""
        while self._within and self.in_flight < self._max_in_flight:
            waiter, since = self._within.popitem(last=False)
            if not waiter.done():
                waited = waiter.get_loop().time() - since
                waiter.set_result(Place(self, waited, within=True))

    def _first_patient(self) -> asyncio.Future[_Answer] | None:
        """The first that waits patiently, after those are gone that have been cancelled."""
        while self._patient:
            waiter = next(iter(self._patient))
            if not waiter.done():
                return waiter
            del self._patient[waiter]
        return None

    def _first(self, now: float) -> asyncio.Future[_Answer] | None:
        """The first that waits, after those are gone whose time is up, or that have been cancelled."""
        while self._queue:
            waiter, since = next(iter(self._queue.items()))
            if not waiter.done():
                if now < since + self._max_wait:
                    return waiter
                waiter.set_result(self._too_late())
            del self._queue[waiter]
        return None

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        """Turn those away whose time is up, and come again when the next one's is."""
        self._timer = None
        first = self._first(loop.time())
        if first is not None:
            due = self._queue[first] + self._max_wait
            self._timer = loop.call_at(due, self._look_again, loop)
        self._line_up()

    def _no_room(self) -> NoRoom:
        return NoRoom(
            f"{self.name}: no place, with {self.in_flight} of its invocations in flight, "
            f"{self._admission.in_flight} in the worker and {len(self._queue)} waiting"
        )

    def _too_late(self) -> NoRoom:
        return NoRoom(f"{self.name}: no place within {self._max_wait:g} s of waiting")

    def _closed_error(self) -> Closed:
        return Closed(f"{self.name}: no place, because it is being replaced or unloaded")


class Place:
    """The right to be under way, of one invocation: a place at its gate and one of the worker, of which there are.

    Counted from the moment in which it is made. Must be released; a context manager does so when left.

    Args:
        gate: where it is.
        waited: see below.
        within: whether another invocation waits for this one, in whose place of the worker it goes.

    Attributes:
        waited: seconds between asking for it and getting it, as precise as the event loop's clock.
    """

    __slots__ = ("_gate", "_within", "waited")

    def __init__(self, gate: Gate, waited: float, *, within: bool = False) -> None:
        self._gate: Gate | None = gate
        self._within = within
        self.waited = waited
        gate.in_flight += 1
        if not within:
            gate._admission.in_flight += 1

    def __enter__(self) -> Self:
        return self

    def release(self, *_exception: object) -> None:
        """Give it back, to the next in line. Only the first call does anything."""
        gate, self._gate = self._gate, None
        if gate is None:
            return
        admission = gate._admission
        gate.in_flight -= 1
        if not self._within:
            admission.in_flight -= 1
        if gate._within:
            gate._admit_within()
        if gate._queue or gate._patient:
            gate._line_up()
        if admission._line:
            admission._hand_over()

    def stand_alone(self) -> None:
        """Be one of the worker's, however many are taken: the invocation that it was within has ended."""
        if self._within and self._gate is not None:
            self._within = False
            self._gate._admission.in_flight += 1

    __exit__ = release


_Answer: TypeAlias = Place | NoRoom
"""What becomes of waiting."""
