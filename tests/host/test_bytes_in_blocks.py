"""Bytes that cross in blocks in what a guest exports: exact beside every type, and safe from every guest."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.host import bridge_memory, wit
from gateway.host.engine import Engine
from gateway.host.errors import InvocationError, Trap, TrapKind
from gateway.host.linker import LinkedComponent
from gateway.host.values import ValueMismatch
from tests.host.guests import (
    MEMORY,
    call_now,
    delivering,
    echo,
    host,
    invocation,
    load_component,
)
from tests.wit_strategies import exact, types_with_values

BYTES: Final = wit.List(wit.Integer(8, signed=False))


@given(types_with_values(), st.data())
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_bytes_beside_every_type_survive_the_way_in_and_out(
    engine: Engine, drawn: tuple[wit.Type, list[tuple[Any]]], data: st.DataObject
) -> None:
    ty, others = drawn
    blocks = data.draw(st.lists(st.binary(max_size=40), min_size=len(others), max_size=len(others)))
    sent = [((block, other),) for block, (other,) in zip(blocks, others, strict=True)]
    seen = []

    def f(_data: None, given: Any) -> Any:
        seen.append(given)
        return given

    with tempfile.TemporaryDirectory() as folder:
        guest = echo(wit.Tuple((BYTES, ty)))
        linked = load_component(engine, guest, Path(folder), host(f=f), in_blocks=True)
    assert in_blocks(linked, "run")
    assert exact(call_now(linked, sent)) == exact(sent)
    assert exact(seen) == exact([sent])


@given(types_with_values(), st.binary(max_size=300), st.none() | st.binary(max_size=300))
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_bytes_are_delivered_beside_every_type(
    engine: Engine, drawn: tuple[wit.Type, list[tuple[Any]]], data: bytes, more: bytes | None
) -> None:
    ty, values = drawn
    seen = []

    def f(_data: None, given: Any, block: bytes) -> Any:
        seen.append((given, block))
        return given, block[::-1], more

    with tempfile.TemporaryDirectory() as folder:
        linked = load_component(engine, delivering(ty), Path(folder), host(f=f), in_blocks=True)
    assert exact(call_now(linked, values, data)) == exact((values, data[::-1], more))
    assert exact(seen) == exact([(values, data)])


def in_blocks(linked: LinkedComponent, function: str) -> bool:
    return linked.component.export_index(None, function).memory is not None


MIRROR: Final = f"""
  (component
    {MEMORY}
    (core module $m
      (import "" "memory" (memory 1))
      (func (export "bytes") (param i32 i32) (result i32)
        (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1))
        (i32.const 16))
      (func (export "maybe") (param i32 i32 i32) (result i32)
        (i32.store (i32.const 16) (local.get 0))
        (i32.store (i32.const 20) (local.get 1)) (i32.store (i32.const 24) (local.get 2))
        (i32.const 16))
      (func (export "length") (param i32 i32) (result i64) (i64.extend_i32_u (local.get 1)))
      (func (export "last") (param i32) (result i32) (i32.add (local.get 0) (i32.const 64)))
      (func (export "ranges") (param i32 i32 i32 i32) (result i32)
        (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1))
        (i32.store (i32.const 24) (local.get 2)) (i32.store (i32.const 28) (local.get 3))
        (i32.const 16)))
    (core instance $i (instantiate $m (with "" (instance $memory))))
    (alias core export $memory "memory" (core memory $mem))
    (alias core export $memory "realloc" (core func $realloc))
    (func (export "bytes") (param "a" (list u8)) (result (list u8))
      (canon lift (core func $i "bytes") (memory $mem) (realloc $realloc)))
    (func (export "nested") (param "a" (list (list u8))) (result (list (list u8)))
      (canon lift (core func $i "bytes") (memory $mem) (realloc $realloc)))
    (func (export "maybe") (param "a" (option (list u8))) (result (option (list u8)))
      (canon lift (core func $i "maybe") (memory $mem) (realloc $realloc)))
    (func (export "length") (param "a" (list u8)) (result u64)
      (canon lift (core func $i "length") (memory $mem) (realloc $realloc)))
    (func (export "count") (param "a" (list (list u8))) (result u64)
      (canon lift (core func $i "length") (memory $mem) (realloc $realloc)))
    (func (export "last") {" ".join(f'(param "p{at}" (list u8))' for at in range(9))} (result (list u8))
      (canon lift (core func $i "last") (memory $mem) (realloc $realloc)))
    (func (export "ranges") (param "a" (tuple u32 u32)) (param "b" (list u8))
      (result (tuple (tuple u32 u32) (list u8)))
      (canon lift (core func $i "ranges") (memory $mem) (realloc $realloc)))
    (func (export "pair") (param "a" (tuple u32 u32)) (result (tuple u32 u32))
      (canon lift (core func $i "bytes") (memory $mem) (realloc $realloc))))
"""
"""It gives back what it is given, in every place that bytes have in core code."""


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> LinkedComponent:
    return load_component(Engine(), MIRROR, tmp_path_factory.mktemp("mirror"), in_blocks=True)


@pytest.mark.parametrize(
    ("function", "arguments", "result"),
    [
        ("bytes", [b""], b""),
        ("bytes", [bytes(range(256))], bytes(range(256))),
        ("bytes", [bytearray(b"\x80")], b"\x80"),
        ("bytes", [memoryview(b"abcd").cast("H")], b"abcd"),
        ("nested", [[]], []),
        ("nested", [[b"", b"\xff", bytes(300)]], [b"", b"\xff", bytes(300)]),
        ("maybe", [None], None),
        ("maybe", [b"\0"], b"\0"),
        ("length", [bytes(70_000)], 70_000),
        # More than fit in registers.
        ("last", [bytes([at]) * at for at in range(9)], bytes([8]) * 8),
        # What looks like bytes in disguise and is none.
        ("ranges", [(1, 2**32 - 1), b"\x80"], ((1, 2**32 - 1), b"\x80")),
    ],
)
def test_bytes_have_any_place(
    mirror: LinkedComponent, function: str, arguments: list[Any], result: Any
) -> None:
    assert in_blocks(mirror, function)
    assert exact(call_now(mirror, *arguments, function=function)) == exact(result)


def test_megabytes_make_the_memories_grow(mirror: LinkedComponent) -> None:
    data = os.urandom(3 << 20)
    assert call_now(mirror, data, function="bytes") == data


def test_memories_may_move_when_they_grow(
    mirror: LinkedComponent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge_memory, "is_roomy", lambda: False)
    data = os.urandom(300_000)
    assert call_now(mirror, data, function="bytes") == data


def test_a_function_without_bytes_is_called_as_it_is(mirror: LinkedComponent) -> None:
    assert not in_blocks(mirror, "pair")
    assert call_now(mirror, (1, 2), function="pair") == (1, 2)


def test_exports_are_told_as_they_were(mirror: LinkedComponent) -> None:
    names = ["bytes", "nested", "maybe", "length", "count", "last", "ranges", "pair"]
    assert list(mirror.component.exports) == names
    assert mirror.export("bytes").type == wit.Function((("a", BYTES),), BYTES)


@pytest.mark.parametrize("wrong", ["text", None, [1, 2], 7])
def test_what_is_no_bytes_is_refused(mirror: LinkedComponent, wrong: Any) -> None:
    with pytest.raises(ValueMismatch, match=r"expected list<u8>, a bytes object"):
        call_now(mirror, wrong, function="bytes")


def test_arguments_that_are_written_again_take_their_room_once(mirror: LinkedComponent) -> None:
    """They are too many to be written at once, so that is begun twice; there is room for them once."""
    sent = [os.urandom(1 << 10) for _ in range(3000)]
    large = invocation(mirror, sent, function="count", max_memory=4 << 20)
    large._in_pieces = True
    assert asyncio.run(large.call()) == len(sent)
    assert large.large


def test_what_has_no_room_ends_its_own_call_alone(mirror: LinkedComponent) -> None:
    with pytest.raises(Trap, match=r"no room for 5242880 bytes that the host passes at once"):
        call_now(mirror, bytes(5 << 20), function="bytes", max_memory=4 << 20)
    assert call_now(mirror, b"still", function="bytes", max_memory=4 << 20) == b"still"


def damaged(result: str, realloc: str = "(i32.const 1024)") -> str:
    """A component whose `f` returns what lies at an address, and whose `realloc` is as it is told."""
    return f"""
      (component
        (core module $m
          (memory (export "memory") 2)
          (data (i32.const 64) "\\00\\04\\00\\00\\05\\00\\00\\00")           ;; 1024, 5
          (data (i32.const 72) "\\fe\\ff\\01\\00\\03\\00\\00\\00")           ;; the last but one, 3
          (data (i32.const 80) "\\ff\\ff\\ff\\ff\\ff\\ff\\ff\\ff")
          (data (i32.const 88) "\\01\\00\\00\\00\\ff\\ff\\ff\\ff")           ;; 1, all but one
          (data (i32.const 96) "\\00\\00\\02\\00\\00\\00\\00\\00")           ;; the end, nothing
          (data (i32.const 104) "\\ff\\ff\\ff\\ff\\01\\00\\00\\00")          ;; the end of all, 1
          (func (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc})
          (func (export "f") (param i32 i32) (result i32) {result}))
        (core instance $i (instantiate $m))
        (func (export "run") (param "a" (list u8)) (result (list u8))
          (canon lift (core func $i "f")
            (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))
    """


OUT_OF_BOUNDS: Final = (72, 80, 88, 104, 0x1FFFC, 0xFFFF_FFFC, 66)


@pytest.mark.parametrize("address", OUT_OF_BOUNDS)
def test_a_result_that_is_not_in_memory_traps(engine: Engine, tmp_path: Path, address: int) -> None:
    text = damaged(f"(i32.const {address - (address >> 31 << 32)})")
    linked = load_component(engine, text, tmp_path, in_blocks=True)
    with pytest.raises(Trap) as caught:
        call_now(linked, b"x")
    assert caught.value.kind is not TrapKind.HOST


@pytest.mark.parametrize("address", [64, 96])
def test_a_result_at_the_edge_of_memory_does_not(
    engine: Engine, tmp_path: Path, address: int
) -> None:
    linked = load_component(engine, damaged(f"(i32.const {address})"), tmp_path, in_blocks=True)
    assert call_now(linked, b"x") == {64: b"x\0\0\0\0", 96: b""}[address]


@pytest.mark.parametrize(
    "realloc", ["unreachable", "(i32.const -1)", "(i32.const 0x1fffe)", "(loop (br 0)) unreachable"]
)
def test_a_realloc_that_is_damaged_ends_its_call_alone(
    engine: Engine, tmp_path: Path, realloc: str
) -> None:
    linked = load_component(engine, damaged("(i32.const 64)", realloc), tmp_path, in_blocks=True)
    assert in_blocks(linked, "run")
    with pytest.raises(InvocationError):
        call_now(linked, b"four", max_execution_time=0.2)


def test_a_result_that_is_the_same_bytes_again_and_again_has_a_bound(
    engine: Engine, tmp_path: Path
) -> None:
    """A thousand lists of the same 64 KiB."""
    text = """
      (component
        (core module $m
          (memory (export "memory") 2)
          (func (export "f") (result i32) (local $at i32)
            (local.set $at (i32.const 1024))
            (loop $again
              (i32.store offset=4 (local.get $at) (i32.const 65536))
              (local.set $at (i32.add (local.get $at) (i32.const 8)))
              (br_if $again (i32.lt_u (local.get $at) (i32.const 9024))))
            (i32.store (i32.const 16) (i32.const 1024)) (i32.store (i32.const 20) (i32.const 1000))
            (i32.const 16)))
        (core instance $i (instantiate $m))
        (func (export "run") (result (list (list u8)))
          (canon lift (core func $i "f") (memory (core memory $i "memory")))))
    """
    linked = load_component(engine, text, tmp_path, in_blocks=True)
    with pytest.raises(Trap):
        call_now(linked, max_memory=4 << 20)
