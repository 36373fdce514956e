"""wasi:clocks: the time as a guest sees it, and what it can wait for."""

from __future__ import annotations

import asyncio
import importlib.util
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic_ns, time_ns
from typing import Any

import pytest

from gateway.bindings import clocks, io, p3
from gateway.bindings.clocks import Deadline
from gateway.bindings.context import WasiCtx
from tests.driven_guest import IO, DrivenGuest, driven_guest, driven_over_time, driving

pytestmark = pytest.mark.anyio

INTERFACES = (*io.INTERFACES, *clocks.INTERFACES)
IMPORTS = f"""{IO}
  (import "wasi:clocks/monotonic-clock@0.2.12" (instance
    (alias outer 1 $pollable (type $outer-pollable))
    (export "pollable" (type $pollable (eq $outer-pollable)))
    (export "now" (func (result u64)))
    (export "resolution" (func (result u64)))
    (export "subscribe-instant" (func (param "when" u64) (result (own $pollable))))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (import "wasi:clocks/wall-clock@0.2.12" (instance
    (type $seconds (record (field "seconds" u64) (field "nanoseconds" u32)))
    (export "datetime" (type $datetime (eq $seconds)))
    (export "now" (func (result $datetime)))
    (export "resolution" (func (result $datetime)))))
"""

IMPORTS_0_3 = """
  (import "wasi:clocks/monotonic-clock@0.3.0" (instance
    (export "now" (func (result u64)))
    (export "get-resolution" (func (result u64)))
    (export "wait-until" (func async (param "when" u64)))
    (export "wait-for" (func async (param "how-long" u64)))))
  (import "wasi:clocks/system-clock@0.3.0" (instance
    (type $seconds (record (field "seconds" s64) (field "nanoseconds" u32)))
    (export "instant" (type $instant (eq $seconds)))
    (export "now" (func (result $instant)))
    (export "get-resolution" (func (result u64)))))
"""

NOW = "monotonic-clock#now"
SUBSCRIBE_INSTANT = "monotonic-clock#subscribe-instant"
SUBSCRIBE_DURATION = "monotonic-clock#subscribe-duration"
READY = "poll#pollable.ready"
BLOCK = "poll#pollable.block"
POLL = "poll#poll"

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
FOREVER = 2**64 - 1


class Clocks:
    """The clocks of a guest of 0.2.

    Args:
        guest: the guest.
    """

    def __init__(self, guest: DrivenGuest) -> None:
        self.call = guest.call

    async def now(self) -> int:
        """What the monotonic clock says."""
        said: int = await self.call(NOW)
        return said

    async def resolution(self) -> int:
        """That of the monotonic clock."""
        said: int = await self.call("monotonic-clock#resolution")
        return said

    async def time(self) -> Any:
        """What the other clock says."""
        return await self.call("wall-clock#now")

    async def sleep_until(self, when: int) -> None:
        """Wait for a point in time."""
        await self.call(BLOCK, await self.call(SUBSCRIBE_INSTANT, when))

    async def sleep(self, how_long: int) -> None:
        """Wait so long."""
        await self.call(BLOCK, await self.call(SUBSCRIBE_DURATION, how_long))


class Clocks03(Clocks):
    """Those of one of 0.3."""

    async def resolution(self) -> int:
        said: int = await self.call("monotonic-clock#get-resolution")
        return said

    async def time(self) -> Any:
        return await self.call("system-clock#now")

    async def sleep_until(self, when: int) -> None:
        await self.call("monotonic-clock#wait-until", when)

    async def sleep(self, how_long: int) -> None:
        await self.call("monotonic-clock#wait-for", how_long)


@asynccontextmanager
async def clocks_of(version: str, ctx: WasiCtx | None = None) -> AsyncIterator[Clocks]:
    """The clocks of a guest of this version."""
    if version == "0.2":
        async with driving(driven_guest(IMPORTS), INTERFACES, ctx) as guest:
            yield Clocks(guest)
    else:
        interfaces = (*INTERFACES, *p3.INTERFACES)
        async with driving(driven_over_time(IMPORTS_0_3, ()), interfaces, ctx) as guest:
            yield Clocks03(guest)


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(
            ("asyncio", {"use_uvloop": True}),
            id="uvloop",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed"
            ),
        ),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Timers are the loop's own affair: both kinds that the gateway runs on."""
    return request.param


async def test_monotonic_clock_counts_nanoseconds_since_the_context_was_made(version: str) -> None:
    ctx = WasiCtx()
    async with clocks_of(version, ctx) as clocks:
        previous = 0
        for _ in range(3):
            before = monotonic_ns() - ctx.started_ns
            now = await clocks.now()
            after = monotonic_ns() - ctx.started_ns
            assert previous <= before <= now <= after
            previous = now


async def test_monotonic_clock_has_a_resolution(version: str) -> None:
    async with clocks_of(version) as clocks:
        assert 1 <= await clocks.resolution() < SECOND


async def test_wall_clock_is_the_time_since_1970_in_seconds_and_nanoseconds(version: str) -> None:
    async with clocks_of(version) as clocks:
        before = time_ns()
        now = await clocks.time()
        after = time_ns()
        assert before <= now["seconds"] * SECOND + now["nanoseconds"] <= after
        assert now["nanoseconds"] < SECOND


async def test_wall_clock_has_a_resolution() -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        resolution = await guest.call("wall-clock#resolution")
        assert resolution["seconds"] == 0
        assert 1 <= resolution["nanoseconds"] < SECOND


async def test_a_duration_of_zero_and_a_past_instant_become_ready() -> None:
    ctx = WasiCtx(started_ns=monotonic_ns() - 60 * SECOND)
    async with driving(driven_guest(IMPORTS), INTERFACES, ctx) as guest:
        pollables = [
            await guest.call(SUBSCRIBE_DURATION, 0),
            await guest.call(SUBSCRIBE_INSTANT, 0),
            await guest.call(SUBSCRIBE_INSTANT, 59 * SECOND),
            await guest.call(SUBSCRIBE_INSTANT, await guest.call(NOW)),
        ]
        for pollable in pollables:
            await guest.call(BLOCK, pollable)
            assert await guest.call(READY, pollable) is True
        assert await guest.call(POLL, pollables) == [0, 1, 2, 3]


@pytest.mark.parametrize("nanoseconds", [1, 999_999, 20 * MILLISECOND])
async def test_a_guest_sleeps_no_shorter_than_the_duration(nanoseconds: int, version: str) -> None:
    async with clocks_of(version) as clocks:
        before = await clocks.now()
        await clocks.sleep(nanoseconds)
        assert await clocks.now() >= before + nanoseconds


async def test_a_guest_sleeps_until_the_instant(version: str) -> None:
    async with clocks_of(version) as clocks:
        instant = await clocks.now() + 20 * MILLISECOND
        await clocks.sleep_until(instant)
        assert await clocks.now() >= instant


async def test_who_waits_for_nothing_or_for_what_has_been_goes_on(version: str) -> None:
    ctx = WasiCtx(started_ns=monotonic_ns() - 60 * SECOND)
    async with clocks_of(version, ctx) as clocks:
        await clocks.sleep(0)
        for when in (0, 59 * SECOND, await clocks.now()):
            await clocks.sleep_until(when)


@pytest.mark.parametrize("subscribe", [SUBSCRIBE_INSTANT, SUBSCRIBE_DURATION])
async def test_a_point_in_time_too_far_to_represent_is_never_ready(subscribe: str) -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        never = await guest.call(subscribe, FOREVER)
        assert await guest.call(READY, never) is False
        soon = await guest.call(SUBSCRIBE_DURATION, MILLISECOND)
        assert await guest.call(POLL, [never, soon]) == [1]
        assert await guest.call(READY, never) is False


async def test_a_timeout_ends_a_poll_of_duplicates_and_of_what_is_never_ready() -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        hour = await guest.call(SUBSCRIBE_DURATION, 3600 * SECOND)
        soon = await guest.call(SUBSCRIBE_DURATION, 5 * MILLISECOND)
        assert await guest.call(POLL, [hour, soon, hour, soon]) == [1, 3]
        assert await guest.call(POLL, [soon, hour]) == [0]


@pytest.mark.parametrize("nanoseconds", [-1, 0, 1, SECOND, FOREVER, 2**200])
async def test_a_wait_that_is_given_up_leaves_no_timer_in_the_loop(nanoseconds: int) -> None:
    deadline = Deadline(monotonic_ns() + nanoseconds)
    waiter = asyncio.get_running_loop().create_future()
    deadline.watch(waiter)
    deadline.watch(waiter)
    deadline.unwatch(waiter)
    deadline.unwatch(waiter)
    # A timer that was not cancelled would hold the future.
    reference = weakref.ref(waiter)
    del waiter
    assert reference() is None


async def test_a_deadline_wakes_all_that_watch_it() -> None:
    deadline = Deadline(monotonic_ns() + MILLISECOND)
    waiters = [asyncio.get_running_loop().create_future() for _ in range(3)]
    for waiter in waiters:
        deadline.watch(waiter)
    waiters[0].cancel()
    await asyncio.gather(*waiters[1:])
    # uvloop counts from when its iteration began, so it may wake them a little early; then they look again.
    await io.until_ready(deadline)
    assert deadline.ready()
