"""Guests that compute without end beside guests that do not: everybody gets a turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from time import monotonic
from typing import Any

import pytest

from gateway.host.errors import DeadlineExceeded
from gateway.host.scheduler import AT_ONCE, SHARE, Lane, Level, Scheduler
from gateway.host.settings import EPOCH_TICK
from gateway.host.store import STORES
from tests.host.conftest import BOTH_LOOPS, Load
from tests.host.guests import SPIN, call, guest, host

pytestmark = [pytest.mark.anyio, BOTH_LOOPS]


async def cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def turns(count: int) -> None:
    """Waits for so many turns of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


class Marks:
    """Counts what happens in each turn of the loop.

    Attributes:
        in_turns: How often `mark` was called in each turn in which it was.
        enough: Set once it was called so often as was wanted.
    """

    def __init__(self, wanted: int) -> None:
        self.in_turns: Counter[int] = Counter()
        self.enough = asyncio.Event()
        self._wanted = wanted
        self._turn = 0
        self._loop = asyncio.get_running_loop()
        self._next_turn()

    def _next_turn(self) -> None:
        self._turn += 1
        if not self.enough.is_set():
            self._loop.call_soon(self._next_turn)

    def mark(self, _data: object = None) -> None:
        self.in_turns[self._turn] += 1
        if self.in_turns.total() == self._wanted:
            self.enough.set()


async def test_turns_go_round_one_in_each_iteration_of_the_loop() -> None:
    scheduler = Scheduler.current()
    order: list[str] = []

    async def compute(name: str) -> None:
        for _ in range(3):
            await scheduler.next_tick(Level.SHORT)
            order.append(name)

    async def others() -> None:
        while len(order) < 9:
            order.append(".") if order and order[-1] != "." else None
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    await asyncio.gather(*map(compute, "abc"))
    await beside
    assert [name for name in order if name != "."] == list("abcabcabc")
    assert "".join(order[:5]) == "a.b.c"


async def test_those_that_spin_and_those_that_wait_have_every_other_turn() -> None:
    scheduler = Scheduler.current()
    order: list[str] = []

    async def spin() -> None:
        for _ in range(5):
            await scheduler.next_tick(Level.SHORT)
            order.append("spin")

    async def wait() -> None:
        for _ in range(5):
            await scheduler.turn()
            order.append("wait")
            scheduler.spend(2 * SHARE, Lane.NEW)

    await asyncio.gather(spin(), wait(), wait())
    assert order[:8] == ["spin", "wait"] * 4


async def test_what_comes_while_a_guest_spins_goes_before_the_next_that_spins() -> None:
    scheduler = Scheduler.current()
    loop = asyncio.get_running_loop()
    order: list[str] = []
    begun: list[asyncio.Task[None]] = []

    async def begin() -> None:
        if not scheduler.may_run(Lane.NEW):
            await scheduler.turn(Lane.NEW)
        order.append("begin")
        scheduler.spend(SHARE / 2, Lane.NEW)

    async def spin() -> None:
        for _ in range(3):
            await scheduler.next_tick(Level.SHORT)
            order.append("spin")
            scheduler.spend(EPOCH_TICK, Level.SHORT)
            # As what the loop reads after this turn of it.
            loop.call_soon(lambda: begun.append(asyncio.create_task(begin())))

    await asyncio.gather(spin(), spin())
    await turns(3)
    assert order == ["spin", "begin"] * 6


async def test_who_has_computed_less_goes_first() -> None:
    scheduler = Scheduler.current()
    order: list[Level] = []

    async def spin(level: Level) -> None:
        await scheduler.next_tick(level)
        order.append(level)
        scheduler.spend(EPOCH_TICK, level)

    levels = [Level.ENDLESS] * 6 + [Level.LONG] * 6 + [Level.SHORT]
    await asyncio.gather(*map(spin, levels))
    assert Level.SHORT in order[:3]
    assert order.index(Level.LONG) < 4


async def test_none_that_spins_is_left_without() -> None:
    scheduler = Scheduler.current()
    had: Counter[Level] = Counter()
    enough = asyncio.Event()

    async def spin(level: Level) -> None:
        while not enough.is_set():
            await scheduler.next_tick(level)
            had[level] += 1
            scheduler.spend(EPOCH_TICK, level)
            if had.total() == 70:
                enough.set()

    await asyncio.gather(*[spin(level) for level in Level for _ in range(5)])
    for level, share in {Level.SHORT: 40, Level.LONG: 20, Level.ENDLESS: 10}.items():
        assert abs(had[level] - share) <= 15  # those that were let go before they saw the end


async def test_levels_are_those_of_what_was_computed() -> None:
    ticks = {0: Level.SHORT, 1.9: Level.SHORT, 2: Level.LONG, 19: Level.LONG, 20: Level.ENDLESS}
    assert {number: Level.of(number * EPOCH_TICK) for number in ticks} == ticks


async def test_those_of_a_crowd_begin_with_less_while_others_spin() -> None:
    scheduler = Scheduler.current()
    usual = scheduler.slice
    seen: list[float] = []

    async def begin() -> None:
        await scheduler.turn()
        seen.append(scheduler.slice)
        scheduler.spend(2 * SHARE, Lane.NEW)

    async def spin() -> None:
        while len(seen) < 40:
            await scheduler.next_tick(Level.SHORT)
            scheduler.spend(EPOCH_TICK, Level.SHORT)

    await asyncio.gather(*[begin() for _ in range(40)], spin())
    assert seen[0] < usual / 2
    assert seen[-1] == usual
    await turns(2)
    await asyncio.gather(*[begin() for _ in range(40)])
    assert set(seen[41:]) == {usual}


async def test_a_turn_that_is_cancelled_is_nobody_elses_loss() -> None:
    scheduler = Scheduler.current()
    order: list[str] = []

    async def compute(name: str) -> None:
        await scheduler.next_tick(Level.SHORT)
        order.append(name)

    tasks = [asyncio.create_task(compute(name)) for name in "abcd"]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["b", "d"]


async def test_guests_that_begin_share_a_part_of_each_turn() -> None:
    scheduler = Scheduler.current()
    marks = Marks(10)
    order: list[int] = []

    async def begin(number: int) -> None:
        if not scheduler.has_time:
            await scheduler.turn()
        marks.mark()
        order.append(number)
        scheduler.spend(SHARE * 0.6, Lane.NEW)

    await asyncio.gather(*map(begin, range(10)))
    assert order == list(range(10))
    # Two a turn take a little more than there is, and no third one begins.
    assert sorted(marks.in_turns.values()) == [2] * 5


async def test_many_that_take_no_time_begin_in_one_turn() -> None:
    scheduler = Scheduler.current()
    marks = Marks(100)
    for _ in range(100):
        assert scheduler.has_time
        scheduler.spend(SHARE / 1000, Lane.NEW)
        marks.mark()
    assert list(marks.in_turns.values()) == [100]


async def test_who_comes_later_waits_behind_those_that_wait() -> None:
    scheduler = Scheduler.current()
    scheduler.spend(2 * SHARE, Lane.NEW)
    assert not scheduler.has_time
    waiting = asyncio.create_task(scheduler.turn())
    await turns(1)
    assert not scheduler.has_time
    await waiting
    assert scheduler.has_time


async def test_who_gives_up_waiting_to_begin_leaves_its_place() -> None:
    scheduler = Scheduler.current()
    scheduler.spend(2 * SHARE, Lane.NEW)
    tasks = [asyncio.create_task(scheduler.turn()) for _ in range(5)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [task.cancelled() for task in tasks] == [True, False, True, False, True]
    assert scheduler.has_time


async def test_who_waits_for_its_answers_is_not_later_for_those_who_do_not() -> None:
    scheduler = Scheduler.current()
    begun: list[Lane] = []

    async def begin(lane: Lane) -> None:
        if not scheduler.may_run(lane):
            await scheduler.turn(lane)
        begun.append(lane)
        scheduler.spend(2 * SHARE, lane)

    crowd = [asyncio.create_task(begin(Lane.NEW)) for _ in range(50)]
    while len(begun) < 10:  # noqa: ASYNC110
        await asyncio.sleep(0)
    for _ in range(5):
        before = len(begun)
        await asyncio.create_task(begin(Lane.KEPT))
        assert begun[before:].count(Lane.NEW) <= 2  # and not the 30 that wait
    await cancel(crowd)


async def test_lanes_that_want_it_get_the_same_time() -> None:
    scheduler = Scheduler.current()
    had: Counter[Lane] = Counter()
    times = {Lane.KEPT: SHARE, Lane.NEW: 3 * SHARE, Lane.AHEAD: SHARE / 2}

    async def client(lane: Lane) -> None:
        while True:
            if not scheduler.may_run(lane):
                await scheduler.turn(lane)
            had[lane] += 1
            scheduler.spend(times[lane], lane)
            await asyncio.sleep(0)

    clients = [asyncio.create_task(client(lane)) for lane in Lane for _ in range(10)]
    while had[Lane.NEW] < 100:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await cancel(clients)
    taken = [number * times[lane] for lane, number in had.items()]
    assert max(taken) <= 1.5 * min(taken)


async def test_clients_that_keep_their_connections_have_more_of_a_turn() -> None:
    scheduler = Scheduler.current()
    scheduler.spend(SHARE, Lane.NEW)
    scheduler.spend(SHARE, Lane.KEPT)
    assert not scheduler.has_time
    assert not scheduler.may_run(Lane.NEW)
    assert scheduler.may_run(Lane.KEPT)
    scheduler.spend(EPOCH_TICK, Lane.KEPT)
    assert not scheduler.may_run(Lane.KEPT)


@pytest.mark.parametrize(("kept", "least", "most"), [(0, 1, 2), (200, 10, 21)])
async def test_all_lanes_have_a_tick_while_a_crowd_waits_that_keeps_its_connections(
    kept: int, least: int, most: int
) -> None:
    scheduler = Scheduler.current()
    marks = Marks(100)

    async def begin(lane: Lane) -> None:
        await scheduler.turn(lane)
        if lane is Lane.NEW:
            marks.mark()
        scheduler.spend(SHARE, lane)

    lanes = [Lane.KEPT] * kept + [Lane.NEW] * 100
    clients = [asyncio.create_task(begin(lane)) for lane in lanes]
    await marks.enough.wait()
    assert least <= max(marks.in_turns.values()) <= most
    await cancel(clients)


async def test_a_crowd_has_saved_no_time_before_it_came() -> None:
    scheduler = Scheduler.current()
    for _ in range(1000):
        scheduler.spend(SHARE, Lane.KEPT)
    begun: list[Lane] = []

    async def begin(lane: Lane) -> None:
        await scheduler.turn(lane)
        begun.append(lane)
        scheduler.spend(2 * SHARE, lane)

    crowd = [asyncio.create_task(begin(Lane.NEW)) for _ in range(50)]
    await asyncio.sleep(0)
    for _ in range(5):
        await begin(Lane.KEPT)
    assert begun.count(Lane.NEW) <= 10
    await cancel(crowd)


async def test_a_lane_that_was_idle_has_saved_no_time() -> None:
    scheduler = Scheduler.current()
    for _ in range(100):
        scheduler.spend(SHARE, Lane.KEPT)
    for _ in range(2):
        assert scheduler.may_run(Lane.NEW)
        scheduler.spend(SHARE, Lane.NEW)
        assert not scheduler.may_run(Lane.NEW)
        scheduler.spend(SHARE, Lane.KEPT)


GUESTS = 40
"""So many at once that nobody would be served for a while if all of them ran in one turn."""


async def test_many_that_compute_do_not_begin_in_one_turn(load: Load) -> None:
    marks = Marks(GUESTS)
    linked = load(guest("(call $mark) " + SPIN, "mark"), host(mark=marks.mark))
    spinners = [asyncio.create_task(call(linked)) for _ in range(GUESTS)]
    await marks.enough.wait()
    # Half a tick is the least that one takes which is pre-empted; the budget of two turns may fall into one.
    assert max(marks.in_turns.values()) <= 4
    await cancel(spinners)


async def test_many_that_have_waited_do_not_go_on_in_one_turn(load: Load) -> None:
    marks = Marks(GUESTS)
    gate = asyncio.Event()
    waiting = 0

    async def wait(_data: Any) -> None:
        nonlocal waiting
        waiting += 1
        await gate.wait()

    text = guest("(call $wait) (call $mark) " + SPIN, "wait", "mark")
    linked = load(text, host(wait=wait, mark=marks.mark))
    tasks = [asyncio.create_task(call(linked)) for _ in range(GUESTS)]
    while waiting < GUESTS:  # noqa: ASYNC110
        await asyncio.sleep(0)
    gate.set()
    await marks.enough.wait()
    assert max(marks.in_turns.values()) <= 4
    await cancel(tasks)


async def test_many_whose_time_is_up_do_not_end_in_one_turn(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = Marks(GUESTS)
    waiting = 0

    async def wait(_data: Any) -> None:
        nonlocal waiting
        waiting += 1
        await asyncio.Event().wait()

    linked = load(guest("(call $wait)", "wait"), host(wait=wait))
    tasks = [asyncio.create_task(call(linked)) for _ in range(GUESTS)]
    for task in tasks:
        task.add_done_callback(marks.mark)
    while waiting < GUESTS:  # noqa: ASYNC110
        await asyncio.sleep(0)
    # The next look finds all of them late, as after the loop was held for long.
    monkeypatch.setattr("gateway.host.scheduler.monotonic", lambda: monotonic() + 3600)
    await marks.enough.wait()
    assert max(marks.in_turns.values()) <= AT_ONCE
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, DeadlineExceeded) for result in results)


async def test_who_was_late_before_its_first_turn_does_not_begin(load: Load) -> None:
    marks = Marks(1)
    linked = load(guest("(call $mark)", "mark"), host(mark=marks.mark))
    Scheduler.current().spend(2 * SHARE, Lane.NEW)
    with pytest.raises(DeadlineExceeded):
        await call(linked, max_execution_time=0)
    assert not marks.in_turns
    assert not STORES


async def test_every_loop_has_its_own_scheduler() -> None:
    async def current() -> Scheduler:
        return Scheduler.current()

    assert await current() is Scheduler.current()
    elsewhere = await asyncio.to_thread(lambda: asyncio.run(current()))
    assert elsewhere is not Scheduler.current()


async def test_short_calls_finish_while_others_spin(load: Load) -> None:
    async def f(_data: Any) -> None:
        await asyncio.sleep(0)

    spinning = load(guest(SPIN))
    short = load(guest("(call $f) (call $f) (i32.const 7)", "f", result="u32"), host(f=f))
    spinners = [asyncio.create_task(call(spinning)) for _ in range(4)]
    await turns(20)
    assert len(STORES) == 4
    assert await asyncio.gather(*[call(short) for _ in range(100)]) == [7] * 100
    assert not any(task.done() for task in spinners)
    await cancel(spinners)


async def test_all_that_spin_get_ahead(load: Load) -> None:
    marks: Counter[str] = Counter()
    enough = asyncio.Event()

    def mark(name: str) -> None:
        marks[name] += 1
        if len(marks) == 4 and min(marks.values()) > 1000:
            enough.set()

    linked = load(guest("(loop $forever (call $mark) (br $forever))", "mark"), host(mark=mark))
    spinners = [asyncio.create_task(call(linked, data=name)) for name in "abcd"]
    await enough.wait()
    assert not any(task.done() for task in spinners)
    await cancel(spinners)


async def test_deadlines_are_kept_while_others_spin(load: Load) -> None:
    linked = load(guest(SPIN))
    spinners = [asyncio.create_task(call(linked)) for _ in range(4)]
    for _ in range(3):
        with pytest.raises(DeadlineExceeded):
            await call(linked, max_execution_time=0.02)
    assert not any(task.done() for task in spinners)
    await cancel(spinners)


async def test_one_task_may_call_again_and_again(load: Load) -> None:
    linked = load(guest("(i32.const 1)", result="u32"))
    ticks = 0

    async def others() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    assert sum([await call(linked) for _ in range(500)]) == 500
    await cancel([beside])
