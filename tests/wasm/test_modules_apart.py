"""Components whose modules are imported: what they do then, and which are left as they are."""

from __future__ import annotations

import pytest
import wasmtime
from wasmtime import component as wasm

from gateway.wasm.modules_apart import MAX_DATA, MAX_MODULES, ModulesApart, modules_apart

OWNER = """
(core module $owner
  (memory (export "memory") 1 3) (table (export "table") 1 2 funcref)
  (global (export "base") i32 (i32.const 40)) (global (export "top") (mut i64) (i64.const -1))
  (global (export "half") f32 (f32.const 0.5)) (global (export "third") f64 (f64.const 0.3))
  (func $answer (export "answer") (result i32) i32.const 1)
  (global (export "function") funcref (ref.func $answer)) (global (export "null") funcref (ref.null func)))
"""
USER = """
(core module $user
  (import "owner" "memory" (memory 1)) (import "owner" "table" (table 1 funcref))
  (import "owner" "base" (global $base i32)) (import "owner" "answer" (func $answer (result i32)))
  (global $next (export "next") i32 (i32.add (global.get $base) (i32.const 1)))
  (data (i32.const 0) "\\01")
  (func (export "run") (result i32)
    (i32.add (i32.load8_u (i32.const 0)) (i32.add (global.get $base) (call $answer)))))
"""
BODY = f"""
(core module $small (memory 1))
{OWNER}
(core instance $owner (instantiate $owner))
{USER}
(core instance $user (instantiate $user (with "owner" (instance $owner))))
(core instance (instantiate $small))
"""
RUN = '(func (export "run") (result u32) (canon lift (core func $user "run")))'
FLAT = f"(component {BODY} {RUN})"
NESTED = f"""
(component
  (core module $first (func (export "first")))
  (core instance (instantiate $first))
  (component $inner {BODY} {RUN})
  (component $outer
    (component $again {BODY} {RUN})
    (instance $again (instantiate $again))
    (export "run" (func $again "run")))
  (core module $last (func (export "last")))
  (core instance (instantiate $last))
  (instance $inner (instantiate $inner))
  (instance (instantiate $outer))
  (export "run" (func $inner "run")))
"""


def answer(parts: ModulesApart) -> int:
    """What `run` returns of a component whose modules are compiled one by one."""
    engine = wasmtime.Engine()
    linker = wasm.Linker(engine)
    with linker.root() as root:
        for name, module in parts.modules.items():
            root.add_module(name, wasmtime.Module(engine, module))
    store = wasmtime.Store(engine)
    run = linker.instantiate(store, wasm.Component(engine, parts.component)).get_func(store, "run")
    assert run is not None
    result: int = run(store)
    return result


@pytest.mark.parametrize(
    ("text", "min_code", "modules"),
    [(FLAT, 1, 2), (FLAT, 10, 1), (NESTED, 1, 6), (NESTED, 10, 2)],
)
def test_it_does_the_same(text: str, min_code: int, modules: int) -> None:
    parts = modules_apart(bytes(wasmtime.wat2wasm(text)), min_code)
    assert parts is not None
    assert len(parts.modules) == modules
    assert answer(parts) == 42


def test_what_is_left_does_not_depend_on_the_code() -> None:
    one, two = (
        modules_apart(bytes(wasmtime.wat2wasm(FLAT.replace("i32.const 1)", f"i32.const {at})"))), 1)
        for at in (1, 2)
    )
    assert one is not None
    assert two is not None
    assert one.component == two.component
    assert [*one.modules.values()] != [*two.modules.values()]


@pytest.mark.parametrize(
    "text",
    [
        "(component)",
        f'(component (core module (memory 32) (func) (data "{"." * (MAX_DATA + 1)}")))',
        '(component (core module $m (func)) (export "m" (core module $m)))',
        '(component (core module $m (func)) (instance (export "m" (core module $m))))',
        "(component (core type (func)) (core module (func)))",
        "(component (core module $m (func)) (component (alias outer 1 $m (core module))))",
        f"(component {'(core module (func))' * (MAX_MODULES + 1)})",
    ],
    ids=["none", "data", "export", "instance", "types", "outer", "many"],
)
def test_what_is_left_as_it_is(text: str) -> None:
    assert modules_apart(bytes(wasmtime.wat2wasm(text)), 1) is None


def test_what_is_cut_off_is_left_as_it_is() -> None:
    binary = bytes(wasmtime.wat2wasm(NESTED))
    for end in range(len(binary)):
        parts = modules_apart(binary[:end], 1)
        assert parts is None or len(parts.component) > 8
