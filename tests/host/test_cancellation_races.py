"""Stopping guests, where more than one thing happens at a time: what wins, and what is left of the rest."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from gateway.host.errors import DeadlineExceeded, InvocationError, Trap
from gateway.host.invocation import Invocation
from gateway.host.store import STORES
from tests.host.conftest import BOTH_LOOPS, Load
from tests.host.guests import SPIN, call, guest, host, invocation
from tests.host.stuck import Stuck, assert_not_cancelled

pytestmark = [pytest.mark.anyio, BOTH_LOOPS]


async def stopped_by_its_own_host_function(load: Load, body: str) -> Any:
    running: list[Invocation] = []

    def stop(_data: Any) -> None:
        running[0].stop(InvocationError("stopped from within"))

    async def wait(_data: Any) -> None:
        await asyncio.sleep(0)

    text = guest(f"(call $wait) (call $stop) {body}", "stop", "wait")
    running.append(invocation(load(text, host(stop=stop, wait=wait))))
    try:
        return await running[0].call()
    finally:
        assert_not_cancelled()
        await asyncio.sleep(0)  # a cancellation that was left over would be raised here


@pytest.mark.parametrize("then", ["(call $wait) unreachable", f"{SPIN} unreachable", "unreachable"])
async def test_a_host_function_may_stop_its_own_guest(load: Load, then: str) -> None:
    with pytest.raises(InvocationError, match="stopped from within"):
        await stopped_by_its_own_host_function(load, then)
    assert not STORES


async def test_a_guest_that_finishes_all_the_same_has_its_result(load: Load) -> None:
    assert await stopped_by_its_own_host_function(load, "") is None


async def test_a_host_function_that_swallows_the_cancellation_does_not_save_its_guest(
    load: Load,
) -> None:
    async def stubborn(_data: Any) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    linked = load(guest("(call $f)", "f"), host(f=stubborn))
    with pytest.raises(DeadlineExceeded):
        await call(linked, max_execution_time=0.02)
    assert_not_cancelled()


async def test_what_a_host_function_makes_of_the_cancellation_is_only_its_cause(load: Load) -> None:
    async def translating(_data: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Trap("interrupted") from None

    linked = load(guest("(call $f) unreachable", "f"), host(f=translating))
    with pytest.raises(DeadlineExceeded) as caught:
        await call(linked, max_execution_time=0.02)
    assert isinstance(caught.value.__cause__, Trap)
    assert_not_cancelled()


async def test_a_deadline_holds_in_a_task_that_is_being_cancelled(load: Load) -> None:
    """What cleans up after a cancellation may call guests as well."""
    stuck = Stuck(load, "waiting")

    async def clean_up_with_a_guest() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            with pytest.raises(DeadlineExceeded):
                await call(stuck.linked, max_execution_time=0.02)
            return "cleaned up"
        raise AssertionError

    task = asyncio.create_task(clean_up_with_a_guest())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "cleaned up"
    assert task.cancelling() == 1


async def test_of_a_cancellation_and_a_stop_at_once_the_cancellation_wins(load: Load) -> None:
    stuck = Stuck(load, "waiting")
    running = invocation(stuck.linked)
    task = asyncio.create_task(running.call())
    await stuck.reached.wait()
    running.stop(InvocationError("draining"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelling() == 1
    assert not STORES


async def test_an_enclosing_timeout_is_told_from_the_deadline(load: Load) -> None:
    stuck = Stuck(load, "waiting")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await call(stuck.linked)
    assert_not_cancelled()
    with pytest.raises(DeadlineExceeded):
        async with asyncio.timeout(120):
            await call(stuck.linked, max_execution_time=0.02)
    assert_not_cancelled()


async def test_a_short_deadline_does_not_wait_for_a_long_one(load: Load) -> None:
    stuck = Stuck(load, "waiting")
    patient = asyncio.create_task(call(stuck.linked))
    for limit in (0.02, 0.01, 0.03):
        with pytest.raises(DeadlineExceeded, match=f"after {limit:g} s"):
            await call(stuck.linked, max_execution_time=limit)
    assert not patient.done()
    patient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await patient
