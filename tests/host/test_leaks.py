"""What thousands of calls leave behind: nothing, whatever became of them."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.host.errors import InvocationError, Trap
from gateway.host.linker import LinkedComponent
from gateway.host.store import STORES
from tests.host.conftest import Load
from tests.host.guests import SPIN, guest, host, invocation

pytestmark = pytest.mark.anyio


class Data:
    """What host functions are called with; it ends up in every frame that matters."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.payload = bytes(10_000)


async def wait(data: Data) -> None:
    data.reached.set()
    await asyncio.Event().wait()


async def pause(_data: Data) -> None:
    await asyncio.sleep(0)


async def fail_late(_data: Data) -> None:
    await asyncio.sleep(0)
    raise Trap("late")


def fail(_data: Data) -> None:
    raise ValueError("sync")


def reached(data: Data) -> None:
    data.reached.set()


HOST = host(wait=wait, pause=pause, fail=fail, fail_late=fail_late, reached=reached)
NAMES = tuple(HOST.functions)

BODIES = {
    "result": "",
    "result after a wait": "(call $pause)",
    "trap": "unreachable",
    "trap after a wait": "(call $pause) unreachable",
    "host error": "(call $fail)",
    "late host error": "(call $fail-late)",
    "deadline while waiting": "(call $wait)",
    "deadline while spinning": SPIN,
    "cancelled while waiting": "(call $wait)",
    "cancelled while spinning": f"(call $reached) {SPIN}",
    "stopped": "(call $wait)",
}


@pytest.fixture
def guests(load: Load) -> dict[str, LinkedComponent]:
    return {name: load(guest(body, *NAMES), HOST) for name, body in BODIES.items()}


async def outcome(name: str, linked: LinkedComponent, data: Data) -> str:
    """Call the guest, and end it in the way that its name says."""
    limit = 0.01 if name.startswith("deadline") else 120.0
    running = invocation(linked, data=data, max_execution_time=limit)
    task = asyncio.create_task(running.call())
    if name.startswith("cancelled"):
        await data.reached.wait()
        task.cancel()
    if name == "stopped":
        await data.reached.wait()
        running.stop(InvocationError("stopped"))
    # Not `await task`: an exception that passes through here would hold this frame, and this frame the task.
    ended = await asyncio.gather(task, return_exceptions=True)
    return "result" if ended[0] is None else type(ended[0]).__name__


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("name", BODIES)
async def test_a_call_leaves_nothing_for_the_garbage_collector(
    guests: dict[str, LinkedComponent], name: str
) -> None:
    """A reference cycle would keep a request's data until the collector comes round to its generation."""
    data = Data()
    alive = weakref.ref(data)
    await outcome(name, guests[name], data)
    del data
    await asyncio.sleep(0)
    assert alive() is None


def resident_memory() -> int:
    """Bytes of this process that are in memory."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("the system does not tell how much memory is resident (/proc)")
    return int(statm.read_text().split()[1]) * 4096


async def mixed(guests: dict[str, LinkedComponent], times: int) -> Counter[str]:
    seen: Counter[str] = Counter()
    for _ in range(times):
        seen.update(await asyncio.gather(*[outcome(name, guests[name], Data()) for name in guests]))
    return seen


async def test_thousands_of_mixed_calls_leave_no_growth(
    guests: dict[str, LinkedComponent],
) -> None:
    await mixed(guests, 20)
    gc.collect()
    tasks, objects, memory = len(asyncio.all_tasks()), len(gc.get_objects()), resident_memory()
    times = 150
    seen = await mixed(guests, times)
    assert seen == {
        "result": 2 * times,
        "Trap": 3 * times,
        "ValueError": times,
        "DeadlineExceeded": 2 * times,
        "CancelledError": 2 * times,
        "InvocationError": times,
    }
    assert not STORES
    assert len(asyncio.all_tasks()) == tasks
    gc.collect()
    assert len(gc.get_objects()) < objects + 500
    # A store that was left would be 20 KB at least, 33 MB in all.
    assert resident_memory() < memory + (12 << 20)


def test_two_loops_in_two_threads(guests: dict[str, LinkedComponent]) -> None:
    both_run = threading.Barrier(2)
    seen: list[Counter[str]] = []

    async def calls() -> None:
        both_run.wait()
        seen.append(await mixed(guests, 15))

    threads = [threading.Thread(target=lambda: asyncio.run(calls())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert not STORES


def test_a_linked_component_goes_when_nobody_needs_it(load: Load) -> None:
    linked = load(guest("(call $pause)", *NAMES), HOST)
    asyncio.run(outcome("result after a wait", linked, Data()))
    alive = weakref.ref(linked)
    del linked
    gc.collect()
    assert alive() is None


def test_exceptions_of_callbacks_never_reach_the_interpreter(
    guests: dict[str, LinkedComponent], monkeypatch: pytest.MonkeyPatch
) -> None:
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    for name in ("host error", "late host error", "cancelled while waiting"):
        asyncio.run(outcome(name, guests[name], Data()))
    assert not unraisable
