"""What stops a guest: each kind of trap, with its message and the guest's frames."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.host.errors import Exit, Trap, TrapKind
from gateway.host.linker import LinkedComponent
from gateway.host.trap import MAX_FRAME, MAX_FRAMES
from tests.host.conftest import Load
from tests.host.guests import API, MEMORY, call, call_now, guest, host

pytestmark = pytest.mark.anyio

FIELDS = """
  (memory 1)
  (table 3 funcref)
  (type $nullary (func))
  (elem (i32.const 0) func $takes-one)
  (func $takes-one (param i32))
  (func $recurse (call $recurse))
"""
"""A memory of one page, and a table of a function of another type, and of two that are null."""

TRAPS = [
    ("unreachable", TrapKind.UNREACHABLE, "wasm `unreachable` instruction executed"),
    ("(call $recurse)", TrapKind.STACK_OVERFLOW, "call stack exhausted"),
    (
        "(drop (i32.load (i32.const 65536)))",
        TrapKind.MEMORY_OUT_OF_BOUNDS,
        "out of bounds memory access",
    ),
    (
        "(memory.fill (i32.const 65530) (i32.const 0) (i32.const 7))",
        TrapKind.MEMORY_OUT_OF_BOUNDS,
        "out of bounds memory access",
    ),
    (
        "(call_indirect (type $nullary) (i32.const 3))",
        TrapKind.TABLE_OUT_OF_BOUNDS,
        "undefined element: out of bounds table access",
    ),
    (
        "(call_indirect (type $nullary) (i32.const 1))",
        TrapKind.INDIRECT_CALL,
        "uninitialized element",
    ),
    (
        "(call_indirect (type $nullary) (i32.const 0))",
        TrapKind.INDIRECT_CALL,
        "indirect call type mismatch",
    ),
    (
        "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
        TrapKind.ARITHMETIC,
        "integer divide by zero",
    ),
    (
        "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))",
        TrapKind.ARITHMETIC,
        "integer overflow",
    ),
    (
        "(drop (i32.trunc_f32_s (f32.const nan)))",
        TrapKind.ARITHMETIC,
        "invalid conversion to integer",
    ),
]


@pytest.mark.parametrize(("body", "kind", "message"), TRAPS, ids=[row[2] for row in TRAPS])
async def test_a_trap_tells_its_kind_and_where(
    load: Load, body: str, kind: TrapKind, message: str
) -> None:
    with pytest.raises(Trap) as caught:
        await call(load(guest(body, module=FIELDS)))
    assert (caught.value.kind, caught.value.message) == (kind, message)
    assert caught.value.backtrace
    assert caught.value.backtrace[-1].startswith("m!")


async def test_a_backtrace_names_the_functions_innermost_first(load: Load) -> None:
    module = "(func $inner unreachable) (func $outer (call $inner))"
    with pytest.raises(Trap) as caught:
        await call(load(guest("(call $outer)", module=module)))
    names = [frame.split(" ")[0] for frame in caught.value.backtrace]
    assert names[:2] == ["m!inner", "m!outer"]


@pytest.mark.parametrize(
    "name", ["call stack exhausted", "maximum concurrent limit of 1 for tables reached", "a\\nb"]
)
async def test_names_of_the_guest_do_not_decide_the_kind(load: Load, name: str) -> None:
    divide = "(drop (i32.div_u (i32.const 1) (i32.const 0)))"
    module = f'(func $f (@name "{name}\\nCaused by:\\n    {name}") {divide})'
    with pytest.raises(Trap) as caught:
        await call(load(guest("(call $f)", module=module)))
    assert caught.value.kind is TrapKind.ARITHMETIC
    assert caught.value.message == "integer divide by zero"


@pytest.mark.parametrize(
    "name",
    [
        "a" * 99_000,
        "\\n" * 33_000,
        "\\n 0: 0x1 - " * 9_000,
        " " * 99_000,
        "\\nCaused by:\\n" * 7_000,
    ],
)
async def test_what_a_trap_tells_is_bounded_whatever_the_names_are(load: Load, name: str) -> None:
    module = f'''
      (func $f (@name "{name}") (param i32)
        (if (i32.eqz (local.get 0)) (then unreachable))
        (call $f (i32.sub (local.get 0) (i32.const 1))))
    '''
    with pytest.raises(Trap) as caught:
        await call(load(guest("(call $f (i32.const 30))", module=module)))
    assert caught.value.message == "wasm `unreachable` instruction executed"
    assert caught.value.kind is TrapKind.UNREACHABLE
    assert 1 <= len(caught.value.backtrace) <= MAX_FRAMES
    assert all(len(frame) < MAX_FRAME + 30 for frame in caught.value.backtrace)


async def test_memory_that_is_not_the_guests_own_is_refused(load: Load) -> None:
    text = f"""
      (component
        {MEMORY}
        (core module $m
          (func (export "run") (result i32) (i32.const 65532)))
        (core instance $i (instantiate $m))
        (func (export "run") (result string)
          (canon lift (core func $i "run") (memory (core memory $memory "memory")))))
    """
    with pytest.raises(Trap, match="out of bounds") as caught:
        await call(load(text))
    assert caught.value.kind is TrapKind.CANONICAL_ABI


@pytest.mark.parametrize(
    ("ty", "value", "message"),
    [("char", "0xd800", "`char`"), ("(option u8)", "32", "discriminant")],
)
async def test_a_result_that_is_no_value_of_its_type_is_refused(
    load: Load, ty: str, value: str, message: str
) -> None:
    text = f"""
      (component
        {MEMORY}
        (core module $m
          (import "" "memory" (memory 1))
          (data (i32.const 32) "\\02")
          (func (export "run") (result i32) (i32.const {value})))
        (core instance $i (instantiate $m (with "" (instance $memory))))
        (func (export "run") (result {ty})
          (canon lift (core func $i "run") (memory (core memory $memory "memory")))))
    """
    with pytest.raises(Trap, match=message) as caught:
        await call(load(text))
    assert caught.value.kind is TrapKind.CANONICAL_ABI


async def test_a_string_that_is_no_utf_8_is_refused(load: Load) -> None:
    text = f"""
      (component
        {MEMORY}
        (core module $m
          (import "" "memory" (memory 1))
          (data (i32.const 16) "\\00\\00\\00\\00\\01\\00\\00\\00\\ff")
          (func (export "run") (result i32)
            (i32.store (i32.const 16) (i32.const 24)) (i32.const 16)))
        (core instance $i (instantiate $m (with "" (instance $memory))))
        (func (export "run") (result string)
          (canon lift (core func $i "run") (memory (core memory $memory "memory")))))
    """
    with pytest.raises(Trap, match="utf-8") as caught:
        await call(load(text))
    assert caught.value.kind is TrapKind.CANONICAL_ABI


async def test_an_import_that_nothing_provides_traps_with_its_name(load: Load) -> None:
    linked = load(guest("(call $known) (call $unknown)", "known", "unknown"), host(known=nothing))
    with pytest.raises(Trap, match=f"{API}#unknown") as caught:
        await call(linked)
    assert caught.value.kind is TrapKind.UNKNOWN_IMPORT
    assert caught.value.backtrace


async def test_an_import_that_nothing_provides_harms_nobody_who_does_not_call_it(
    load: Load,
) -> None:
    linked = load(guest("", "f", "unknown"))
    assert await call(linked) is None


async def test_unknown_imports_outside_of_interfaces_trap_too(load: Load) -> None:
    text = """
      (component
        (import "lonely" (func $lonely (param "a" string) (result (list u8))))
        (core module $memory (memory (export "memory") 1)
          (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
        (core instance $memory (instantiate $memory))
        (core func $lonely' (canon lower (func $lonely)
          (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
        (core module $m
          (import "" "lonely" (func $lonely (param i32 i32 i32)))
          (func (export "run") (call $lonely (i32.const 0) (i32.const 0) (i32.const 0))))
        (core instance $i (instantiate $m (with "" (instance (export "lonely" (func $lonely'))))))
        (func (export "run") (canon lift (core func $i "run"))))
    """
    linked = load(text)
    assert linked.unknown == ("lonely",)
    with pytest.raises(Trap, match="lonely") as caught:
        await call(linked)
    assert caught.value.kind is TrapKind.UNKNOWN_IMPORT


def nothing(_data: Any) -> None:
    """A host function that does nothing."""


def calling(load: Load, function: Any) -> LinkedComponent:
    return load(guest("(call $f) (call $never)", "f", "never"), host(f=function, never=never))


def never(_data: Any) -> None:
    raise AssertionError("the guest went on")


def test_a_host_function_may_trap(load: Load) -> None:
    def refuse(_data: Any) -> None:
        raise Trap("not with me")

    with pytest.raises(Trap) as caught:
        call_now(calling(load, refuse))
    assert (caught.value.message, caught.value.kind) == ("not with me", TrapKind.HOST)
    assert caught.value.backtrace[0].startswith("m!")


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("error", [Trap("not with me"), Exit(3), RuntimeError("\ud800"), OSError()])
async def test_what_a_host_function_raises_ends_the_guest(
    load: Load, error: Exception, late: bool
) -> None:
    async def fail(_data: Any) -> None:
        if late:
            await asyncio.sleep(0)
        raise error

    with pytest.raises(type(error)) as caught:
        await call(calling(load, fail))
    assert caught.value is error
