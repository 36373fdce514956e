"""Limits of what a guest may take: memory, tables, the engine's pools, and what crosses in one call."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gateway.host.binding import HostInterface
from gateway.host.engine import Engine, PoolSize
from gateway.host.errors import Exhausted, Trap
from gateway.host.store import STORES
from gateway.host.values import MAX_ARGUMENT, MAX_ARGUMENTS, MAX_ELEMENTS
from gateway.wasm.instance_limits import MAX_TABLE_ELEMENTS
from tests.host.conftest import Load
from tests.host.guests import API, SPIN, call, call_now, guest, host, invocation, load_component

pytestmark = pytest.mark.anyio

POOL = PoolSize(
    instances=2,
    core_instances=4,
    memories=2,
    tables=2,
    max_memory=1 << 20,
    max_core_instances_per_component=2,
    max_memories_per_component=1,
    max_tables_per_component=1,
)


@pytest.fixture(scope="module", params=["on demand", "pooled"])
def any_engine(request: pytest.FixtureRequest) -> Engine:
    engine = Engine(POOL if request.param == "pooled" else None)
    assert engine.pooled == (request.param == "pooled")
    return engine


GROW = """
  (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
  (memory.size)
"""


@pytest.mark.parametrize("pages", [1, 7, 16])
def test_memory_grows_to_its_limit_and_no_further(
    any_engine: Engine, tmp_path: Path, pages: int
) -> None:
    text = guest(GROW, module="(memory 1)", result="u32")
    linked = load_component(any_engine, text, tmp_path)
    assert call_now(linked, max_memory=pages * 65536) == pages
    assert call_now(linked, max_memory=pages * 65536 + 65535) == pages


def test_a_memory_that_begins_over_the_limit_is_refused(any_engine: Engine, tmp_path: Path) -> None:
    linked = load_component(any_engine, guest("", module="(memory 4)"), tmp_path)
    with pytest.raises(Trap, match="minimum size of 4 pages exceeds memory limits"):
        call_now(linked, max_memory=3 * 65536)
    assert call_now(linked, max_memory=4 * 65536) is None


def test_tables_have_a_limit_too(any_engine: Engine, tmp_path: Path) -> None:
    grow = """
      (loop $more
        (br_if $more
          (i32.ne (table.grow (ref.null func) (i32.const 1000)) (i32.const -1))))
      (table.size)
    """
    linked = load_component(
        any_engine, guest(grow, module="(table 0 funcref)", result="u32"), tmp_path
    )
    assert call_now(linked) == MAX_TABLE_ELEMENTS


async def test_a_call_that_the_pools_have_no_room_for_is_told_so(tmp_path: Path) -> None:
    linked = load_component(Engine(POOL), guest(SPIN), tmp_path)
    running = [invocation(linked) for _ in range(POOL.instances)]
    try:
        for started in running:
            assert not started.start()
        with pytest.raises(Exhausted, match="maximum concurrent limit of 2"):
            await call(linked)
        running.pop().close()
        again = invocation(linked)
        running.append(again)
        assert not again.start()
    finally:
        for started in running:
            started.close()
    assert not STORES


@pytest.mark.parametrize(
    ("pool", "module"),
    [
        ({"core_instances": 1}, ""),
        ({"memories": 1}, "(memory 1)"),
        ({"tables": 1}, "(table 1 funcref)"),
    ],
)
async def test_every_pool_may_be_the_one_that_is_empty(
    tmp_path: Path, pool: dict[str, int], module: str
) -> None:
    size = dataclasses.replace(POOL, **pool)
    linked = load_component(Engine(size), guest(SPIN, module=module), tmp_path)
    first = invocation(linked)
    try:
        assert not first.start()
        with pytest.raises(Exhausted):
            await call(linked)
    finally:
        first.close()


async def test_more_than_the_engine_passes_in_one_call_is_refused(load: Load) -> None:
    """The engine bounds what the host has to copy for one call: 128 MiB, each element counted with its frame."""
    seen: list[int] = []
    text = f"""
      (component
        (import "{API}" (instance $api (export "f" (func (param "a" (list u8))))))
        (core module $memory (memory (export "memory") 64))
        (core instance $memory (instantiate $memory))
        (core func $f (canon lower (func $api "f") (memory (core memory $memory "memory"))))
        (core module $m
          (import "" "f" (func $f (param i32 i32)))
          (func (export "run") (param i32) (call $f (i32.const 0) (local.get 0))))
        (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
        (func (export "run") (param "size" u32) (canon lift (core func $i "run"))))
    """
    linked = load(text, host(f=lambda _data, given: seen.append(len(given))))
    await call(linked, 1 << 20)
    with pytest.raises(Trap, match="too much data is being copied"):
        await call(linked, 1 << 22)
    assert seen == [1 << 20]


def passing(length: int, ty: str) -> str:
    """A guest whose `run` passes so many elements, of a byte each or nothing, to `f`, which returns a number."""
    return f"""
      (component
        (import "{API}" (instance $api (export "f" (func (param "a" {ty}) (result u32)))))
        (core module $memory (memory (export "memory") 100))
        (core instance $memory (instantiate $memory))
        (core func $f (canon lower (func $api "f") (memory (core memory $memory "memory"))))
        (core module $m
          (import "" "f" (func $f (param i32 i32) (result i32)))
          (func (export "run") (result i32) (call $f (i32.const 0) (i32.const {length}))))
        (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
        (func (export "run") (result u32) (canon lift (core func $i "run"))))
    """


@pytest.mark.parametrize(
    ("ty", "most"),
    [("(list u8)", MAX_ARGUMENT), ("string", MAX_ARGUMENT), ("(list u32)", MAX_ELEMENTS)],
)
@pytest.mark.parametrize("blocking", [False, True])
def test_an_argument_is_not_read_beyond_its_limit(
    load: Load, ty: str, most: int, blocking: bool
) -> None:
    interface = HostInterface(API, None)
    interface.function("f", blocking=blocking)(lambda _data, given: len(given))
    assert call_now(load(passing(most, ty), interface)) == most
    with pytest.raises(Trap, match=rf"^{API}#f: a .* of length {most + 1}; an argument may have"):
        call_now(load(passing(most + 1, ty), interface))


def passing_many(ty: str, *lengths: int) -> str:
    """A guest that passes lists of these lengths from its memory, all from the same place."""
    parameters = " ".join(f'(param "p{at}" {ty})' for at in range(len(lengths)))
    stores = " ".join(
        f"(i32.store (i32.const {8 * at + 4}) (i32.const {length}))"
        for at, length in enumerate(lengths)
    )
    return f"""
      (component
        (import "{API}" (instance $api (export "f" (func {parameters}))))
        (core module $memory (memory (export "memory") 100))
        (core instance $memory (instantiate $memory))
        (core func $f (canon lower (func $api "f") (memory (core memory $memory "memory"))))
        (core module $m
          (import "" "f" (func $f (param i32)))
          (import "memory" "memory" (memory 0))
          (func (export "run") {stores} (call $f (i32.const 0))))
        (core instance $i (instantiate $m
          (with "" (instance (export "f" (func $f)))) (with "memory" (instance $memory))))
        (func (export "run") (canon lift (core func $i "run"))))
    """


@pytest.mark.parametrize("ty", ["(list u8)", "string"])
def test_arguments_of_one_call_have_a_limit_together(
    engine: Engine, tmp_path: Path, ty: str
) -> None:
    seen: list[int] = []
    interface = HostInterface(API, None)
    interface.function("f")(lambda _data, *given: seen.append(sum(map(len, given))))
    # More than eight are passed in memory.
    lengths = [MAX_ARGUMENT] * (MAX_ARGUMENTS // MAX_ARGUMENT) + [0] * 4
    for last in (0, 1):
        text = passing_many(ty, *lengths, last)
        linked = load_component(engine, text, tmp_path, interface, in_blocks=True)
        if last:
            with pytest.raises(Trap, match=f"^{API}#f: its arguments together; they may have"):
                call_now(linked)
        else:
            call_now(linked)
    assert seen == [MAX_ARGUMENTS]


def test_a_host_function_may_take_what_fits(load: Load) -> None:
    interface = HostInterface(API, None)
    interface.function("f", cuts=True)(lambda _data, given: len(given))
    assert call_now(load(passing(MAX_ARGUMENT + 1, "(list u8)"), interface)) == MAX_ARGUMENT
    with pytest.raises(Trap, match="a string of length"):
        call_now(load(passing(MAX_ARGUMENT + 1, "string"), interface))


def test_what_nothing_provides_reads_no_argument(load: Load) -> None:
    with pytest.raises(Trap, match=f"nothing provides {API}#f"):
        call_now(load(passing(MAX_ARGUMENT + 1, "(list u8)")))
