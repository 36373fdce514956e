"""Instances that are made ahead of their calls."""

from __future__ import annotations

import mmap
import sys
from contextlib import suppress
from ctypes import addressof, c_char
from pathlib import Path
from typing import Final

import pytest

from gateway.app import Gateway, create_app
from gateway.config import ComponentConfig, GatewayConfig, ServerConfig
from gateway.host import ahead as module
from gateway.host.ahead import Ahead
from gateway.host.pages import bring_in, written
from gateway.host.store import ENDED, STORES
from tests.patience import until
from tests.rpc.mirror import Caller, body

pytestmark = pytest.mark.anyio

COUNT: Final = """
(component
  (core module $module
    (memory (export "memory") 1)
    (global $count (mut i32) (i32.const 0))
    (func (export "count") (result i32)
      (global.set $count (i32.add (global.get $count) (i32.const 1)))
      (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
      (i32.add (i32.load (i32.const 0)) (global.get $count))))
  (core instance $instance (instantiate $module))
  (func (export "count") (result u32) (canon lift (core func $instance "count"))))
"""
"""Returns 2, where it is the first call of its instance."""

STARTS: Final = """
(component
  (import "wasi:random/random@0.2.0"
    (instance $random (export "get-random-u64" (func (result u64)))))
  (core func $random (canon lower (func $random "get-random-u64")))
  (core module $module
    (import "random" "random" (func $random (result i64)))
    (global $drawn (mut i64) (i64.const 0))
    (func $start (global.set $drawn (call $random)))
    (start $start)
    (func (export "count") (result i32)
      (i32.add (i64.ne (global.get $drawn) (i64.const 0)) (i32.const 1))))
  (core instance $given (export "random" (func $random)))
  (core instance $instance (instantiate $module (with "random" (instance $given))))
  (func (export "count") (result u32) (canon lift (core func $instance "count"))))
"""
"""The same, and draws a number when its instance is made."""


def application(folder: Path, text: str = COUNT) -> Gateway:
    source = folder / "guest.wat"
    source.write_text(text)
    component = ComponentConfig(name="guest", source=source)
    return create_app(GatewayConfig(server=ServerConfig(), components=(component,)))


def ahead_of(app: Gateway) -> Ahead:
    assert app.runtime.ahead is not None
    return app.runtime.ahead


async def call(app: Gateway) -> None:
    caller = Caller(body("count"))
    await caller.run(app)
    assert caller.json["result"] == 2


async def test_a_call_goes_on_in_an_instance_that_was_made_ahead_and_nobody_else_does(
    tmp_path: Path,
) -> None:
    app = application(tmp_path)
    ahead = ahead_of(app)
    await call(app)
    for _ in range(3):
        await until(lambda: ahead.ready)
        ((store, _),) = ahead.ready.values()
        assert not STORES  # for which the engine's clock would tick
        await call(app)
        assert store.context
        assert not store._pointer
        assert not ahead.ready
    await app.aclose()


async def test_the_instance_of_a_call_that_found_none_is_its_own(tmp_path: Path) -> None:
    app = application(tmp_path)
    for _ in range(3):
        await call(app)
        await call(app)
    await app.aclose()


async def test_none_is_made_whose_making_calls_the_host(tmp_path: Path) -> None:
    app = application(tmp_path, STARTS)
    await call(app)
    assert not ahead_of(app).wanted
    await app.aclose()


async def test_none_is_made_while_something_is_under_way(tmp_path: Path) -> None:
    app = application(tmp_path)
    ahead, admission = ahead_of(app), app.runtime.admission
    await call(app)
    admission.in_flight += 1
    for _ in range(3):
        ahead._look()
        assert not ahead.ready
    admission.in_flight -= 1
    await until(lambda: ahead.ready)
    await app.aclose()


async def test_none_takes_one_of_the_last_places(tmp_path: Path) -> None:
    app = application(tmp_path)
    ahead = ahead_of(app)
    engine = app.services[0].linked.component.engine
    await call(app)
    await until(lambda: not ENDED)
    left, engine.left = engine.left, engine.few
    await until(lambda: not ahead.wanted)
    assert not ahead.ready
    engine.left = left
    await app.aclose()


async def test_what_is_old_is_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = application(tmp_path)
    ahead = ahead_of(app)
    await call(app)
    await until(lambda: ahead.ready)
    ahead._sweep()
    assert ahead.ready
    monkeypatch.setattr(module, "_OLD", 0.0)
    ahead._sweep()
    assert not ahead.ready
    await call(app)
    await app.aclose()


async def test_it_goes_with_its_component(tmp_path: Path) -> None:
    app = application(tmp_path)
    ahead = ahead_of(app)
    engine = app.services[0].linked.component.engine
    left = engine.left
    await call(app)
    await until(lambda: ahead.ready)
    assert engine.left < left
    await app.services[0].aclose()
    assert not ahead.ready
    await until(lambda: not ENDED)
    assert engine.left == left
    await app.aclose()


@pytest.mark.skipif(sys.platform != "linux", reason="told by Linux")
def test_pages_that_were_written_to_are_told_and_brought_in() -> None:
    page = mmap.PAGESIZE
    used, fresh = (
        mmap.mmap(-1, 16 * page, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) for _ in range(2)
    )
    for memory in (used, fresh):
        with suppress(OSError):  # the system has no huge pages
            memory.madvise(mmap.MADV_NOHUGEPAGE)
    for number in (3, 4, 9):
        used[number * page] = 1
    expected = [(3 * page, 2 * page), (9 * page, page)]
    address = addressof(c_char.from_buffer(used))
    assert written(address, 16 * page, 1 << 20) == expected
    assert written(address, 16 * page, 2 * page) == expected[:1]
    address = addressof(c_char.from_buffer(fresh))
    assert written(address, 16 * page, 1 << 20) == []
    bring_in(address, 16 * page, expected)
    assert written(address, 16 * page, 1 << 20) == expected
    assert fresh[:] == bytes(16 * page)
