"""What a module exports for its world."""

from typing import Any, Final

import pytest
from wasmtime import component as wasm

from gateway.host import wit
from gateway.wasm.componentize import componentize
from tests.wasm.componentize.modules import MEMORY, Running, compiled, module, type_of

API: Final = "test:guest/api@0.1.0"

# Exports another interface than it imports of the same name, with a type of each.
SHAPES: Final = f"""
  (import "test:guest/shapes@0.1.0" (instance $shapes
    (type $color' (enum "red" "green"))
    (export "color" (type (eq $color')))
    (export "favorite" (func (result u8)))))
  (alias export $shapes "color" (type $color))
  (export "test:guest/data@0.1.0" (instance $data
    (type $inner' (record (field "text" string)))
    (export "inner" (type $inner (eq $inner')))
    (type $outer' (variant (case "none") (case "some" (list $inner))))
    (export "outer" (type (eq $outer')))))
  (alias export $data "outer" (type $outer))
  (export "{API}" (instance
    (alias outer 1 $color (type $color'))
    (export "color" (type $color'' (eq $color')))
    (alias outer 1 $outer (type $outer'))
    (export "outer" (type $outer'' (eq $outer')))
    (export "greet" (func (param "name" string) (result string)))
    (export "next" (func (param "c" $color'') (result $color'')))
    (export "count" (func (param "o" $outer'') (result u32)))))
  (export "twice" (func (param "n" u32) (result u32)))
"""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(lambda function: f"{API}#{function}", id="legacy"),
        pytest.param(lambda function: f"cm32p2|test:guest/api@0.1|{function}", id="standard"),
    ],
)
def test_interfaces_that_use_types_of_others(name: Any) -> None:
    component = compiled(
        module(
            f"""
            {MEMORY}
            (data (i32.const 64) "Hello, ")
            (func (export "{name("greet")}") (param i32 i32) (result i32)
              (memory.copy (i32.const 71) (local.get 0) (local.get 1))
              (i32.store (i32.const 8) (i32.const 64))
              (i32.store (i32.const 12) (i32.add (local.get 1) (i32.const 7)))
              (i32.const 8))
            (func (export "{name("next")}") (param i32) (result i32)
              (i32.sub (i32.const 1) (local.get 0)))
            (func (export "{name("count")}") (param i32 i32 i32) (result i32)
              (i32.mul (local.get 0) (local.get 2)))
            (func (export "twice") (param i32) (result i32)
              (i32.mul (i32.const 2) (local.get 0)))
            """,
            SHAPES,
        )
    )
    guest = Running(component, {"test:guest/shapes@0.1.0": {}})
    assert (
        guest.call(f"{API}#greet", "J\N{LATIN SMALL LETTER U WITH DIAERESIS}rgen")
        == "Hello, Jürgen"
    )
    assert guest.call(f"{API}#next", "red") == "green"
    items = []
    for text in ("a", "b", "c"):
        item = wasm.Record()
        item.text = text  # type: ignore[attr-defined]
        items.append(item)
    assert guest.call(f"{API}#count", items) == 3
    assert guest.call("twice", 21) == 42

    exports = type_of(component).exports
    assert set(exports) == {"test:guest/data@0.1.0", API, "twice"}
    api = exports[API]
    assert isinstance(api, wit.Interface)
    assert set(api.types) == {"color", "outer"}


def test_post_return_is_called_with_the_result() -> None:
    component = compiled(
        module(
            f"""
            {MEMORY}
            (global $freed (mut i32) (i32.const 0))
            (data (i32.const 64) "text")
            (data (i32.const 80) "\\40\\00\\00\\00\\04\\00\\00\\00")
            (func (export "run") (result i32) (i32.const 80))
            (func (export "cabi_post_run") (param i32) (global.set $freed (local.get 0)))
            (func (export "freed") (result i32) (global.get $freed))
            """,
            '(export "run" (func (result string))) (export "freed" (func (result u32)))',
        )
    )
    guest = Running(component)
    assert guest.call("run") == "text"
    assert guest.call("freed") == 80


COUNTERS: Final = """
  (export "test:guest/counters" (instance
    (export "counter" (type $counter (sub resource)))
    (export "[constructor]counter" (func (param "n" u32) (result (own $counter))))
    (export "[method]counter.value" (func (param "self" (borrow $counter)) (result u32)))
    (export "[static]counter.sum"
      (func (param "a" (own $counter)) (param "b" (borrow $counter)) (result u32)))))
"""


@pytest.mark.parametrize(
    ("new", "rep", "drop", "prefix", "dtor"),
    [
        pytest.param(
            '"[export]test:guest/counters" "[resource-new]counter"',
            '"[export]test:guest/counters" "[resource-rep]counter"',
            '"[export]test:guest/counters" "[resource-drop]counter"',
            "test:guest/counters#",
            "test:guest/counters#[dtor]counter",
            id="legacy",
        ),
        pytest.param(
            '"cm32p2|_ex_test:guest/counters" "counter_new"',
            '"cm32p2|_ex_test:guest/counters" "counter_rep"',
            '"cm32p2|_ex_test:guest/counters" "counter_drop"',
            "cm32p2|test:guest/counters|",
            "cm32p2|test:guest/counters|counter_dtor",
            id="standard",
        ),
    ],
)
def test_resources_that_a_module_exports(
    new: str, rep: str, drop: str, prefix: str, dtor: str
) -> None:
    component = compiled(
        module(
            f"""
            (import {new} (func $new (param i32) (result i32)))
            (import {rep} (func $rep (param i32) (result i32)))
            (import {drop} (func $drop (param i32)))
            (import "$root" "destroyed" (func $destroyed (param i32)))
            (func (export "{prefix}[constructor]counter") (param i32) (result i32)
              (call $new (i32.add (local.get 0) (i32.const 1000))))
            (func (export "{prefix}[method]counter.value") (param i32) (result i32)
              (local.get 0))
            (func (export "{prefix}[static]counter.sum") (param i32 i32) (result i32)
              (local $sum i32)
              (local.set $sum (i32.add (call $rep (local.get 0)) (local.get 1)))
              (call $drop (local.get 0))
              (local.get $sum))
            (func (export "{dtor}") (param i32) (call $destroyed (local.get 0)))
            """,
            f'(import "destroyed" (func (param "rep" u32))) {COUNTERS}',
        )
    )
    destroyed: list[int] = []
    guest = Running(component, {"destroyed": destroyed.append})
    one = guest.call("test:guest/counters#[constructor]counter", 1)
    two = guest.call("test:guest/counters#[constructor]counter", 2)
    assert guest.call("test:guest/counters#[method]counter.value", one) == 1001
    assert guest.call("test:guest/counters#[static]counter.sum", one, two) == 2003
    assert destroyed == [1001]
    two.drop(guest.store)
    assert destroyed == [1001, 1002]


def test_an_exported_interface_uses_the_resource_of_another_one() -> None:
    component = compiled(
        module(
            """
            (import "[export]test:guest/one" "[resource-new]r" (func $new (param i32) (result i32)))
            (func (export "test:guest/one#make") (result i32) (call $new (i32.const 5)))
            (func (export "test:guest/two#look") (param i32) (result i32) (local.get 0))
            """,
            """
            (export "test:guest/one" (instance $one
              (export "r" (type $r (sub resource)))
              (export "make" (func (result (own $r))))))
            (alias export $one "r" (type $r))
            (export "test:guest/two" (instance
              (alias outer 1 $r (type $r'))
              (export "r" (type $r'' (eq $r')))
              (export "look" (func (param "r" (borrow $r'')) (result u32)))))
            """,
        )
    )
    guest = Running(component)
    assert guest.call("test:guest/two#look", guest.call("test:guest/one#make")) == 5


@pytest.mark.parametrize("name", ["_initialize", "cm32p2_initialize"])
def test_it_is_initialized_before_it_is_called(name: str) -> None:
    component = compiled(
        module(
            f"""
            (import "$root" "log" (func $log (param i32 i32)))
            {MEMORY}
            (global $ready (mut i32) (i32.const 0))
            (data (i32.const 64) "ready")
            (func (export "{name}")
              (global.set $ready (i32.const 1))
              (call $log (i32.const 64) (i32.const 5)))
            (func (export "run") (result i32) (global.get $ready))
            """,
            '(import "log" (func (param "text" string))) (export "run" (func (result u32)))',
        )
    )
    logged: list[str] = []
    guest = Running(component, {"log": logged.append})
    assert logged == ["ready"]
    assert guest.call("run") == 1


def test_a_world_without_anything() -> None:
    assert type_of(compiled(module("", ""))).exports == {}


def test_the_same_module_gives_the_same_component() -> None:
    core = module(f'{MEMORY} (func (export "run"))', '(export "run" (func))')
    assert componentize(core) == componentize(core)


def test_the_sections_of_the_world_are_left_out_and_others_stay() -> None:
    core = module('(func (export "run")) (@custom "kept" "a mark")', '(export "run" (func))')
    component = componentize(core)
    assert b"component-type" not in component
    assert b"a mark" in component
