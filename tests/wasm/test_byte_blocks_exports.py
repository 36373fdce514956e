"""Which functions that a component exports are exported in disguise too, and what stays as it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime
from wasmtime import component as wasm

from gateway.wasm.binary.types import Func, ListOf, Primitive, Record, Variant
from gateway.wasm.byte_blocks import PREFIX, ExportBlocks, rewrite
from gateway.wasm.byte_blocks import exported_functions as exported
from gateway.wasm.byte_blocks.exported_functions import read_exported_functions
from gateway.wasm.byte_blocks.prelude import UnbridgeableError
from gateway.wasm.hollow import hollow
from tests.wasm.bridged import MEMORY, NAME, binary, memory_of, rewritten

BYTES = '(param "data" (list u8))'
CORE = f"""
  {MEMORY % "unreachable"}
  (core module $Core
    (func (export "take") (param i32 i32))
    (func (export "none"))
    (func (export "give") (result i32) (i32.const 64)))
  (core instance $core (instantiate $Core))
  (func $take {BYTES} (canon lift (core func $core "take") (memory $m) (realloc $realloc)))
  (func $give (result (list u8)) (canon lift (core func $core "give") (memory $m)))
  (func $none (canon lift (core func $core "none")))
"""


def take(component: bytes) -> None:
    """Have the engine say that a component is valid."""
    wasm.Component(wasmtime.Engine(), hollow(component))


def functions(text: str) -> dict[tuple[str | None, str], Func]:
    found = read_exported_functions(binary(text))
    return {(each.interface, each.name): each.type for each in found.functions}


def disguised(text: str) -> list[tuple[str | None, str]]:
    result = rewrite(binary(text), lambda _name: False)
    if result is None:
        return []
    take(result.component)
    return list(result.exports)


# The same two functions, exported in every way that tools have for it.
WAYS = {
    "alone": f'(component {CORE} (export "take" (func $take)) (export "none" (func $none)))',
    "a bag": f"""(component {CORE}
      (instance $bag (export "take" (func $take)) (export "none" (func $none)))
      (export "a:b/c" (instance $bag)))""",
    "a component of imports": f"""(component {CORE}
      (component $Shim
        (import "import-take" (func $take {BYTES})) (import "import-none" (func $none))
        (export "take" (func $take)) (export "none" (func $none)))
      (instance $shim (instantiate $Shim
        (with "import-take" (func $take)) (with "import-none" (func $none))))
      (export "a:b/c" (instance $shim)))""",
    "an instance of a component": f"""(component
      (component $Inner {CORE} (export "take" (func $take)) (export "none" (func $none)))
      (instance $inner (instantiate $Inner))
      (export "a:b/c" (instance $inner)))""",
    "an alias": f"""(component
      (component $Inner {CORE}
        (instance $bag (export "take" (func $take)) (export "none" (func $none)))
        (export "in" (instance $bag)))
      (instance $inner (instantiate $Inner))
      (alias export $inner "in" (instance $bag))
      (export "a:b/c" (instance $bag)))""",
}


@pytest.mark.parametrize("way", WAYS)
def test_functions_are_found_however_they_are_exported(way: str) -> None:
    interface = None if way == "alone" else "a:b/c"
    assert list(functions(WAYS[way])) == [(interface, "take"), (interface, "none")]
    assert disguised(WAYS[way]) == [(interface, "take")]


# Types that come from elsewhere: an import, an instance that is exported before, an enclosing component.
ELSEWHERE = f"""(component
  (import "{NAME}" (instance $api
    (type $file' (record (field "name" string) (field "body" (list u8))))
    (export "file" (type $file (eq $file')))))
  (alias export $api "file" (type $file))
  {CORE}
  (core module $Keep (func (export "keep") (param i32 i32 i32 i32)))
  (core instance $keep (instantiate $Keep))
  (func $keep (param "file" $file) (canon lift (core func $keep "keep") (memory $m) (realloc $realloc)))
  (component $Types
    (type $kind' (variant (case "file" string) (case "data" (list u8))))
    (export "kind" (type $kind')))
  (instance $types (instantiate $Types))
  (export "a:b/types" (instance $types))
  (alias export $types "kind" (type $kind))
  (core module $Tell (func (export "tell") (param i32 i32 i32)))
  (core instance $tell (instantiate $Tell))
  (func $tell (param "kind" $kind) (canon lift (core func $tell "tell") (memory $m) (realloc $realloc)))
  (component $Shim
    (alias outer 1 $file (type $outer))
    (import "file" (type $file (eq $outer)))
    (import "keep" (func $keep (param "file" $file)))
    (export "keep" (func $keep)))
  (instance $keeping (instantiate $Shim (with "file" (type $file)) (with "keep" (func $keep))))
  (export "a:b/keeping" (instance $keeping))
  (component $Telling
    (type $kind'' (variant (case "file" string) (case "data" (list u8))))
    (import "kind" (type $kind (eq $kind'')))
    (import "tell" (func $tell (param "kind" $kind)))
    (export $exported "kind" (type $kind))
    (export "tell" (func $tell) (func (param "kind" $exported))))
  (instance $telling (instantiate $Telling (with "kind" (type $kind)) (with "tell" (func $tell))))
  (export "a:b/telling" (instance $telling)))"""


def test_types_are_found_wherever_they_are_from() -> None:
    found = read_exported_functions(binary(ELSEWHERE))
    (tell,) = [each for each in found.functions if each.name == "tell"]
    ((_, kind),) = tell.type.parameters
    assert isinstance(kind, int)
    variant = found.types[kind]
    assert isinstance(variant, Variant)
    payload = dict(variant.cases)["data"]
    assert isinstance(payload, int)
    assert found.types[payload] == ListOf(Primitive.U8)
    assert any(isinstance(each, Record) for each in found.types)
    assert disguised(ELSEWHERE) == [("a:b/keeping", "keep"), ("a:b/telling", "tell")]


NOT_DISGUISED = {
    "the host's own": f"""(component
      (import "{NAME}" (instance $api (export "take" (func {BYTES}))))
      (export "a:b/c" (instance $api)))""",
    "one that takes a handle": f"""(component {CORE}
      (type $thing (resource (rep i32)))
      (core module $Use (func (export "use") (param i32 i32 i32)))
      (core instance $use (instantiate $Use))
      (func $use (param "self" (borrow $thing)) {BYTES}
        (canon lift (core func $use "use") (memory $m) (realloc $realloc)))
      (component $Shim
        (import "thing" (type $thing (sub resource)))
        (import "use" (func $use (param "self" (borrow $thing)) {BYTES}))
        (export $own "thing" (type $thing))
        (export "use" (func $use) (func (param "self" (borrow $own)) {BYTES})))
      (instance $shim (instantiate $Shim (with "thing" (type $thing)) (with "use" (func $use))))
      (export "a:b/c" (instance $shim)))""",
    "one without bytes": f'(component {CORE} (export "none" (func $none)))',
    "a result that is too large": f"""(component {CORE}
      (func $huge (result (tuple {"(list u8) " * 600}))
        (canon lift (core func $core "give") (memory $m)))
      (export "huge" (func $huge)))""",
    "what has the name of one in disguise": f"""(component {CORE}
      (export "{PREFIX}f0" (func $take)) (export "{PREFIX}f1" (func $none)))""",
}


@pytest.mark.parametrize("case", [name for name in NOT_DISGUISED if not name.startswith("what")])
def test_what_cannot_be_disguised_stays_as_it_is(case: str) -> None:
    assert disguised(NOT_DISGUISED[case]) == []


def test_names_that_a_guest_has_too_are_for_the_engine_to_refuse() -> None:
    """So the component is served as it was."""
    result = rewritten(binary(NOT_DISGUISED["what has the name of one in disguise"]))
    with pytest.raises(wasmtime.WasmtimeError, match="conflicts"):
        wasm.Component(wasmtime.Engine(), result.component)


def test_what_instantiates_without_measure_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "MAX_STEPS", 8)
    with pytest.raises(UnbridgeableError):
        read_exported_functions(binary(WAYS["a bag"]))
    assert rewrite(binary(WAYS["a bag"]), lambda _name: False) is None


def test_memories_come_first_where_the_host_reads_what_is_passed_in_the_guest(
    guest: Callable[[str], Path],
) -> None:
    data = guest("c/rpc").read_bytes()
    result = rewritten(data, lambda name: name.startswith("wasi:io/streams"))
    assert result.functions
    assert set(result.exports) > {("test:rpc/types@1.2.3", "echo-bytes")}
    assert {each.memory for each in result.exports.values()} == {0}
    assert {each.guest for each in result.functions.values()} == {2}
    take(result.component)


def test_all_room_is_given_back_after_each_call() -> None:
    """A hundred megabytes pass each way, in pieces of one, and no memory may grow beyond four."""
    guest = binary(f"""(component
      {MEMORY % "unreachable"}
      (core module $Core
        (import "" "memory" (memory 1))
        (func (export "echo") (param i32 i32) (result i32)
          (i32.store (i32.const 64) (local.get 0)) (i32.store (i32.const 68) (local.get 1))
          (i32.const 64)))
      (core instance $core (instantiate $Core (with "" (instance $memory))))
      (func (export "echo") {BYTES} (result (list u8))
        (canon lift (core func $core "echo") (memory $m) (realloc $realloc) (post-return $free))))""")
    result = rewritten(guest)
    assert result.exports == {(None, "echo"): ExportBlocks(f"{PREFIX}f0", 0)}
    engine = wasmtime.Engine()
    component = wasm.Component(engine, result.component)
    store = wasmtime.Store(engine)
    store.set_limits(memory_size=4 << 20)
    instance = wasm.Linker(engine).instantiate(store, component)
    echo = instance.get_func(store, f"{PREFIX}f0")
    assert echo is not None
    memory = memory_of(store)
    data = os.urandom(1 << 20)
    for _ in range(100):
        address, size = echo(store, (memory.write(data), len(data)))
        assert memory.read(address, size) == data
