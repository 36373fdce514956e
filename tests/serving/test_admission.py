"""Places and queues, on an event loop whose clock is moved by hand and that goes on one iteration at a time."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, TypeVarTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from gateway.serving.admission import Admission, Closed, Gate, NoRoom, Place

Entering = asyncio.Task[Place]
Ts = TypeVarTuple("Ts")


class HandLoop(asyncio.SelectorEventLoop):
    """A loop that does nothing by itself."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers = 0
        self.complaints: list[dict[str, Any]] = []
        super().__init__()
        self.set_exception_handler(lambda _, context: self.complaints.append(context))

    def time(self) -> float:
        return self.now

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(when, callback, *args, context=context)

    def turn(self) -> None:
        """Run what is ready now and the timers that are due, and nothing that comes of it."""
        self.call_soon(self.stop)
        self.run_forever()

    def settle(self) -> None:
        """Go on until all that is due has happened."""
        for _ in range(5):
            self.turn()

    def advance(self, seconds: float) -> None:
        """Let time pass, and what is due then happen."""
        self.now += seconds
        self.settle()

    def enter(self, gate: Gate) -> Entering:
        """Ask for a place."""
        task = self.create_task(gate.enter())
        self.settle()
        return task


@pytest.fixture
def loop() -> Iterator[HandLoop]:
    loop = HandLoop()
    yield loop
    loop.settle()
    assert asyncio.all_tasks(loop) == set()
    loop.close()
    gc.collect()
    assert loop.complaints == []


def make_gate(
    admission: Admission | None = None,
    *,
    max_in_flight: int = 1,
    max_queue: int = 10,
    max_wait: float = 10.0,
) -> Gate:
    return (admission or Admission(None)).gate(
        "guest", max_in_flight=max_in_flight, max_queue=max_queue, max_wait=max_wait
    )


def take(gate: Gate) -> Place:
    place = gate.try_enter()
    assert place is not None
    return place


def serve_all(loop: HandLoop, held: Place, waiting: dict[str, Entering]) -> list[str]:
    """Release one place after the other; returns the names of those that got it, in their order."""
    order = []
    while waiting:
        held.release()
        loop.settle()
        served = [name for name, task in waiting.items() if task.done()]
        assert len(served) == 1
        order += served
        held = waiting.pop(served[0]).result()
    held.release()
    return order


def test_places_are_counted() -> None:
    admission = Admission(3)
    gate = make_gate(admission, max_in_flight=2)
    first, second = take(gate), take(gate)
    assert gate.try_enter() is None
    assert (gate.in_flight, admission.in_flight) == (2, 2)
    other = take(make_gate(admission, max_in_flight=2))
    assert make_gate(admission).try_enter() is None
    for place in (first, second, other):
        place.release()
    assert (gate.in_flight, admission.in_flight) == (0, 0)


def test_a_place_is_released_once() -> None:
    admission = Admission(None)
    gate = make_gate(admission, max_in_flight=2)
    with take(gate), take(gate) as place:
        place.release()
        assert (gate.in_flight, admission.in_flight) == (1, 1)
    assert (gate.in_flight, admission.in_flight) == (0, 0)


def test_a_place_is_released_by_whatever_ends_its_block() -> None:
    gate = make_gate()
    with pytest.raises(ZeroDivisionError), take(gate):
        raise ZeroDivisionError
    assert gate.in_flight == 0


def test_entering_does_not_wait_where_there_is_a_place(loop: HandLoop) -> None:
    gate = make_gate()
    entering = loop.create_task(gate.enter())
    loop.turn()
    place = entering.result()
    assert place.waited == 0.0
    place.release()


@pytest.mark.parametrize("scarce", ["gate", "worker"])
def test_there_is_no_waiting_without_a_queue(loop: HandLoop, scarce: str) -> None:
    admission = Admission(1 if scarce == "worker" else None)
    gate = make_gate(admission, max_in_flight=1 if scarce == "gate" else 9, max_queue=0)
    held = take(gate)
    entering = loop.create_task(gate.enter())
    loop.turn()
    with pytest.raises(NoRoom, match=r"guest: no place, with 1 .* in flight, 1 .* and 0 waiting"):
        entering.result()
    held.release()


def test_a_queue_is_bounded(loop: HandLoop) -> None:
    gate = make_gate(max_queue=2)
    held = take(gate)
    waiting = {name: loop.enter(gate) for name in ("first", "second")}
    assert gate.queued == 2
    with pytest.raises(NoRoom, match="2 waiting"):
        loop.enter(gate).result()
    assert gate.queued == 2
    assert serve_all(loop, held, waiting) == ["first", "second"]


def test_saturated_is_where_one_more_would_be_refused(loop: HandLoop) -> None:
    admission = Admission(2)
    gate = make_gate(admission, max_queue=1)
    no_queue = make_gate(admission, max_in_flight=9, max_queue=0)

    def saturated() -> tuple[bool, bool]:
        return gate.is_saturated, no_queue.is_saturated

    assert saturated() == (False, False)
    held = take(gate)
    assert saturated() == (False, False)
    waiting = loop.enter(gate)
    assert saturated() == (True, False)
    other = take(no_queue)
    assert saturated() == (True, True)
    other.release()
    held.release()
    assert saturated() == (False, False)
    loop.settle()
    waiting.result().release()


def test_a_gate_is_first_come_first_served(loop: HandLoop) -> None:
    gate = make_gate()
    held = take(gate)
    waiting = {name: loop.enter(gate) for name in "abcde"}
    assert serve_all(loop, held, waiting) == list("abcde")


def test_the_time_of_waiting_is_told(loop: HandLoop) -> None:
    gate = make_gate(max_in_flight=2)
    held = [take(gate), take(gate)]
    first = loop.enter(gate)
    loop.advance(2.5)
    second = loop.enter(gate)
    loop.advance(4.0)
    for place in held:
        place.release()
    loop.advance(1.0)
    assert (first.result().waited, second.result().waited) == (6.5, 4.0)
    first.result().release()
    second.result().release()


def test_waiting_ends_in_time(loop: HandLoop) -> None:
    gate = make_gate(max_wait=10.0)
    held = take(gate)
    first = loop.enter(gate)
    loop.advance(3.0)
    second = loop.enter(gate)
    loop.advance(6.75)
    assert not first.done()
    loop.advance(0.25)
    with pytest.raises(NoRoom, match="guest: no place within 10 s of waiting"):
        first.result()
    assert gate.queued == 1
    loop.advance(2.75)
    assert not second.done()
    loop.advance(0.25)
    with pytest.raises(NoRoom):
        second.result()
    assert gate.queued == 0
    held.release()


def test_the_timer_of_one_who_was_served_does_not_end_the_waiting_of_another(
    loop: HandLoop,
) -> None:
    gate = make_gate(max_wait=10.0)
    held = take(gate)
    first = loop.enter(gate)
    loop.advance(9.0)
    second = loop.enter(gate)
    held.release()
    loop.advance(1.0)
    assert not second.done()
    loop.advance(9.0)
    with pytest.raises(NoRoom):
        second.result()
    first.result().release()


def test_a_queue_that_was_empty_has_a_timer_again(loop: HandLoop) -> None:
    gate = make_gate(max_wait=1.0)
    held = take(gate)
    for _ in range(3):
        waiting = loop.enter(gate)
        loop.advance(1.0)
        with pytest.raises(NoRoom):
            waiting.result()
    held.release()


def test_a_queue_has_one_timer(loop: HandLoop) -> None:
    gate = make_gate(max_queue=100, max_wait=10.0)
    held = take(gate)
    waiting = {str(number): loop.enter(gate) for number in range(100)}
    assert loop.timers == 1
    assert serve_all(loop, held, waiting) == [str(number) for number in range(100)]
    assert loop.timers == 1


def test_who_has_waited_too_long_is_not_served_though_the_loop_is_late(loop: HandLoop) -> None:
    gate = make_gate(max_wait=10.0)
    held = take(gate)
    late = loop.enter(gate)
    loop.advance(1.0)
    still = loop.enter(gate)
    loop.now += 9.0
    held.release()
    loop.settle()
    with pytest.raises(NoRoom):
        late.result()
    still.result().release()


def test_nobody_is_left_to_serve_when_the_loop_is_late(loop: HandLoop) -> None:
    admission = Admission(1)
    gate, other = make_gate(admission, max_wait=1.0), make_gate(admission, max_wait=9.0)
    held = take(gate)
    late, still = loop.enter(gate), loop.enter(other)
    loop.now += 1.0
    held.release()
    loop.settle()
    with pytest.raises(NoRoom):
        late.result()
    still.result().release()
    take(gate).release()


@pytest.mark.parametrize("same", [True, False], ids=["same gate", "another gate"])
def test_a_newcomer_does_not_pass_one_who_waits(loop: HandLoop, same: bool) -> None:
    admission = Admission(1)
    gate = make_gate(admission)
    newcomers = gate if same else make_gate(admission)
    held = take(gate)
    waiting = loop.enter(gate)
    held.release()
    assert newcomers.try_enter() is None
    newcomer = loop.enter(newcomers)
    place = waiting.result()
    assert not newcomer.done()
    place.release()
    loop.settle()
    newcomer.result().release()


def test_one_who_waits_for_a_place_of_the_gate_does_not_hold_up_another_gate(
    loop: HandLoop,
) -> None:
    admission = Admission(2)
    full, free = make_gate(admission), make_gate(admission)
    held = take(full)
    waiting = loop.enter(full)
    take(free).release()
    other = take(free)
    further = loop.enter(free)
    other.release()
    loop.settle()
    further.result().release()
    assert not waiting.done()
    held.release()
    loop.settle()
    waiting.result().release()


def test_the_patient_wait_however_many_they_are_and_however_long(loop: HandLoop) -> None:
    gate = make_gate(max_in_flight=1, max_queue=0, max_wait=1)
    place = gate.try_enter()
    assert place is not None
    waiting = [loop.create_task(gate.enter_patiently()) for _ in range(3)]
    loop.settle()
    loop.now += 1000
    loop.settle()
    assert gate.queued == 3
    for task in waiting:
        place.release()
        loop.settle()
        place = task.result()
    assert place.waited == 1000
    place.release()
    assert (gate.queued, gate.in_flight) == (0, 0)


def test_the_patient_and_others_are_served_as_they_came(loop: HandLoop) -> None:
    gate = make_gate(max_in_flight=1, max_queue=9, max_wait=100)
    place = gate.try_enter()
    assert place is not None
    served: list[int] = []

    async def enter(number: int) -> None:
        taken = await (gate.enter_patiently() if number % 3 == 0 else gate.enter())
        served.append(number)
        taken.release()

    for number in range(9):
        loop.now += 1
        loop.create_task(enter(number))
        loop.settle()
    place.release()
    for _ in range(9):
        loop.settle()
    assert served == list(range(9))


def test_the_patient_who_are_cancelled_or_turned_away_leave_nothing(loop: HandLoop) -> None:
    gate = make_gate(max_in_flight=1, max_queue=0, max_wait=1)
    place = gate.try_enter()
    assert place is not None
    cancelled, served, closed = (loop.create_task(gate.enter_patiently()) for _ in range(3))
    loop.settle()
    cancelled.cancel()
    place.release()
    loop.settle()
    assert cancelled.cancelled()
    gate.close()
    loop.settle()
    assert isinstance(closed.exception(), Closed)
    served.result().release()
    assert (gate.queued, gate.in_flight) == (0, 0)
    late = loop.create_task(gate.enter_patiently())
    loop.settle()
    assert isinstance(late.exception(), Closed)


def test_gates_take_turns(loop: HandLoop) -> None:
    admission = Admission(1)
    flood, calm, third = (make_gate(admission, max_in_flight=2) for _ in range(3))
    held = take(flood)
    waiting = {f"flood {number}": loop.enter(flood) for number in range(5)}
    waiting |= {f"calm {number}": loop.enter(calm) for number in range(2)}
    waiting |= {"third": loop.enter(third)}
    assert serve_all(loop, held, waiting) == [
        "flood 0",
        "calm 0",
        "third",
        "flood 1",
        "calm 1",
        "flood 2",
        "flood 3",
        "flood 4",
    ]


def test_a_flood_does_not_starve_one_who_comes_later(loop: HandLoop) -> None:
    admission = Admission(2)
    flood = make_gate(admission, max_in_flight=2, max_queue=1000)
    calm = make_gate(admission)
    held = [take(flood), take(flood)]
    waiting = [loop.enter(flood) for _ in range(10)]
    late = loop.enter(calm)
    held[0].release()
    held[1].release()
    loop.settle()
    assert [task.done() for task in waiting] == [True] + [False] * 9
    with late.result(), waiting[0].result():
        pass
    for task in waiting[1:]:
        loop.settle()
        task.result().release()


def test_a_gate_without_a_place_of_its_own_loses_its_turn_and_not_more(loop: HandLoop) -> None:
    admission = Admission(2)
    small, large = make_gate(admission), make_gate(admission, max_in_flight=2)
    held, other = take(small), take(large)
    first, second = loop.enter(small), loop.enter(large)
    other.release()
    loop.settle()
    assert not first.done()
    place = second.result()
    held.release()
    loop.settle()
    first.result().release()
    place.release()


def cancelled_before_it_began(loop: HandLoop, gate: Gate, held: Place) -> Entering:
    entering = loop.create_task(gate.enter())
    entering.cancel()
    loop.settle()
    held.release()
    return entering


def cancelled_while_it_waits(loop: HandLoop, gate: Gate, held: Place) -> Entering:
    entering = loop.enter(gate)
    entering.cancel()
    loop.settle()
    assert gate.queued == 0
    held.release()
    return entering


def cancelled_before_its_place_is_free(loop: HandLoop, gate: Gate, held: Place) -> Entering:
    entering = loop.enter(gate)
    entering.cancel()
    held.release()
    return entering


def cancelled_after_its_place_is_free(loop: HandLoop, gate: Gate, held: Place) -> Entering:
    entering = loop.enter(gate)
    held.release()
    entering.cancel()
    return entering


def cancelled_after_its_time_is_up(loop: HandLoop, gate: Gate, held: Place) -> Entering:
    entering = loop.enter(gate)
    loop.now += 10.0
    loop.turn()
    assert gate.queued == 0
    assert not entering.done()
    entering.cancel()
    held.release()
    return entering


@pytest.mark.parametrize(
    "cancel",
    [
        cancelled_before_it_began,
        cancelled_while_it_waits,
        cancelled_before_its_place_is_free,
        cancelled_after_its_place_is_free,
        cancelled_after_its_time_is_up,
    ],
)
def test_cancellation_leaves_nothing_behind(
    loop: HandLoop, cancel: Callable[[HandLoop, Gate, Place], Entering]
) -> None:
    admission = Admission(1)
    gate = make_gate(admission)
    entering = cancel(loop, gate, take(gate))
    loop.settle()
    assert entering.cancelled()
    assert (gate.in_flight, gate.queued, admission.in_flight) == (0, 0, 0)
    take(gate).release()


def test_the_place_of_one_who_is_cancelled_goes_to_the_next(loop: HandLoop) -> None:
    admission = Admission(1)
    gate, other = make_gate(admission), make_gate(admission)
    held = take(gate)
    cancelled, next_in_line = loop.enter(gate), loop.enter(other)
    held.release()
    cancelled.cancel()
    loop.settle()
    next_in_line.result().release()


def test_one_who_is_cancelled_holds_up_nobody(loop: HandLoop) -> None:
    gate = make_gate()
    held = take(gate)
    cancelled, waiting = loop.enter(gate), loop.enter(gate)
    cancelled.cancel()
    held.release()
    loop.settle()
    waiting.result().release()


def test_a_gate_whose_waiters_are_gone_gives_up_its_turn(loop: HandLoop) -> None:
    admission = Admission(1)
    gate, other = (make_gate(admission, max_in_flight=2) for _ in range(2))
    held = take(gate)
    gone = loop.enter(gate)
    waiting = {"other": loop.enter(other)}
    gone.cancel()
    loop.settle()
    waiting["back"] = loop.enter(gate)
    assert serve_all(loop, held, waiting) == ["other", "back"]


def test_waiting_by_hand_that_is_given_up_leaves_nothing_behind(loop: HandLoop) -> None:
    gate = make_gate()
    held = take(gate)

    async def give_up() -> None:
        entering = gate.enter()
        entering.send(None)
        assert gate.queued == 1
        entering.close()

    task = loop.create_task(give_up())
    loop.settle()
    task.result()
    assert gate.queued == 0
    held.release()
    assert gate.in_flight == 0


def test_a_timeout_around_it_is_one_more_cancellation(loop: HandLoop) -> None:
    gate = make_gate(max_wait=10.0)
    held = take(gate)

    async def impatient() -> Place:
        async with asyncio.timeout(2.0):
            return await gate.enter()

    task = loop.create_task(impatient())
    loop.settle()
    loop.advance(2.0)
    with pytest.raises(TimeoutError):
        task.result()
    assert gate.queued == 0
    held.release()


def test_a_closed_gate_admits_nobody(loop: HandLoop) -> None:
    admission = Admission(1)
    gate, other = make_gate(admission), make_gate(admission)
    held = take(gate)
    waiting, further = loop.enter(gate), loop.enter(other)
    gate.close()
    gate.close()
    loop.settle()
    with pytest.raises(Closed, match=r"guest: .* replaced or unloaded"):
        waiting.result()
    assert (gate.queued, gate.in_flight) == (0, 1)
    assert gate.is_saturated
    held.release()
    loop.settle()
    further.result().release()
    assert admission.in_flight == 0
    assert gate.is_saturated
    assert gate.try_enter() is None
    with pytest.raises(Closed):
        loop.enter(gate).result()


def test_cancelling_one_who_was_turned_away_by_closing(loop: HandLoop) -> None:
    gate = make_gate()
    held = take(gate)
    waiting, gone = loop.enter(gate), loop.enter(gate)
    gone.cancel()
    gate.close()
    waiting.cancel()
    loop.settle()
    assert waiting.cancelled()
    assert gone.cancelled()
    held.release()


def test_those_who_wait_at_a_replaced_gate_are_served(loop: HandLoop) -> None:
    admission = Admission(1)
    old = make_gate(admission, max_in_flight=2)
    held = take(old)
    waiting = {"old 0": loop.enter(old), "old 1": loop.enter(old)}
    new = make_gate(admission, max_in_flight=2)
    waiting |= {"new 0": loop.enter(new), "new 1": loop.enter(new)}
    assert serve_all(loop, held, waiting) == ["old 0", "new 0", "old 1", "new 1"]
    assert (old.in_flight, new.in_flight, admission.in_flight) == (0, 0, 0)


def test_a_closed_gate_is_dropped(loop: HandLoop) -> None:
    admission = Admission(1)
    gate = make_gate(admission)
    held = take(gate)
    waiting = loop.enter(gate)
    gate.close()
    loop.settle()
    assert isinstance(waiting.exception(), Closed)
    held.release()
    dropped = weakref.ref(gate)
    del gate, waiting
    gc.collect()
    assert dropped() is None


# What follows checks all that together against a model: lists, and no care for speed.


@dataclass(eq=False)
class GateModel:
    max_in_flight: int
    max_queue: int
    max_wait: int
    held: int = 0
    queue: list[Request] = field(default_factory=list)
    closed: bool = False

    @property
    def is_ready(self) -> bool:
        return bool(self.queue) and self.held < self.max_in_flight


@dataclass(eq=False)
class Request:
    """One who asks for a place.

    Attributes:
        answer: what it will get, or has got.
    """

    gate: GateModel
    since: float | None = None
    answer: str | None = None
    waited: float = 0.0
    cancelled: bool = False
    done: bool = False


@dataclass(eq=False)
class Model:
    max_in_flight: int
    now: float = 0.0
    gates: list[GateModel] = field(default_factory=list)
    line: list[GateModel] = field(default_factory=list)
    scheduled: list[Request] = field(default_factory=list)

    @property
    def held(self) -> int:
        return sum(gate.held for gate in self.gates)

    def has_place(self, gate: GateModel) -> bool:
        return gate.held < gate.max_in_flight and self.held < self.max_in_flight

    def is_saturated(self, gate: GateModel) -> bool:
        return gate.closed or (not self.has_place(gate) and len(gate.queue) >= gate.max_queue)

    def begin(self, gate: GateModel) -> Request:
        request = Request(gate)
        self.scheduled.append(request)
        return request

    def cancel(self, request: Request) -> None:
        if request in request.gate.queue and not request.cancelled:
            self.scheduled.append(request)
        request.cancelled = True

    def turn(self) -> None:
        """One iteration of the loop: the tasks that are scheduled, then the timers."""
        running, self.scheduled = self.scheduled, []
        for request in running:
            self.run(request)
        for gate in self.gates:
            self.drop_gone(gate)
        self.line_up()

    def run(self, request: Request) -> None:
        gate = request.gate
        if request.cancelled:
            request.done = True
            if request.answer == "place":
                self.release(gate)
            elif request in gate.queue:
                gate.queue.remove(request)
                self.line_up()
            request.answer = "cancelled"
        elif request.answer is not None:
            request.done = True
        elif gate.closed:
            request.answer, request.done = "closed", True
        elif self.has_place(gate):
            gate.held += 1
            request.answer, request.done = "place", True
        elif len(gate.queue) >= gate.max_queue:
            request.answer, request.done = "no room", True
        else:
            request.since = self.now
            gate.queue.append(request)
            self.line_up()

    def release(self, gate: GateModel) -> None:
        gate.held -= 1
        self.line_up()
        self.give()

    def close(self, gate: GateModel) -> None:
        gate.closed = True
        for request in gate.queue:
            if not request.cancelled:
                self.tell(request, "closed")
        gate.queue.clear()
        self.line_up()

    def give(self) -> None:
        while self.line and self.held < self.max_in_flight:
            gate = self.line.pop(0)
            self.drop_gone(gate)
            if gate.queue:
                request = gate.queue.pop(0)
                assert request.since is not None
                request.waited = self.now - request.since
                gate.held += 1
                self.tell(request, "place")
            self.line_up()

    def drop_gone(self, gate: GateModel) -> None:
        while gate.queue:
            first = gate.queue[0]
            assert first.since is not None
            if not first.cancelled:
                if self.now < first.since + gate.max_wait:
                    return
                self.tell(first, "no room")
            gate.queue.remove(first)

    def tell(self, request: Request, answer: str) -> None:
        request.answer = answer
        self.scheduled.append(request)

    def line_up(self) -> None:
        self.line = [gate for gate in self.line if gate.is_ready]
        self.line += [gate for gate in self.gates if gate.is_ready and gate not in self.line]


class Comparison(RuleBasedStateMachine):
    """Whatever is done, in whatever order and between whichever turns of the loop."""

    @initialize(max_in_flight=st.integers(1, 4))
    def start(self, max_in_flight: int) -> None:
        self.loop = HandLoop()
        self.admission = Admission(max_in_flight)
        self.model = Model(max_in_flight)
        self.gates: list[Gate] = []
        self.requests: list[tuple[Entering, Request]] = []
        self.places: list[tuple[Place, GateModel]] = []
        self.collected: set[Request] = set()
        for _ in range(2):
            self.load(2, 3, 2)

    @rule(max_in_flight=st.integers(1, 3), max_queue=st.integers(0, 4), max_wait=st.integers(1, 4))
    @precondition(lambda self: len(self.gates) < 4)
    def load(self, max_in_flight: int, max_queue: int, max_wait: int) -> None:
        gate = make_gate(
            self.admission, max_in_flight=max_in_flight, max_queue=max_queue, max_wait=max_wait
        )
        self.gates.append(gate)
        self.model.gates.append(GateModel(max_in_flight, max_queue, max_wait))

    @rule(data=st.data(), how_many=st.integers(1, 4))
    def ask(self, data: st.DataObject, how_many: int) -> None:
        index = data.draw(st.integers(0, len(self.gates) - 1))
        for _ in range(how_many):
            task = self.loop.create_task(self.gates[index].enter())
            self.requests.append((task, self.model.begin(self.model.gates[index])))

    @rule(data=st.data())
    def try_enter(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.gates) - 1))
        gate = self.model.gates[index]
        place = self.gates[index].try_enter()
        assert (place is not None) == (not gate.closed and self.model.has_place(gate))
        if place is not None:
            gate.held += 1
            self.places.append((place, gate))

    @rule(data=st.data())
    @precondition(lambda self: self.places)
    def release(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.places) - 1))
        place, gate = self.places.pop(index)
        place.release()
        place.release()
        self.model.release(gate)

    @rule(data=st.data())
    @precondition(lambda self: self.requests)
    def cancel(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.requests) - 1))
        task, request = self.requests[index]
        task.cancel()
        self.model.cancel(request)

    @rule(seconds=st.integers(1, 3))
    def pass_time(self, seconds: int) -> None:
        self.loop.now += seconds
        self.model.now += seconds

    @rule(data=st.data())
    @precondition(lambda self: len(self.gates) > 2)
    def close(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.gates) - 1))
        self.gates[index].close()
        self.model.close(self.model.gates[index])

    @rule(turns=st.integers(1, 3))
    def turn(self, turns: int) -> None:
        for _ in range(turns):
            self.loop.turn()
            self.model.turn()
            self.collect()

    def collect(self) -> None:
        """Compare what has become of requests, and keep the places."""
        pending = []
        for task, request in self.requests:
            assert task.done() == request.done
            if not request.done:
                pending.append((task, request))
                continue
            assert result_of(task) == (request.answer, request.waited * (request.answer == "place"))
            if request.answer == "place":
                self.places.append((task.result(), request.gate))
        self.requests = pending

    @invariant()
    def the_counts_agree(self) -> None:
        assert self.admission.in_flight == self.model.held
        for gate, model in zip(self.gates, self.model.gates, strict=True):
            assert (gate.in_flight, gate.queued) == (model.held, len(model.queue))
            assert gate.is_saturated == self.model.is_saturated(model)

    @invariant()
    def no_place_is_free_that_somebody_waits_for(self) -> None:
        for gate in self.model.gates:
            assert not (gate.queue and self.model.has_place(gate))

    @invariant()
    def no_more_places_are_held_than_there_are(self) -> None:
        assert self.model.held <= self.model.max_in_flight
        for gate in self.model.gates:
            assert 0 <= gate.held <= gate.max_in_flight
            assert len(gate.queue) <= gate.max_queue

    def teardown(self) -> None:
        while self.requests or self.places:
            for place, gate in self.places:
                place.release()
                self.model.release(gate)
            self.places.clear()
            self.turn(1)
        self.the_counts_agree()
        assert [gate.in_flight + gate.queued for gate in self.gates] == [0] * len(self.gates)
        self.loop.close()
        assert self.loop.complaints == []


def result_of(task: Entering) -> tuple[str, float]:
    if task.cancelled():
        return "cancelled", 0.0
    match task.exception():
        case None:
            return "place", task.result().waited
        case Closed():
            return "closed", 0.0
        case NoRoom():
            return "no room", 0.0
        case error:
            raise AssertionError(error)


TestComparison = Comparison.TestCase
TestComparison.settings = settings(
    max_examples=200,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
