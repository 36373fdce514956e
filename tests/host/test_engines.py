"""The engines of a worker: pools of one size for whatever is loaded, and what is made beside them."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.host.binding import HostInterface, Provided
from gateway.host.component import MAX_MEMORIES, Component, Source
from gateway.host.engine import Engine
from gateway.host.engines import Engines
from gateway.host.errors import ComponentError, Exhausted
from gateway.host.guest_resource import GuestResource
from gateway.host.invocation import Invocation
from gateway.host.linker import LinkedComponent, link
from gateway.host.store import ENDED, LARGE, STORES
from gateway.wasm.binary import core_writer, encode
from gateway.wasm.binary.sections import COMPONENT_PREAMBLE, ComponentSection, CoreSection
from tests.host.guests import SPIN, call_now, guest, host, invocation
from tests.patience import until

pytestmark = pytest.mark.anyio

MEMORIES = "(memory 1)"


def memories(count: int) -> str:
    return " ".join(["(memory 1)"] * count)


def source(text: str, folder: Path) -> Source:
    path = folder / "guest.wat"
    path.write_text(text)
    return Source(path)


def placed(
    engines: Engines, text: str, folder: Path, *provided: HostInterface, left: int | None = None
) -> LinkedComponent:
    """A component of this text, linked in the engine that is for it, of whose places so many are left."""
    read = source(text, folder)
    engine, places = engines.place(read)
    if left is not None:
        engine.left = left
    return link(Component(engine, read, name="guest", places=places), Provided(provided))


@contextmanager
def under_way(running: list[Invocation], linked: LinkedComponent, count: int) -> Iterator[None]:
    """Have so many invocations begun that do not end."""
    try:
        for _ in range(count):
            running.append(invocation(linked))
            assert not running[-1].start()
        yield
    finally:
        for started in running:
            started.close()
        running.clear()


@pytest.mark.parametrize(
    ("module", "places"),
    [("", 1), (memories(2), 1), (memories(3), 2), (memories(8), 4), ("(table 1 funcref) " * 5, 3)],
)
def test_an_instance_takes_places_for_what_it_has(tmp_path: Path, module: str, places: int) -> None:
    engine, taken = Engines(4).place(source(guest("", module=module), tmp_path))
    assert engine.pooled
    assert taken == places


@pytest.mark.parametrize("module", [memories(9), "(table 1 funcref) " * 9, "(memory i64 1)"])
def test_one_that_needs_too_much_is_beside_the_pools_and_the_others_in_them(
    tmp_path: Path, module: str
) -> None:
    engines = Engines(4)
    large = placed(engines, guest("", module=module), tmp_path)
    assert not large.component.engine.pooled
    assert placed(engines, guest(""), tmp_path).component.engine.pooled
    assert call_now(large) is None


def test_a_module_whose_globals_no_place_has_room_for_is_refused(tmp_path: Path) -> None:
    of_zero = b"\x7f\x00\x41\x00\x0b"
    globals_ = encode.vector([of_zero] * ((4 << 20) // 16))
    module = core_writer.module([(CoreSection.GLOBAL, globals_)])
    path = tmp_path / "guest.wasm"
    path.write_bytes(COMPONENT_PREAMBLE + encode.section(ComponentSection.CORE_MODULE, module))
    read = Source(path)
    engine, places = Engines(1).place(read)
    assert engine.pooled
    with pytest.raises(
        ComponentError, match="the engine has no place for it: module instance size"
    ):
        Component(engine, read, name="guest", places=places)


def test_a_component_whose_instances_take_too_many_memory_maps_is_refused(tmp_path: Path) -> None:
    def instances(count: int) -> str:
        made = "(core instance (instantiate $m))" * count
        return f"(component (core module $m {MEMORIES}) {made})"

    most = source(instances(MAX_MEMORIES), tmp_path)
    assert most.footprint is not None
    assert most.footprint.memories == MAX_MEMORIES
    with pytest.raises(
        ComponentError, match=f"{MAX_MEMORIES + 1} memories, and {MAX_MEMORIES} are"
    ):
        source(instances(MAX_MEMORIES + 1), tmp_path)


def test_what_is_loaded_later_finds_the_same_pools(tmp_path: Path) -> None:
    engines = Engines(4)
    one = placed(engines, guest(""), tmp_path)
    other = placed(engines, guest("", module=memories(2)), tmp_path)
    assert one.component.engine is other.component.engine


def test_without_pools_an_instance_takes_memory_maps(tmp_path: Path) -> None:
    engine, maps = Engines(0).place(
        source(guest("", module=memories(3) + " (table 1 funcref)"), tmp_path)
    )
    assert not engine.pooled
    assert engine is engine.beside
    # Of each memory and of the stack two, of the table and of the instance itself one.
    assert maps == 2 * 3 + 2 + 1 + 1


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory maps in /proc")
@pytest.mark.parametrize("module", ["", MEMORIES, memories(8), "(table 20000 funcref) " * 4])
def test_an_instance_beside_the_pools_takes_no_more_maps_than_are_counted(
    tmp_path: Path, module: str
) -> None:
    linked = placed(Engines(0), guest(SPIN, module=module), tmp_path)
    with under_way([], linked, 1):
        pass  # which makes what all instances share
    # Pools of earlier tests, which have hundreds of maps, may go at any time: what is told is too little then.
    before, count = maps(), 32
    with under_way([], linked, count):
        # Some are of the test itself.
        assert maps() - before <= (count + 4) * linked.component.places


def maps() -> int:
    with open("/proc/self/maps", "rb") as lines:
        return sum(1 for _ in lines)


def test_who_would_take_more_memory_maps_than_there_are_is_told_to_wait(tmp_path: Path) -> None:
    linked = placed(Engines(0), guest(SPIN, module=MEMORIES), tmp_path)
    engine, taken = linked.component.engine, linked.component.places
    assert engine.left > taken
    engine.left = 2 * taken + 1
    with under_way([], linked, 2):
        with pytest.raises(Exhausted, match="memory maps"):
            invocation(linked).start()
        assert engine.left == 1
    assert engine.left == 2 * taken + 1
    assert not STORES


async def test_memory_maps_of_what_runs_beside_the_pools_are_given_back(tmp_path: Path) -> None:
    linked = placed(Engines(1), guest(SPIN, module=MEMORIES), tmp_path, left=2)
    beside = linked.component.engine.beside
    with under_way([], linked, 2):
        await spilled(linked)
        assert linked.beside is not None
        # It may have run there, and what it took is given back with its store.
        await until(lambda: not ENDED)
        beside.left = linked.beside.component.places
        with under_way([], linked, 1), pytest.raises(Exhausted, match="memory maps"):
            invocation(linked).start()
        with under_way([], linked, 1):
            assert beside.left == 0
    assert not STORES


GROW = """
  (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
  (memory.size)
"""


def test_each_has_its_own_limit_in_pools_that_all_share(tmp_path: Path) -> None:
    linked = placed(Engines(1), guest(GROW, module="(memory 1)", result="u32"), tmp_path)
    assert linked.component.engine.pooled
    pages = [3, 64, 2, 64, 3]
    assert [call_now(linked, max_memory=each << 16) for each in pages] == pages


async def test_garbage_is_collected_in_as_many_instances_as_there_are_places(
    tmp_path: Path,
) -> None:
    async def wait(_data: None) -> None:
        await asyncio.Future()

    text = guest(
        "(drop (struct.new $s (i32.const 1))) (call $wait)",
        "wait",
        module="(type $s (struct (field i32)))",
    )
    linked = placed(Engines(501), text, tmp_path, host(wait=wait))
    assert linked.component.places == 1
    # The engine's own default is a thousand.
    running: list[Invocation] = []
    with under_way(running, linked, 1002):
        assert {each.store.engine for each in running} == {linked.component.engine}


async def spilled(linked: LinkedComponent, function: str = "run") -> None:
    """Have a call find the pools full, and wait for what takes over."""
    late = invocation(linked, function=function)
    with contextlib.suppress(Exhausted):
        late.start()
    late.close()
    late.store.close()
    await until(lambda: linked.beside)


def test_a_call_is_refused_while_what_takes_over_is_linked(tmp_path: Path) -> None:
    linked = placed(Engines(1), guest(SPIN, module=MEMORIES), tmp_path, left=2)
    linked.not_before = math.inf  # it is asked for, and the thread has not come to it
    with under_way([], linked, 2), pytest.raises(Exhausted, match="still being linked"):
        invocation(linked).start()
    assert not STORES


async def test_what_finds_the_pools_full_runs_beside_them(tmp_path: Path) -> None:
    linked = placed(Engines(1), guest(SPIN, module=MEMORIES), tmp_path, left=2)
    engine = linked.component.engine
    running: list[Invocation] = []
    with under_way(running, linked, 2):
        assert all(each.store.engine is engine for each in running)
        await spilled(linked)
        beside: list[Invocation] = []
        with under_way(beside, linked, 3):
            assert all(each.store.engine is engine.beside for each in beside)
            running.pop().close()
            again = invocation(linked)
            running.append(again)
            assert not again.start()
            assert again.store.engine is engine
    assert not STORES
    # All places are free again.
    with under_way(running, linked, 2):
        assert all(each.store.engine is engine for each in running)


async def test_what_could_not_be_linked_beside_the_pools_is_tried_again(tmp_path: Path) -> None:
    linked = placed(Engines(1), guest(SPIN, module=MEMORIES), tmp_path, left=2)
    engine = linked.component.engine
    engine._beside = Engine(concurrent=True)  # which refuses what was compiled for others
    with under_way([], linked, 2):
        await until(lambda: 0 < linked.not_before < math.inf)
        with pytest.raises(Exhausted):
            invocation(linked).start()
        await until(lambda: linked.not_before < math.inf)
        assert linked.beside is None
        engine._beside = None
        linked.not_before = 0.0  # the pause is over
        await spilled(linked)
        with under_way([], linked, 1):
            pass
    assert not STORES


async def test_places_are_given_back_by_the_thread_that_frees_large_stores(tmp_path: Path) -> None:
    linked = placed(Engines(1), guest(SPIN, module=MEMORIES), tmp_path, left=2)
    for _ in range(8):
        large = invocation(linked, max_memory=LARGE + 1)
        await until(lambda: linked.component.engine.left == 2)
        assert not large.start()
        assert large.store.engine.pooled
        large.close()


async def test_the_store_that_ended_last_is_freed_when_others_have_had_their_turn(
    tmp_path: Path,
) -> None:
    linked = placed(Engines(1), guest(SPIN, module=MEMORIES), tmp_path, left=1)
    engine = linked.component.engine
    for _ in range(3):  # each needs the place of the one before
        with under_way([], linked, 1):
            assert engine.left == 0
        assert not STORES
        assert engine.left == 0
    await asyncio.sleep(0)
    assert engine.left == 1


def test_it_is_freed_at_once_where_no_loop_runs(tmp_path: Path) -> None:
    linked = placed(Engines(1), guest(SPIN, module=MEMORIES), tmp_path, left=1)
    with under_way([], linked, 1):
        assert linked.component.engine.left == 0
    assert linked.component.engine.left == 1


async def test_what_takes_over_is_linked_before_the_pools_are_full(tmp_path: Path) -> None:
    linked = placed(Engines(1), guest(SPIN, module=MEMORIES), tmp_path, left=65)
    engine = linked.component.engine
    short: list[bool] = []
    with under_way([], linked, 1):
        short.append(engine.left < engine.few)
    running: list[Invocation] = []
    with under_way(running, linked, 3):
        short.append(engine.left < engine.few)
        assert all(each.store.engine is engine for each in running)
        await until(lambda: linked.beside)
    assert short == [False, True]


SHOP = """
  (component
    (type $thing' (resource (rep i32)))
    (export $thing "thing" (type $thing'))
    (core func $new (canon resource.new $thing))
    (core module $m
      (import "" "new" (func $new (param i32) (result i32)))
      (func (export "make") (result i32) (call $new (i32.const 7)))
      (func (export "read") (param i32) (result i32) (local.get 0)))
    (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))
    (func (export "make") (result (own $thing)) (canon lift (core func $i "make")))
    (func (export "read") (param "thing" (borrow $thing)) (result u32)
      (canon lift (core func $i "read"))))
"""


async def test_an_instance_that_is_kept_beside_the_pools_is_called_there(tmp_path: Path) -> None:
    linked = placed(Engines(1), SHOP, tmp_path, left=2)
    made: list[Invocation] = []
    try:
        for _ in range(2):
            made.append(invocation(linked, function="make"))
            assert made[-1].start()
        await spilled(linked, "make")
        made.append(invocation(linked, function="make"))
        assert made[-1].start()
        assert not made[-1].store.engine.pooled
        for each in made:
            assert each.kept
            assert isinstance(each.result, GuestResource)
            read = Invocation(
                linked.export("read"),
                (each.result,),
                None,
                max_memory=1 << 20,
                max_execution_time=120.0,
                within=each.store,
            )
            assert read.start()
            assert read.result == 7
    finally:
        for each in made:
            each.store.close()
    assert not STORES
