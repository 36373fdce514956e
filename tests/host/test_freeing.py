"""What it takes to free the memory of a guest that had much of it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

import pytest

from gateway.app import Gateway, create_app
from gateway.config import ComponentConfig, GatewayConfig, ServerConfig
from gateway.host import store
from gateway.host.store import FREED_APART, LARGE
from tests.rpc.mirror import Caller, body
from tests.stalls import nothing_holds_the_loop
from tests.threadless import no_more_threads

pytestmark = pytest.mark.anyio

TOUCH: Final = """
(component
  (core module $module
    (memory (export "memory") 1)
    (func (export "touch") (param $mib i32) (result i32)
      (local $at i32)
      (local $end i32)
      (local.set $end (i32.shl (local.get $mib) (i32.const 20)))
      (drop (memory.grow
        (i32.sub (i32.shr_u (local.get $end) (i32.const 16)) (i32.const 1))))
      (loop $next
        (i32.store (local.get $at) (i32.const 1))
        (local.set $at (i32.add (local.get $at) (i32.const 4096)))
        (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
      (memory.size)))
  (core instance $instance (instantiate $module))
  (func (export "touch") (param "mib" u32) (result u32)
    (canon lift (core func $instance "touch"))))
"""


def application(folder: Path, max_memory: int) -> Gateway:
    source = folder / "touch.wat"
    source.write_text(TOUCH)
    component = ComponentConfig(
        name="guest",
        source=source,
        max_memory=max_memory,
        max_execution_time=300.0,
        max_concurrency=1,
    )
    return create_app(GatewayConfig(server=ServerConfig(), components=(component,)))


async def test_freeing_much_memory_holds_up_nobody(tmp_path: Path) -> None:
    app = application(tmp_path, 1 << 30)
    with nothing_holds_the_loop():
        for _ in range(3):  # the place of the one before may not be free yet
            caller = Caller(body("touch", 1024))
            await caller.run(app)
            assert caller.json["result"] == 1024 << 4


async def test_a_thread_frees_the_stores_of_guests_that_may_have_much_memory(
    tmp_path: Path,
) -> None:
    caller = Caller(body("touch", 1))
    await caller.run(application(tmp_path, LARGE + (64 << 10)))
    assert caller.json["result"] == 16
    assert [it for it in threading.enumerate() if it.name.startswith("free-store")]


async def test_those_that_are_freed_take_no_place_of_others(tmp_path: Path) -> None:
    app = application(tmp_path, 1 << 30)
    for _ in range(50):
        caller = Caller(body("touch", 16))
        await caller.run(app)
        assert caller.json["result"] == 256


async def test_without_a_thread_they_are_freed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_freeing", store._Freeing())  # whose thread has not begun
    app = application(tmp_path, 1 << 30)
    with no_more_threads():
        for _ in range(2 * FREED_APART):
            caller = Caller(body("touch", 16))
            await caller.run(app)
            assert caller.json["result"] == 256
