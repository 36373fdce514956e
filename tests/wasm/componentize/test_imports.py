"""What a module imports of its world."""

from typing import Any, Final

import pytest
from wasmtime import component as wasm

from tests.wasm.componentize.modules import (
    MEMORY,
    Function,
    Interface,
    Running,
    compiled,
    module,
    type_of,
)

THING: Final = wasm.ResourceType.host(7)

LOG: Final = '(import "log" (func (param "text" string)))'
RUN: Final = '(export "run" (func (param "n" u32) (result u32)))'


def test_a_function_that_needs_no_memory() -> None:
    component = compiled(
        module(
            """
            (import "test:host/math@1.0.0" "double" (func $double (param i32) (result i32)))
            (func (export "run") (param i32) (result i32)
              (i32.add (call $double (local.get 0)) (i32.const 1)))
            """,
            f"""(import "test:host/math@1.0.0" (instance
              (export "double" (func (param "n" u32) (result u32)))))
            {RUN}""",
        )
    )
    guest = Running(component, {"test:host/math@1.0.0": {"double": lambda n: n * 2}})
    assert guest.call("run", 20) == 41


def test_functions_that_pass_strings_and_much_else() -> None:
    # A string each way; more parameters than fit; a record that is returned through memory.
    component = compiled(
        module(
            f"""
            (import "$root" "log" (func $log (param i32 i32)))
            (import "test:host/names" "name" (func $name (param i32 i32)))
            (import "test:host/names" "sum" (func $sum (param i32) (result i64)))
            (import "test:host/names" "both" (func $both (param i32)))
            {MEMORY}
            (func (export "run") (param i32) (result i32)
              (local $at i32)
              (call $name (local.get 0) (i32.const 8))
              (call $log (i32.load (i32.const 8)) (i32.load (i32.const 12)))
              (loop
                (i64.store (i32.add (i32.const 512) (local.get $at)) (i64.const 3))
                (local.set $at (i32.add (local.get $at) (i32.const 8)))
                (br_if 0 (i32.lt_u (local.get $at) (i32.const 136))))
              (call $both (i32.const 32))
              (i32.add
                (i32.wrap_i64 (call $sum (i32.const 512)))
                (i32.add (i32.load8_u (i32.const 32)) (i32.load (i32.const 36)))))
            """,
            f"""
            {LOG}
            (import "test:host/names" (instance
              (export "name" (func (param "n" u32) (result string)))
              (export "sum" (func {"".join(f'(param "p{n}" u64)' for n in range(17))} (result u64)))
              (type $pair' (record (field "small" u8) (field "large" u32)))
              (export "pair" (type $pair (eq $pair')))
              (export "both" (func (result $pair)))))
            {RUN}
            """,
        )
    )
    logged: list[str] = []

    def both() -> wasm.Record:
        pair = wasm.Record()
        pair.small, pair.large = 200, 1000  # type: ignore[attr-defined]
        return pair

    names: Interface = {
        "name": lambda n: f"number {n} \N{EURO SIGN}",
        "sum": lambda *all_: sum(all_),
        "both": both,
    }
    guest = Running(component, {"log": logged.append, "test:host/names": names})
    assert guest.call("run", 5) == 17 * 3 + 1200
    assert logged == ["number 5 \N{EURO SIGN}"]


@pytest.mark.parametrize(
    ("encoding", "write", "text"),
    [
        pytest.param(0, "(i32.store (i32.const 64) (i32.const 0xacc3a9c3))", "é", id="utf8"),
        pytest.param(1, "(i32.store (i32.const 64) (i32.const 0x20ac00e9))", "é\u20ac", id="utf16"),
        pytest.param(
            2, "(i32.store (i32.const 64) (i32.const 0x6261e9e8))", "èé", id="latin1+utf16"
        ),
    ],
)
def test_strings_are_encoded_as_the_section_says(encoding: int, write: str, text: str) -> None:
    component = compiled(
        module(
            f"""
            (import "$root" "log" (func $log (param i32 i32)))
            {MEMORY}
            (func (export "run") (param i32) (result i32)
              {write} (call $log (i32.const 64) (i32.const 2)) (i32.const 0))
            """,
            f"{LOG} {RUN}",
            encoding=encoding,
        )
    )
    logged: list[str] = []
    Running(component, {"log": logged.append}).call("run", 0)
    assert logged == [text]


RESOURCES: Final = """
  (import "test:host/things@0.3.1" (instance $things
    (export "thing" (type $thing (sub resource)))
    (export "[constructor]thing" (func (param "n" u32) (result (own $thing))))
    (export "[method]thing.value" (func (param "self" (borrow $thing)) (result u32)))
    (export "[method]thing.unused" (func (param "self" (borrow $thing)) (result string)))
    (export "[static]thing.count" (func (result u32)))))
  (alias export $things "thing" (type $thing))
  (import "test:host/users@0.3.1" (instance
    (alias outer 1 $thing (type $outer))
    (export "thing" (type $thing (eq $outer)))
    (export "take" (func (param "thing" (own $thing)) (result u32)))))
  (import "test:host/unused@0.3.1" (instance (export "f" (func))))
"""

USE: Final = """
  (func (export "run") (param i32) (result i32)
    (local $thing i32) (local $value i32)
    (local.set $thing (call $new (local.get 0)))
    (local.set $value (call $value (local.get $thing)))
    (call $drop (local.get $thing))
    (i32.add
      (i32.add (local.get $value) (call $count))
      (call $take (call $new (i32.const 100)))))
"""


def _things() -> dict[str, Interface]:
    made: list[int] = []

    def new(n: int) -> wasm.ResourceHost:
        made.append(n)
        return wasm.ResourceHost.own(n, 7)

    return {
        "test:host/things@0.3.1": {
            "thing": THING,
            "[constructor]thing": new,
            "[method]thing.value": lambda thing: 1,
            "[static]thing.count": lambda: len(made) * 10,
        },
        "test:host/users@0.3.1": {"thing": THING, "take": lambda thing: 1000},
    }


@pytest.mark.parametrize(
    ("things", "users", "drop"),
    [
        pytest.param(
            "test:host/things@0.3.1", "test:host/users@0.3.1", "[resource-drop]thing", id="legacy"
        ),
        # Bindings of another version of the same track.
        pytest.param(
            "test:host/things@0.3.0",
            "test:host/users@0.3.7",
            "[resource-drop]thing",
            id="compatible",
        ),
        pytest.param(
            "cm32p2|test:host/things@0.3", "cm32p2|test:host/users@0.3", "thing_drop", id="standard"
        ),
    ],
)
def test_resources_of_an_imported_interface(things: str, users: str, drop: str) -> None:
    component = compiled(
        module(
            f"""
            (import "{things}" "[constructor]thing" (func $new (param i32) (result i32)))
            (import "{things}" "[method]thing.value" (func $value (param i32) (result i32)))
            (import "{things}" "[static]thing.count" (func $count (result i32)))
            (import "{things}" "{drop}" (func $drop (param i32)))
            (import "{users}" "take" (func $take (param i32) (result i32)))
            {USE}
            """,
            RESOURCES + RUN,
        )
    )
    guest = Running(component, _things())
    assert guest.call("run", 5) == 1 + 10 + 1000
    assert guest.dropped == [5]


def test_what_is_not_used_is_not_imported() -> None:
    component = compiled(
        module(
            """
            (import "test:host/users@0.3.1" "take" (func $take (param i32) (result i32)))
            (func (export "run") (param i32) (result i32) (call $take (local.get 0)))
            """,
            RESOURCES + RUN,
        )
    )
    imports = type_of(component).imports
    # The resource is that of `things`, so that must stay, but for its functions.
    assert list(imports) == ["test:host/things@0.3.1", "test:host/users@0.3.1"]
    things = imports["test:host/things@0.3.1"]
    assert not isinstance(things, str)
    assert getattr(things, "functions", None) == {}


def test_types_of_the_world_itself_that_are_not_used_are_not_imported() -> None:
    # wit-component imports them; but a host would have to provide the resource, for nobody.
    world = """
      (import "test:host/things" (instance $things
        (export "thing" (type (sub resource)))
        (export "f" (func (result u32)))))
      (alias export $things "thing" (type $thing))
      (import "thing" (type (eq $thing)))
      (import "ticket" (type (sub resource)))
    """
    core = """
      (import "test:host/things" "f" (func $f (result i32)))
      (func (export "run") (param i32) (result i32) (call $f))
    """
    component = compiled(module(core, world + RUN))
    assert list(type_of(component).imports) == ["test:host/things"]
    assert Running(component, {"test:host/things": {"f": lambda: 7}}).call("run", 0) == 7


def test_types_and_functions_of_the_world_itself() -> None:
    component = compiled(
        module(
            f"""
            (import "$root" "swap" (func $swap (param i32 i32 i32)))
            (import "$root" "[resource-drop]ticket" (func $drop (param i32)))
            (import "$root" "ticket-for" (func $ticket (param i32) (result i32)))
            {MEMORY}
            (func (export "run") (param i32) (result i32)
              (call $swap (local.get 0) (i32.const 9) (i32.const 16))
              (call $drop (call $ticket (local.get 0)))
              (i32.sub (i32.load (i32.const 16)) (i32.load (i32.const 20))))
            """,
            f"""
            (import "test:host/shapes" (instance $shapes
              (type $point' (record (field "x" u32) (field "y" u32)))
              (export "point" (type (eq $point')))))
            (alias export $shapes "point" (type $point''))
            (import "point" (type $point (eq $point'')))
            (import "ticket" (type $ticket (sub resource)))
            (import "swap" (func (param "p" $point) (result $point)))
            (import "ticket-for" (func (param "n" u32) (result (own $ticket))))
            {RUN}
            """,
        )
    )

    def swap(point: Any) -> wasm.Record:
        swapped = wasm.Record()
        swapped.x, swapped.y = point.y, point.x  # type: ignore[attr-defined]
        return swapped

    # The engine does not tell of imported types that are no resources.
    assert list(type_of(component).imports) == ["test:host/shapes", "ticket", "swap", "ticket-for"]
    linked: dict[str, Interface | Function | wasm.ResourceType] = {
        "test:host/shapes": {},
        "swap": swap,
        "ticket": wasm.ResourceType.host(8),
        "ticket-for": lambda n: wasm.ResourceHost.own(n, 8),
    }
    guest = Running(component, linked)
    assert guest.call("run", 4) == 5
    assert guest.dropped == [4]


def test_an_import_that_is_there_twice() -> None:
    # As Go's linker writes it; a component's core modules may not.
    component = compiled(
        module(
            """
            (import "test:host/math" "double" (func $one (param i32) (result i32)))
            (import "test:host/math" "double" (func $two (param i32) (result i32)))
            (func (export "run") (param i32) (result i32) (call $one (call $two (local.get 0))))
            """,
            f"""(import "test:host/math" (instance
              (export "double" (func (param "n" u32) (result u32)))))
            {RUN}""",
        )
    )
    assert Running(component, {"test:host/math": {"double": lambda n: n * 2}}).call("run", 3) == 12
