"""The watchdog of the event loop: it finds what holds it, and names it."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.host.engine import Engine
from gateway.observe.watchdog import BOUND, Watchdog
from tests.harness import PATIENCE
from tests.host.conftest import BOTH_LOOPS
from tests.host.guests import API, FILL, call, guest, host, load_component
from tests.stalls import nothing_holds_the_loop, watched

pytestmark = [pytest.mark.anyio, BOTH_LOOPS]

LONG = 0.3
"""Seconds: so much longer than `BOUND` that it is noticed whenever it begins."""


def compute() -> None:
    """Computes for long, without giving up the GIL or the loop."""
    until = time.thread_time() + LONG
    while time.thread_time() < until:
        pass


def compute_in_c() -> None:
    """The same in calls that never let another thread of Python in."""
    text, pattern = "a" * 24, re.compile("(a|aa)+$")
    until = time.thread_time() + LONG
    while time.thread_time() < until:
        pattern.match(text + "b")


@pytest.mark.parametrize("work", [compute, compute_in_c])
async def test_what_computes_too_long_is_told_once(work: Any) -> None:
    with watched() as stalls:
        await asyncio.sleep(0)
        work()
        await asyncio.sleep(0)
    [stall] = [stall for stall in stalls if stall.cpu_seconds > LONG / 2]
    assert stall.where == "other"  # it is no part of the gateway
    assert any(work.__name__ in frame for frame in stall.stack)


async def test_what_blocks_takes_no_cpu_time() -> None:
    with watched() as stalls:
        await asyncio.sleep(0)
        time.sleep(LONG)  # noqa: ASYNC251 - the fault that is looked for
        await asyncio.sleep(0)
    assert any(stall.seconds > LONG / 2 for stall in stalls)
    assert not any(stall.cpu_seconds > BOUND for stall in stalls)


async def test_an_idle_or_busy_loop_is_not_held() -> None:
    with watched() as stalls:
        for _ in range(20_000):
            await asyncio.sleep(0)
        await asyncio.sleep(LONG)
    assert not any(stall.cpu_seconds > BOUND for stall in stalls)


async def test_a_host_function_is_told_by_its_name(tmp_path: Path) -> None:
    def slow(_data: Any) -> None:
        compute()

    linked = load_component(Engine(), guest("(call $slow)", "slow"), tmp_path, host(slow=slow))
    with watched() as stalls:
        await call(linked)
        await asyncio.sleep(0)
    assert [s.where for s in stalls if s.cpu_seconds > LONG / 2] == [f"{API}#slow"]
    with pytest.raises(AssertionError, match="#slow"), nothing_holds_the_loop():
        await call(linked)


async def test_a_guest_that_is_not_pre_empted_is_told_as_guest(tmp_path: Path) -> None:
    linked = load_component(Engine(), FILL, tmp_path)
    with watched() as stalls:
        await call(linked, max_memory=1 << 28)
        await asyncio.sleep(0)
    assert {stall.where for stall in stalls if stall.cpu_seconds > BOUND} == {"guest"}


async def test_it_ends_with_its_thread() -> None:
    before = set(threading.enumerate())
    watchdog = Watchdog(lambda stall: None)
    watchdog.start()
    watchdog.start()
    [thread] = set(threading.enumerate()) - before
    watchdog.stop()
    watchdog.stop()
    await asyncio.to_thread(thread.join, PATIENCE)
    assert not thread.is_alive()
