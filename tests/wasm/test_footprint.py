"""What an instantiation takes from the engine's pools, held against pools of just that size."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st
from wasmtime import component as wasm

from gateway.host import _capi
from gateway.host.engine import Engine
from gateway.host.settings import compile_settings, is_roomy
from gateway.wasm.binary.sections import COMPONENT_PREAMBLE, MAX_NESTING
from gateway.wasm.byte_blocks import rewrite
from gateway.wasm.footprint import Footprint, Measureless, footprint, needs
from gateway.wasm.hollow import hollow

COMPONENTS = {
    "nothing": ("(component)", Footprint()),
    "modules that are not instantiated": (
        """(component
          (core module (memory 1) (memory 2))
          (component (core module (table 3 funcref))))""",
        Footprint(0, 0, 1, 2, 1, 2 << 16, 3),
    ),
    "one module": (
        """(component
          (core module $m (memory 3) (memory 1 4) (table 7 funcref) (table 2 9 funcref))
          (core instance (instantiate $m)))""",
        Footprint(1, 2, 2, 2, 2, 3 << 16, 7),
    ),
    "memories and tables that are imported": (
        """(component
          (core module $owner
            (memory (export "m") 2) (table (export "t") 1 funcref))
          (core module $user
            (import "o" "m" (memory 1)) (import "o" "t" (table 1 funcref)) (memory 1))
          (core instance $o (instantiate $owner))
          (core instance (instantiate $user (with "o" (instance $o)))))""",
        Footprint(2, 2, 1, 1, 1, 2 << 16, 1),
    ),
    "instances made of exports": (
        """(component
          (core module $m (memory (export "m") 1))
          (core instance $one (instantiate $m))
          (core instance (export "m" (memory $one "m")))
          (core instance (instantiate $m)))""",
        Footprint(2, 2, 0, 1, 0, 1 << 16, 0),
    ),
    "functions of the host": (
        """(component
          (import "f" (func $f)) (import "i" (instance $i (export "g" (func))))
          (core func $f' (canon lower (func $f)))
          (core func $g' (canon lower (func $i "g")))
          (core module $m (import "h" "f" (func)) (import "h" "g" (func)) (func (export "run")))
          (core instance $m (instantiate $m (with "h"
            (instance (export "f" (func $f')) (export "g" (func $g'))))))
          (func (export "run") (canon lift (core func $m "run"))))""",
        Footprint(core_instances=1),
    ),
    "a component instantiated twice": (
        """(component
          (component $inner
            (core module $m (memory 1) (table 4 funcref))
            (core instance (instantiate $m)) (core instance (instantiate $m)))
          (instance (instantiate $inner)) (instance (instantiate $inner)))""",
        Footprint(4, 4, 4, 1, 1, 1 << 16, 4),
    ),
    "a module and a component handed on": (
        """(component
          (core module $big (memory 5) (table 1 funcref))
          (component $user
            (import "m" (core module $m)) (import "c" (component $c))
            (core instance (instantiate $m))
            (instance (instantiate $c)) (instance (instantiate $c)))
          (component $small (core module $m (memory 1)) (core instance (instantiate $m)))
          (instance (instantiate $user
            (with "m" (core module $big)) (with "c" (component $small)))))""",
        Footprint(3, 3, 1, 1, 1, 5 << 16, 1),
    ),
    "exports and aliases": (
        """(component
          (component $library
            (core module $m (memory 2)) (export "module" (core module $m))
            (component $c (core module $n (table 3 funcref)) (core instance (instantiate $n)))
            (export "component" (component $c)))
          (instance $library (instantiate $library))
          (instance $again (export "library" (instance $library)))
          (alias export $again "library" (instance $l))
          (core instance (instantiate (module $l "module")))
          (instance (instantiate (component $l "component"))))""",
        Footprint(2, 1, 1, 1, 1, 2 << 16, 3),
    ),
    "outer aliases": (
        """(component $root
          (core module $m (memory 2))
          (component $leaf
            (alias outer $root $m (core module $m)) (core instance (instantiate $m)))
          (component $middle
            (component $inner
              (alias outer $root $leaf (component $leaf)) (instance (instantiate $leaf)))
            (instance (instantiate $inner)) (instance (instantiate $inner)))
          (instance (instantiate $middle)))""",
        Footprint(2, 2, 0, 1, 0, 2 << 16, 0),
    ),
}

# Components with references that are garbage-collected, whose heap is one memory of the pool.
COLLECTING = [
    "(component (core module $m (memory 1) (table 1 externref)) (core instance (instantiate $m)))",
    """(component
      (core module $m (memory 1) (func (result externref) (ref.null extern)))
      (core instance (instantiate $m)))""",
    """(component
      (core module $m (memory 1) (type $s (struct)) (func (result anyref) (struct.new $s)))
      (core instance (instantiate $m)))""",
    """(component
      (core module $m (memory 1) (table 1 (ref null any)))
      (core instance (instantiate $m)))""",
]

# A component that calls, within itself, from one nested component into another.
COMPOSED = """(component
  (component $callee
    (core module $m (memory 1) (func (export "a")) (func (export "b")))
    (core instance $m (instantiate $m))
    (func (export "a") (canon lift (core func $m "a")))
    (func (export "b") (canon lift (core func $m "b"))))
  (component $caller
    (import "callee" (instance $c (export "a" (func)) (export "b" (func))))
    (core func $a (canon lower (func $c "a")))
    (core func $b (canon lower (func $c "b")))
    (core module $m (import "c" "a" (func $a)) (import "c" "b" (func)) (table 1 funcref)
      (func (export "run") call $a))
    (core instance $m (instantiate $m (with "c"
      (instance (export "a" (func $a)) (export "b" (func $b))))))
    (func (export "run") (canon lift (core func $m "run"))))
  (instance $callee (instantiate $callee))
  (instance $caller (instantiate $caller (with "callee" (instance $callee))))
  (export "run" (func $caller "run")))"""


# What a part of a footprint is counted in, where that is not one.
UNITS = {"memory_bytes": 1 << 16}


def binary(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


def less(whole: Footprint, part: str) -> Footprint:
    """The next smaller footprint in one respect."""
    return replace(whole, **{part: getattr(whole, part) - UNITS.get(part, 1)})


@lru_cache(maxsize=1)
def compiled(data: bytes) -> bytes:
    """A component as code, which does not depend on the pools."""
    return bytes(wasm.Component(Engine().wasmtime, data).serialize())


def run_within(data: bytes, pools: Footprint) -> None:
    """Instantiates a component where the pools hold just what `pools` says.

    Raises:
        WasmtimeError: the pools are too small.
    """
    config = compile_settings(roomy=is_roomy())
    _capi.set_pooling(
        config,
        total_component_instances=1,
        total_core_instances=pools.core_instances,
        total_memories=pools.memories,
        total_tables=pools.tables,
        max_core_instances_per_component=pools.core_instances,
        max_memories_per_component=pools.memories,
        max_tables_per_component=pools.tables,
        max_memories_per_module=pools.memories_per_module,
        max_tables_per_module=pools.tables_per_module,
        max_memory_size=pools.memory_bytes,
        table_elements=pools.table_elements,
        max_component_instance_size=4 << 20,
        max_core_instance_size=4 << 20,
    )
    engine = wasmtime.Engine(config)
    component = wasm.Component.deserialize(engine, compiled(data))
    linker = wasm.Linker(engine)
    linker.define_unknown_imports_as_traps(component)
    store = wasmtime.Store(engine)
    store.set_epoch_deadline(1)
    linker.instantiate(store, component)


class TestAgainstTheEngine:
    @pytest.mark.parametrize("name", COMPONENTS)
    def test_is_what_it_takes(self, name: str) -> None:
        text, expected = COMPONENTS[name]
        assert footprint(binary(text)) == expected
        run_within(binary(text), expected)

    @pytest.mark.parametrize(
        ("name", "part"),
        [
            (name, part)
            for name, (_, taken) in COMPONENTS.items()
            for part in Footprint.__dataclass_fields__
            if getattr(taken, part)
        ],
    )
    def test_is_no_more_than_it_takes(self, name: str, part: str) -> None:
        text, expected = COMPONENTS[name]
        with pytest.raises(wasmtime.WasmtimeError):
            run_within(binary(text), less(expected, part))

    def test_is_enough_where_the_engine_adds_instances_of_its_own(self) -> None:
        taken = footprint(binary(COMPOSED))
        assert taken == Footprint(4, 1, 1, 1, 1, 1 << 16, 1)
        run_within(binary(COMPOSED), taken)
        with pytest.raises(wasmtime.WasmtimeError):
            run_within(binary(COMPOSED), replace(taken, core_instances=2))

    @pytest.mark.parametrize("text", COLLECTING)
    def test_has_room_for_a_heap(self, text: str) -> None:
        taken = footprint(binary(text))
        assert taken is not None
        assert taken.memories == 2
        run_within(binary(text), taken)

    def test_needs_room_for_a_heap(self) -> None:
        taken = footprint(binary(COLLECTING[0]))
        assert taken is not None
        with pytest.raises(wasmtime.WasmtimeError):
            run_within(binary(COLLECTING[0]), less(taken, "memories"))

    @pytest.mark.parametrize("name", ["wat/hello", "c/echo", "c/fail", "examples/hello"])
    def test_is_what_a_guest_takes(self, guest: Callable[[str], Path], name: str) -> None:
        data = guest(name).read_bytes()
        taken = footprint(data)
        assert taken is not None
        # Code takes none of it, and many seconds to compile.
        data = hollow(data)
        run_within(data, taken)
        for part in ("core_instances", "memories", "tables"):
            if getattr(taken, part):
                with pytest.raises(wasmtime.WasmtimeError):
                    run_within(data, less(taken, part))

    def test_is_enough_for_a_guest_behind_bridges(self, guest: Callable[[str], Path]) -> None:
        rewritten = rewrite(guest("c/fail").read_bytes(), lambda name: True)
        assert rewritten is not None
        taken = footprint(rewritten.component)
        assert taken is not None
        run_within(rewritten.component, taken)


class TestUntold:
    @pytest.mark.parametrize(
        "text",
        [
            # The host is to supply the module.
            '(component (import "m" (core module $m)) (core instance (instantiate $m)))',
            """(component
              (import "i" (instance $i (export "m" (core module))))
              (core instance (instantiate (module $i "m"))))""",
            # The size is in an expression.
            """(component
              (core module $m (func $f) (table 1 (ref func) (ref.func $f)))
              (core instance (instantiate $m)))""",
            # A definition that is not known.
            "(component (core func (canon error-context.drop)))",
        ],
    )
    def test_is_none(self, text: str) -> None:
        assert footprint(binary(text)) is None

    def test_is_none_for_a_core_module_of_the_host_that_is_not_used(self) -> None:
        text = '(component (import "m" (core module)))'
        assert footprint(binary(text)) is None

    @pytest.mark.parametrize(
        "data", [b"", b"hello", b"\0asm\x01\0\0\0", COMPONENT_PREAMBLE + b"\x05\x05"]
    )
    def test_is_none_for_what_is_no_component(self, data: bytes) -> None:
        assert footprint(data) is None

    def test_does_not_follow_doublings_to_the_end(self) -> None:
        """2 to the 60th instances, in a component of a few kilobytes."""
        layers = [
            f"(component $c{level} (alias outer $root $c{level - 1} (component $c))"
            " (instance (instantiate $c)) (instance (instantiate $c)))"
            for level in range(1, 61)
        ]
        leaf = "(component $c0 (core module $m) (core instance (instantiate $m)))"
        text = f"(component $root {leaf} {' '.join(layers)} (instance (instantiate $c60)))"
        with pytest.raises(Measureless):
            footprint(binary(text))

    def test_does_not_add_up_memories_to_the_end(self) -> None:
        memories = "(memory 1)" * 100
        instances = "(core instance (instantiate $m))" * 100
        component = f"(component $c (core module $m {memories}) {instances})"
        text = f"(component $root {component} {'(instance (instantiate $c))' * 50})"
        with pytest.raises(Measureless):
            footprint(binary(text))

    def test_does_not_follow_a_long_chain_to_the_end(self) -> None:
        layers = [
            f"(component $c{level} (alias outer $root $c{level - 1} (component $c))"
            " (instance (instantiate $c)))"
            for level in range(1, MAX_NESTING + 2)
        ]
        text = f"(component $root (component $c0) {' '.join(layers)} (instance (instantiate 101)))"
        assert footprint(binary(text)) is None

    @given(st.data())
    def test_damage_is_none_or_harmless(self, data: st.DataObject) -> None:
        text, _ = data.draw(st.sampled_from(list(COMPONENTS.values())))
        damaged = bytearray(binary(text))
        for _ in range(data.draw(st.integers(1, 4))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        taken = footprint(bytes(damaged))
        assert taken is None or taken.core_instances >= 0


@pytest.mark.parametrize(
    ("exports", "functions"),
    [
        ("", False),
        ('(func (export "run") (canon lift (core func $m "run")))', True),
        (
            """(func $f (canon lift (core func $m "run")))
               (instance $i (export "run" (func $f))) (export "a:b/c" (instance $i))""",
            True,
        ),
        (
            """(func $f (canon lift (core func $m "run")))
               (instance $i (export "[static]r.run" (func $f))) (export "a:b/c" (instance $i))""",
            False,
        ),
        ('(import "a:b/c" (instance $i)) (export "a:b/d" (instance $i))', True),
    ],
)
def test_functions_are_found_before_anything_is_compiled(exports: str, functions: bool) -> None:
    text = f"""(component
      (core module $m (func (export "run"))) (core instance $m (instantiate $m)) {exports})"""
    told = needs(binary(text))
    assert told is not None
    assert told.functions == functions
