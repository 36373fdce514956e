"""Guests that compute without end beside guests that do not: everybody gets a turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from gateway.host.errors import DeadlineExceeded
from gateway.host.scheduler import Scheduler
from gateway.host.store import STORES
from tests.host.conftest import BOTH_LOOPS, Load
from tests.host.guests import SPIN, call, guest, host

pytestmark = [pytest.mark.anyio, BOTH_LOOPS]


async def cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_turns_go_round_one_in_each_iteration_of_the_loop() -> None:
    scheduler = Scheduler.current()
    order: list[str] = []

    async def compute(name: str) -> None:
        for _ in range(3):
            await scheduler.turn()
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


async def test_a_turn_that_is_cancelled_is_nobody_elses_loss() -> None:
    scheduler = Scheduler.current()
    order: list[str] = []

    async def compute(name: str) -> None:
        await scheduler.turn()
        order.append(name)

    tasks = [asyncio.create_task(compute(name)) for name in "abcd"]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["b", "d"]


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
    await asyncio.sleep(0)
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
