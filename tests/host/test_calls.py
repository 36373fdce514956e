"""Calls that end by themselves: fresh stores, host functions that wait or fail, limits of memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.host import wit
from gateway.host.store import STORES
from tests.host.conftest import Load
from tests.host.guests import call, echo, guest, host, invocation

pytestmark = pytest.mark.anyio


async def test_every_call_has_a_store_of_its_own(load: Load) -> None:
    counting = """
      (global.set $count (i32.add (global.get $count) (i32.const 1)))
      (global.get $count)
    """
    linked = load(guest(counting, module="(global $count (mut i32) (i32.const 0))", result="u32"))
    assert [await call(linked) for _ in range(3)] == [1, 1, 1]


def test_a_call_that_waits_for_nothing_needs_no_event_loop(load: Load) -> None:
    started = invocation(load(guest("(i32.const 42)", result="u32")))
    assert started.start()
    assert started.result == 42
    assert not STORES


async def test_a_guest_sleeps_until_its_host_function_is_done(load: Load) -> None:
    order: list[str] = []
    done = asyncio.Event()

    async def wait(_data: Any) -> None:
        order.append("asleep")
        await done.wait()
        order.append("awake")

    task = asyncio.create_task(
        call(
            load(
                guest("(call $wait) (call $note)", "wait", "note"),
                host(wait=wait, note=order_note(order)),
            )
        )
    )
    await asyncio.sleep(0)
    order.append("others run")
    done.set()
    await task
    assert order == ["asleep", "others run", "awake", "guest goes on"]


def order_note(order: list[str]) -> Callable[[Any], None]:
    return lambda _data: order.append("guest goes on")


async def test_values_are_lifted_before_and_lowered_after_the_wait(load: Load) -> None:
    async def f(_data: Any, given: list[tuple[str]]) -> list[tuple[str]]:
        await asyncio.sleep(0)
        first = "".join(text for (text,) in given)
        await asyncio.sleep(0)
        return [(first,), (first.upper(),)]

    linked = load(echo(wit.String()), host(f=f))
    assert await call(linked, [("grüße",), ("!",)]) == [("grüße!",), ("GRÜSSE!",)]


async def test_a_refused_value_after_the_wait_ends_the_guest(load: Load) -> None:
    async def f(_data: Any, _given: Any) -> Any:
        await asyncio.sleep(0)
        return [("good",), (b"bad",)]

    with pytest.raises(ValueError, match="expected string, got bytes b'bad'"):
        await call(load(echo(wit.String()), host(f=f)), [])


async def test_a_coroutine_that_need_not_wait_is_done_at_once(load: Load) -> None:
    async def f(_data: Any) -> None:
        pass

    assert invocation(load(guest("(call $f)", "f"), host(f=f))).start()


async def test_timeouts_span_the_step_on_the_fiber_and_the_rest(load: Load) -> None:
    """`asyncio.timeout` notes the task that enters it, which must be the one that leaves it."""

    async def impatient(_data: Any) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.Event().wait()

    task = asyncio.current_task()
    assert task is not None
    assert await call(load(guest("(call $f) (call $f)", "f"), host(f=impatient))) is None
    assert not task.cancelling()


async def test_what_a_host_function_awaits_may_fail(load: Load) -> None:
    caught: list[str] = []
    first: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def resilient(_data: Any) -> None:
        try:
            await first
        except OSError as error:
            caught.append(str(error))
        await asyncio.sleep(0)

    task = asyncio.create_task(call(load(guest("(call $f)", "f"), host(f=resilient))))
    await asyncio.sleep(0)
    first.set_exception(OSError("broken"))
    await task
    assert caught == ["broken"]


@pytest.mark.parametrize("late", [False, True])
async def test_a_cancelled_error_of_a_host_function_is_no_cancellation(
    load: Load, late: bool
) -> None:
    async def f(_data: Any) -> None:
        if late:
            await asyncio.sleep(0)
        raise asyncio.CancelledError

    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(asyncio.CancelledError):
        await call(load(guest("(call $f) unreachable", "f"), host(f=f)))
    assert not task.cancelling()


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_within_a_host_function_is_not_lost(
    load: Load, error: type[BaseException], late: bool
) -> None:
    async def f(_data: Any) -> None:
        if late:
            await asyncio.sleep(0)
        raise error

    linked = load(guest("(call $f) unreachable", "f"), host(f=f))
    with pytest.raises(error):
        asyncio.run(call(linked))
    assert not STORES
