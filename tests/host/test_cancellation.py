"""Guests that are stopped from outside, in every phase of their call, on both event loops."""

from __future__ import annotations

import asyncio

import pytest

from gateway.host.errors import DeadlineExceeded, InvocationError
from gateway.host.linker import LinkedComponent
from gateway.host.store import STORES
from tests.host.conftest import BOTH_LOOPS, Load
from tests.host.guests import call, guest, invocation
from tests.host.stuck import Stuck, assert_not_cancelled

pytestmark = [pytest.mark.anyio, BOTH_LOOPS]


@pytest.mark.parametrize("phase", Stuck.PHASES)
async def test_a_cancelled_task_takes_its_guest_with_it(load: Load, phase: str) -> None:
    stuck = Stuck(load, phase)
    task = asyncio.create_task(call(stuck.linked))
    await stuck.reached.wait()
    task.cancel("client went away")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not STORES
    assert stuck.cleaned


@pytest.mark.parametrize("phase", Stuck.PHASES)
async def test_a_deadline_covers_every_phase(load: Load, phase: str) -> None:
    stuck = Stuck(load, phase)
    with pytest.raises(DeadlineExceeded, match=r"still running after 0\.02 s"):
        await call(stuck.linked, max_execution_time=0.02)
    assert not STORES
    assert stuck.cleaned
    assert_not_cancelled()


@pytest.mark.parametrize("phase", Stuck.PHASES)
async def test_stop_ends_every_phase_with_its_error(load: Load, phase: str) -> None:
    stuck = Stuck(load, phase)
    running = invocation(stuck.linked)
    task = asyncio.create_task(running.call())
    await stuck.reached.wait()
    error = InvocationError("draining")
    running.stop(error)
    running.stop(InvocationError("too late"))
    with pytest.raises(InvocationError) as caught:
        await task
    assert caught.value is error
    assert not STORES
    assert not task.cancelling()


async def test_a_task_that_is_cancelled_before_it_begins_leaves_nothing(load: Load) -> None:
    task = asyncio.create_task(call(Stuck(load, "waiting").linked))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not STORES


@pytest.mark.parametrize("phase", Stuck.PHASES)
async def test_a_call_that_has_started_may_be_closed_instead(load: Load, phase: str) -> None:
    stuck = Stuck(load, phase)
    running = invocation(stuck.linked)
    while not running.start() and phase.startswith("waiting") and not stuck.reached.is_set():
        # A tick came before the guest had got there.
        running.close()
        running = invocation(stuck.linked)
    if phase.startswith("waiting"):
        # What the host function wants to wait for cannot be waited for here; all else is freed.
        with pytest.raises(RuntimeError, match="coroutine ignored GeneratorExit"):
            running.close()
    running.close()
    assert not STORES


async def test_stop_before_start(load: Load) -> None:
    running = invocation(load(guest("unreachable")))
    running.stop(InvocationError("draining"))
    with pytest.raises(InvocationError, match="draining"):
        await running.call()
    assert not STORES


@pytest.mark.parametrize("phase", Stuck.PHASES)
async def test_stop_before_run(load: Load, phase: str) -> None:
    stuck = Stuck(load, phase)
    running = invocation(stuck.linked)
    assert not running.start()
    running.stop(InvocationError("draining"))
    with pytest.raises(InvocationError, match="draining"):
        await running.run()
    assert not STORES
    assert stuck.cleaned
    assert_not_cancelled()


async def test_a_task_that_is_cancelled_between_start_and_run(load: Load) -> None:
    async def both(linked: LinkedComponent) -> None:
        running = invocation(linked)
        assert not running.start()
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await running.run()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(both(Stuck(load, "spinning").linked))
    assert not STORES
