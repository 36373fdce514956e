"""Guests behind bridges: the host and the guest tell each other the same as without them."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st
from wasmtime import component as wasm
from wasmtime.component import _types as types

from gateway.host import bridge_memory
from gateway.host._capi import set_growing_memories
from gateway.host.engine import Engine
from gateway.host.errors import Trap
from gateway.wasm.binary import component_externs
from gateway.wasm.byte_blocks import Blocks, Pair
from gateway.wasm.byte_blocks.core import CORE_INSTANCES, HEAP
from gateway.wasm.hollow import hollow
from tests.wasm.bridged import (
    MEMORY,
    NAME,
    Host,
    behind_bridge,
    binary,
    guest_memory_of,
    is_pair,
    memory_of,
    rewritten,
)

ALL_BYTES = bytes(range(256))


def passing_on(
    signatures: Mapping[str, tuple[str, str, str]],
    encoding: str = "utf8",
    *,
    two_memories: bool = False,
) -> bytes:
    """A guest whose exports call the imports of the same name.

    Args:
        signatures: for each function, its type, its core parameters and its core result ("i32
            memory" for more than one value, which lie in memory then).
        encoding: the string encoding of the guest.
        two_memories: whether it lowers a function with another memory too, so that the host reads none of them.
    """
    # Where strings may turn out shorter than they might have been, a block must be shortened.
    memory = MEMORY % ("unreachable" if encoding == "utf8" else "(return (local.get $old))")
    imports = "\n".join(
        f'(export "{name}" (func {text}))' for name, (text, _, _) in signatures.items()
    )
    modules = [_passing_module(name, *signature[1:]) for name, signature in signatures.items()]
    parts = [
        _pass_on(name, text, result, encoding) for name, (text, _, result) in signatures.items()
    ]
    if two_memories:
        other = f"""
          (core module $Other (memory (export "memory") 1)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
          (core instance $other (instantiate $Other))
          (core func (canon lower (func $host_{next(iter(signatures))})
            (memory (core memory $other "memory")) (realloc (core func $other "realloc"))))"""
        parts.append(("", other))
    text = f'(component (import "{NAME}" (instance $api {imports})) {memory}'
    # As tools have it: what is lowered before what it is given to, and modules before both.
    ordered = [*modules, *(lowered for lowered, _ in parts), *(given for _, given in parts)]
    return binary(text + "\n".join(ordered) + ")")


def _passing_module(name: str, parameters: str, result: str) -> str:
    through_memory = result == "i32 memory"
    results = f"(result {result.split(maxsplit=1)[0]})" if result else ""
    imported = f"(param {parameters} i32)" if through_memory else f"(param {parameters}) {results}"
    gets = "".join(f"(local.get {place})" for place in range(len(parameters.split())))
    address = "(i32.const 64)"
    call = f"(call $f {gets} {address}) {address}" if through_memory else f"(call $f {gets})"
    return f"""
      (core module $Pass_{name}
        (import "host" "f" (func $f {imported}))
        (func (export "f") (param {parameters}) {results} {call}))"""


def _pass_on(name: str, text: str, result: str, encoding: str) -> tuple[str, str]:
    options = f"(memory $m) (realloc $realloc) string-encoding={encoding}"
    free = "(post-return $free)" if result == "i32 memory" else ""
    lowered = f"""
      (alias export $api "{name}" (func $host_{name}))
      (core func $lowered_{name} (canon lower (func $host_{name}) {options}))"""
    given = f"""
      (core instance $pass_{name} (instantiate $Pass_{name}
        (with "host" (instance (export "f" (func $lowered_{name}))))))
      (func $lifted_{name} {text} (canon lift (core func $pass_{name} "f") {options} {free}))
      (export "{name}" (func $lifted_{name}))"""
    return lowered, given


SHAPES = {
    "take": ('(param "data" (list u8))', "i32 i32", ""),
    "give": ("(result (list u8))", "", "i32 memory"),
    "swap": (
        '(param "data" (list u8)) (param "text" string) (result (tuple string (list u8)))',
        "i32 i32 i32 i32",
        "i32 memory",
    ),
    "read": (
        '(param "length" u64) (param "wide" f64) (result (result (list u8) (error u32)))',
        "i64 f64",
        "i32 memory",
    ),
    "pairs": (
        '(param "pairs" (list (tuple string (list u8)))) (result (list (tuple (list u8) string)))',
        "i32 i32",
        "i32 memory",
    ),
    "maybe": (
        '(param "data" (option (list (list u8)))) (result (option (list u8)))',
        "i32 i32 i32",
        "i32 memory",
    ),
    # What looks like bytes in disguise and is none.
    "ranges": (
        '(param "range" (tuple u32 u32)) (param "data" (list u8))'
        "(result (tuple (list u8) (tuple u32 u32)))",
        "i32 i32 i32 i32",
        "i32 memory",
    ),
    # More parameters than fit in registers.
    "many": (" ".join(f'(param "p{at}" (list u8))' for at in range(9)), "i32", ""),
    "count": ('(param "data" (list u8)) (result u32)', "i32 i32", "i32"),
    "total": ('(param "data" (list u8)) (result s64)', "i32 i32", "i64"),
    "ratio": ('(param "data" (list u8)) (result f32)', "i32 i32", "f32"),
    "exact": ('(param "data" (list u8)) (result f64)', "i32 i32", "f64"),
}
BYTES, GUEST, STAGED, ITSELF = Pair.BYTES, Pair.GUEST_BYTES, Pair.STAGED_BYTES, Pair.ITSELF
PAIRS = {
    "take": (GUEST,),
    "give": (STAGED,),
    "swap": (GUEST, STAGED),
    "read": (STAGED,),
    # Lists of bytes that are returned go by the bridge.
    "pairs": (GUEST, BYTES),
    "maybe": (GUEST, STAGED),
    "ranges": (ITSELF, GUEST, STAGED, ITSELF),
    "many": (GUEST,) * 9,
    "count": (GUEST,),
    "total": (GUEST,),
    "ratio": (GUEST,),
    "exact": (GUEST,),
}
EXCHANGES: list[tuple[str, Sequence[Any], Any]] = [
    *(("take", [data], None) for data in (b"", b"\0", ALL_BYTES, b"\xff" * 7)),
    *(("give", [], data) for data in (b"", b"\0", ALL_BYTES, b"\xff" * 7)),
    ("swap", [ALL_BYTES, "text"], ("text", ALL_BYTES)),
    ("swap", [b"", ""], ("", b"")),
    ("swap", ["é".encode("latin-1"), "é €\U0001f600"], ("ÿ\0\U0010ffff", b"\xc3\xa9")),
    ("read", [2**64 - 1, -0.5], ALL_BYTES),
    ("read", [0, 1e300], 7),
    (
        "pairs",
        [[("naïve", ALL_BYTES), ("", b""), ("x", b"\x80")]],
        [(ALL_BYTES, "naïve"), (b"", "")],
    ),
    ("pairs", [[]], []),
    ("maybe", [None], None),
    ("maybe", [[b"", ALL_BYTES]], b"\x80"),
    ("ranges", [(1, 2**32 - 1), ALL_BYTES], (b"\x80", (0, 9))),
    ("many", [b"", ALL_BYTES, *(bytes([at]) * at for at in range(7))], None),
    ("count", [ALL_BYTES], 2**32 - 1),
    ("total", [ALL_BYTES], -(2**63)),
    ("ratio", [ALL_BYTES], 0.5),
    ("exact", [ALL_BYTES], 1e300),
]


@pytest.fixture(scope="module")
def plain() -> Host:
    return Host(passing_on(SHAPES))


@pytest.fixture(scope="module", params=[False, True], ids=["one memory", "two memories"])
def bridged(request: pytest.FixtureRequest) -> Host:
    return behind_bridge(passing_on(SHAPES, two_memories=request.param))


class TestTable:
    def test_has_an_entry_for_each_pair(self) -> None:
        assert rewritten(passing_on(SHAPES)).functions == {
            (NAME, name): Blocks(pairs, guest=CORE_INSTANCES + 1, staging=CORE_INSTANCES + 2)
            for name, pairs in PAIRS.items()
        }

    def test_has_the_memory_of_exports_after_those_of_imports(self) -> None:
        exports = rewritten(passing_on(SHAPES)).exports
        assert {each.memory for each in exports.values()} == {CORE_INSTANCES}

    def test_says_that_bytes_pass_the_bridge_where_a_guest_has_several_memories(self) -> None:
        assert rewritten(passing_on(SHAPES, two_memories=True)).functions == {
            (NAME, name): Blocks(tuple(ITSELF if it is ITSELF else BYTES for it in pairs))
            for name, pairs in PAIRS.items()
        }

    def test_has_as_many_entries_as_the_engine_tells_pairs(self, bridged: Host) -> None:
        for name, of in bridged.interface(NAME).items():
            assert count_pairs(of) == len(PAIRS[name])


class TestExchange:
    @pytest.mark.parametrize(("name", "arguments", "answer"), EXCHANGES)
    def test_is_the_same_with_a_bridge(
        self, plain: Host, bridged: Host, name: str, arguments: Sequence[Any], answer: Any
    ) -> None:
        expected = (tuple(arguments), answer)
        assert plain.exchange(name, arguments, answer) == expected
        assert bridged.exchange(name, arguments, answer) == expected

    @settings(deadline=None)
    @given(
        data=st.binary(max_size=2000),
        text=st.text(),
        answer=st.tuples(st.text(), st.binary(max_size=2000)),
    )
    def test_is_exact_for_any_bytes_and_text(
        self, bridged: Host, data: bytes, text: str, answer: tuple[str, bytes]
    ) -> None:
        assert bridged.exchange("swap", [data, text], answer) == ((data, text), answer)

    @settings(deadline=None)
    @given(
        pairs=st.lists(st.tuples(st.text(max_size=9), st.binary(max_size=30)), max_size=20),
        answer=st.lists(st.tuples(st.binary(max_size=30), st.text(max_size=9)), max_size=20),
    )
    def test_is_exact_for_any_number_of_them(
        self, bridged: Host, pairs: list[tuple[str, bytes]], answer: list[tuple[bytes, str]]
    ) -> None:
        assert bridged.exchange("pairs", [pairs], answer) == ((pairs,), answer)

    def test_is_exact_for_a_megabyte(self) -> None:
        bridged = behind_bridge(passing_on(SHAPES))
        data = os.urandom(1 << 20)
        assert bridged.exchange("take", [data], None) == ((data,), None)
        assert bridged.exchange("give", [], data) == ((), data)

    @pytest.mark.parametrize("encoding", ["utf16", "latin1+utf16"])
    @pytest.mark.parametrize("text", ["", "plain", "é", "é €\U0001f600"])
    def test_is_the_same_for_a_guest_of_another_encoding(self, encoding: str, text: str) -> None:
        data = passing_on({"swap": SHAPES["swap"]}, encoding)
        for host in (Host(data), behind_bridge(data)):
            call, result = host.exchange("swap", [ALL_BYTES, text], (text, ALL_BYTES))
            assert (call, result) == ((ALL_BYTES, text), (text, ALL_BYTES))


class TestMemory:
    def test_gives_back_the_memory_of_each_call(self) -> None:
        """A hundred megabytes pass, in pieces of one, and no memory may grow beyond eight."""
        bridged = behind_bridge(writer(by_bridge=True))
        bridged.store.set_limits(memory_size=8 << 20)
        for _ in range(100):
            call, _ = bridged.exchange("take", [65537, 1 << 20], None)
            assert len(call[0]) == 1 << 20

    @pytest.mark.parametrize(
        ("address", "length"),
        [(0, 1 << 31), (1, (1 << 31) + 2), (2, 0xFFFF_FFFF), (0x7FFF_FFFF, 1 << 31), (1 << 31, 9)],
    )
    @pytest.mark.parametrize("by_bridge", [False, True])
    def test_refuses_lists_of_gigabytes(
        self, address: int, length: int, *, by_bridge: bool
    ) -> None:
        bridged = behind_bridge(writer(by_bridge=by_bridge))
        with pytest.raises((wasmtime.WasmtimeError, Trap)):
            bridged.exchange("take", [address, length], None)
        assert bridged.calls == []

    def test_has_room_for_some_megabytes(self) -> None:
        memory = memory_of(behind_bridge(passing_on(SHAPES)).store)
        data = os.urandom(3 << 20)
        places = [memory.write(data), memory.write(data)]
        assert [memory.read(place, len(data)) for place in places] == [data, data]
        with pytest.raises(Trap, match=r"no room for 9437184 bytes.* 8384496 at most"):
            memory.write(data)

    def test_refuses_to_read_beyond_its_end(self, bridged: Host) -> None:
        memory = memory_of(bridged.store)
        assert memory.read(65535, 1) == b"\0"
        with pytest.raises(Trap, match="not in the memory that they are said"):
            memory.read(1, 1 << 31)

    def test_are_found_when_they_have_moved(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bridge_memory, "is_roomy", lambda: False)
        config = wasmtime.Config()
        set_growing_memories(config, spare=0, guard=0)
        guest = passing_on({"take": SHAPES["take"]}, two_memories=True)
        moving = behind_bridge(guest, config)
        memory = memory_of(moving.store)
        for size in (100, 100_000, 300_000):
            data = os.urandom(size)
            moving.exchange("take", [data], None)
            assert memory.read(HEAP, 100) == data[:100]

    @pytest.mark.parametrize("address", [*range(65536, 65545), 40 * 65536 - 5])
    @pytest.mark.parametrize("by_bridge", [False, True])
    def test_takes_lists_at_any_address(self, address: int, *, by_bridge: bool) -> None:
        bridged = behind_bridge(writer(by_bridge=by_bridge))
        assert bridged.exchange("take", [address, 5], None)[0] == (bytes(5),)

    @pytest.mark.parametrize("by_bridge", [False, True])
    @pytest.mark.parametrize("length", [0, 5])
    def test_traps_for_a_list_that_is_not_in_memory(self, length: int, *, by_bridge: bool) -> None:
        bridged = behind_bridge(writer(by_bridge=by_bridge))
        with pytest.raises(
            (wasmtime.WasmtimeError, Trap), match=r"out-of-bounds|not in the memory"
        ):
            bridged.exchange("take", [40 * 65536 + 1 - length, length], None)

    def test_reads_no_more_than_a_guest_has_before_its_memory_grows(self) -> None:
        data = writer(pages=1)
        bridged = behind_bridge(data)
        memory = guest_memory_of(bridged.store, rewritten(data).functions[NAME, "take"].guest)
        assert memory.read(65535, 1) == b"\0"
        with pytest.raises(Trap, match="not in the memory"):
            memory.read(65535, 2)
        assert bridged.call("grow") == 1
        assert memory.read(65535, 2) == b"\0\0"
        assert memory.read(65535, 2, 1) == b"\0"
        with pytest.raises(Trap, match="not in the memory"):
            memory.read(65535, 65538, 1)


def writer(*, by_bridge: bool = False, pages: int = 40) -> bytes:
    """A guest that passes a list at any address of its memory, and may grow that by a page."""
    other = """
      (core module $Other (memory (export "memory") 1))
      (core instance $other (instantiate $Other))
      (core func (canon lower (func $take) (memory (core memory $other "memory"))))"""
    return binary(f"""(component
      (import "{NAME}" (instance $api (export "take" (func (param "data" (list u8))))))
      (core module $Memory (memory (export "memory") {pages})
        (func (export "grow") (result i32) (memory.grow (i32.const 1))))
      (core instance $memory (instantiate $Memory))
      (alias export $api "take" (func $take))
      {other if by_bridge else ""}
      (core func $lowered (canon lower (func $take) (memory (core memory $memory "memory"))))
      (core module $Write (import "host" "f" (func $f (param i32 i32)))
        (func (export "f") (param i32 i32) (call $f (local.get 0) (local.get 1))))
      (core instance $write
        (instantiate $Write (with "host" (instance (export "f" (func $lowered))))))
      (func (export "take") (param "address" u32) (param "length" u32)
        (canon lift (core func $write "f")))
      (func (export "grow") (result u32) (canon lift (core func $memory "grow"))))""")


WANTED = ("wasi:io/streams", "wasi:http/types", "wasi:random/random", "wasi:filesystem/types")


LARGE = 10 << 20
"""Bytes of a guest that has an interpreter in it."""


class TestGuests:
    @pytest.mark.parametrize(
        "name", ["wat/hello", "c/hello", "c/echo", "c/fail", "examples/hello", "js/echo"]
    )
    def test_are_taken_by_the_engine(self, guest: Callable[[str], Path], name: str) -> None:
        data = guest(name).read_bytes()
        result = rewritten(data, lambda name: name.startswith(WANTED))
        assert any(interface.startswith("wasi:io/streams@") for interface, _ in result.functions)
        engine = Engine()
        # All but the code of large ones, which is as it was and takes many seconds to compile.
        shown = hollow(result.component) if len(data) > LARGE else result.component
        component = wasm.Component(engine.wasmtime, shown)
        imports = component.type.imports(engine.wasmtime)
        for (interface, function), blocks in result.functions.items():
            imported = imports[interface].ty
            assert isinstance(imported, types.ComponentInstanceType)
            told = imported.exports(engine.wasmtime)[function].ty
            assert count_pairs(told) == len(blocks.pairs)
        externs = component_externs(data)
        assert set(imports) == {name.name for name in externs.imports}
        assert set(component.type.exports(engine.wasmtime)) == {
            name.name for name in externs.exports
        }


def count_pairs(of: Any) -> int:
    parts: list[Any] = []
    match of:
        case types.FuncType():
            parts = [one for _, one in of.params] + [of.result]
        case _ if is_pair(of):
            return 1
        case types.ListType():
            parts = [of.element]
        case types.TupleType():
            parts = of.elements
        case types.OptionType():
            parts = [of.payload]
        case types.ResultType():
            parts = [of.ok, of.err]
        case types.RecordType():
            parts = [one for _, one in of.fields]
        case types.VariantType():
            parts = [one for _, one in of.cases]
        case _:
            pass
    return sum(count_pairs(part) for part in parts)
