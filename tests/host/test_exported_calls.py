"""Functions of guests of WASI 0.3: called from outside, with streams and futures as what they carry."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from gateway.bindings import provided
from gateway.bindings.context import WasiCtx
from gateway.bindings.p3.tasks import MAX_WAITS, Tasks
from gateway.host.component import Component, Source
from gateway.host.engine import Engine
from gateway.host.errors import ResultTooLarge, Trap
from gateway.host.invocation import Invocation
from gateway.host.linker import LinkedComponent, link
from gateway.host.store import STORES
from gateway.host.values import Err, Ok, Some, Variant
from tests.forked import run
from tests.host.guests import MEMORY

ASYNCIO: Final = pytest.mark.parametrize("anyio_backend", ["asyncio"])

pytestmark = pytest.mark.anyio

POINT: Final = {"x": -1, "name": "here"}


class Pass(NamedTuple):
    """A function that returns what it was given.

    Attributes:
        type: of that, in text.
        flat: the core values that it is passed as.
        values: some of the type.
        waits: whether it is an `async func`.
    """

    type: str
    flat: str
    values: tuple[Any, ...]
    waits: bool = True


PASSES: Final = {
    "bytes": Pass("(stream u8)", "i32", (b"", b"abc", bytes(100_000))),
    "strings": Pass("(stream string)", "i32", ([], ["a", "zwölf", ""] * 300)),
    "points": Pass("(stream $point)", "i32", ([POINT] * 3,)),
    "numbers": Pass("(stream f64)", "i32", ([0.5, -1.0],)),
    "later": Pass("(future string)", "i32", ("text",)),
    "later-byte": Pass("(future u8)", "i32", (255,)),
    "streams": Pass("(stream $bytes)", "i32", ([b"a", b"", b"bc"],)),
    "list": Pass("(list $points)", "i32 i32", ([], [[POINT], [], [POINT] * 2])),
    "futures": Pass("(list $byte)", "i32 i32", (b"\1\2\3",)),
    "later-stream": Pass("(future $strings)", "i32", (["a", "b"],)),
    "option": Pass("(option $longs)", "i32 i32", (None, [], [2**64 - 1])),
    "result": Pass(
        "(result $bytes (error string))", "i32 i32 i32", (Ok(b"abc"), Err("no"), Ok(b""))
    ),
    "tuple": Pass(
        "(tuple u8 $bytes $text u64)",
        "i32 i32 i32 i64",
        ((1, b"abc", None, 2), (255, b"", "later", 2**64 - 1)),
    ),
    "variant": Pass(
        "$variant",
        "i32 i64 i32",
        (Variant("none"), Variant("float", 0.5), Variant("double", -0.5), Variant("text", "t"),
         Variant("stream", [1, 2]), Variant("long", 2**63)),
    ),
    "nested": Pass("(option (option $bytes))", "i32 i32 i32", (None, Some(None), Some(b"a"))),
    "flags": Pass("$flags", "i32", (frozenset(), frozenset({"a", "i"}))),
    "enum": Pass("$enum", "i32", ("b",)),
    "char": Pass("char", "i32", ("\U0010ffff",)),
    "signed": Pass("(tuple s8 s16 s32 s64)", "i32 i32 i32 i64", ((-1, -2, -3, -4),)),
    "record": Pass("$point", "i64 i32 i32", (POINT,)),
    "many": Pass("(tuple u8 f32 f64 string bool)", "i32 f32 f64 i32 i32 i32", ((1, 0.5, 2.0, "t", True),)),
    "plain": Pass("f32", "f32", (0.5,), waits=False),
    "plain-short": Pass("s16", "i32", (-300,), waits=False),
    "plain-long": Pass("u64", "i64", (2**64 - 1,), waits=False),
    "plain-flags": Pass("$flags", "i32", (frozenset({"i"}),), waits=False),
}  # fmt: skip

TYPES: Final = """
  (type $shorts (stream u16)) (type $bytes (stream u8)) (type $strings (stream string)) (type $longs (stream u64))
  (type $byte (future u8)) (type $text (future (option string)))
  (type $point' (record (field "x" s64) (field "name" string))) (export $point "point" (type $point'))
  (type $points (stream $point))
  (type $flags' (flags "a" "b" "c" "d" "e" "f" "g" "h" "i")) (export $flags "flags" (type $flags'))
  (type $enum' (enum "a" "b")) (export $enum "enum" (type $enum'))
  (type $variant' (variant (case "none") (case "float" f32) (case "double" f64) (case "text" string)
    (case "stream" $shorts) (case "long" u64)))
  (export $variant "variant" (type $variant'))
"""


def _functions() -> Iterator[str]:
    imports: list[str] = []
    bodies: list[str] = []
    given: list[str] = []
    for number, each in enumerate(PASSES.values()):
        values = " ".join(f"(local.get {at})" for at in range(len(each.flat.split())))
        if not each.waits:
            bodies.append(
                f'(func (export "f{number}") (param {each.flat}) (result {each.flat}) {values})'
            )
            continue
        yield f"(core func $return{number} (canon task.return (result {each.type}) (memory $shared)))"
        imports.append(f'(import "" "r{number}" (func $r{number} (param {each.flat})))')
        given.append(f'(export "r{number}" (func $return{number}))')
        bodies.append(
            f'(func (export "f{number}") (param {each.flat}) (result i32) '
            f"(call $r{number} {values}) (i32.const 0))"
        )
    yield f"""
  (core module $M {" ".join(imports)}
    {" ".join(bodies)}
    (func (export "go-on") (param i32 i32 i32) (result i32) unreachable))
  (core instance $i (instantiate $M (with "" (instance {" ".join(given)}))))"""
    for number, (name, each) in enumerate(PASSES.items()):
        how = 'async (callback (core func $i "go-on"))' if each.waits else ""
        yield f"""(func (export "pass-{name}") {"async" * each.waits} (param "it" {each.type}) (result {each.type})
      (canon lift (core func $i "f{number}") {how} (memory $shared) (realloc (core func $realloc))))"""


TEXT: Final = f"""(component {MEMORY}
  (alias core export $memory "memory" (core memory $shared))
  (alias core export $memory "realloc" (core func $realloc))
  {TYPES}
  {chr(10).join(_functions())}
)"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A component with a function for each of `PASSES`, and nothing of WASI."""
    path = tmp_path_factory.mktemp("passes") / "passes.wat"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def passes(file: Path) -> LinkedComponent:
    """The same, ready to be called."""
    source = Source(file)
    assert source.concurrent
    component = Component(Engine(concurrent=True), source, name="passes")
    return link(component, provided())


async def call(linked: LinkedComponent, name: str, *args: Any, max_taken: int | None = None) -> Any:
    ctx = WasiCtx()
    tasks = ctx.of(Tasks)
    tasks.max_taken = max_taken
    return await Invocation(
        linked.export(f"pass-{name}"),
        args,
        ctx,
        max_memory=64 << 20,
        max_execution_time=120.0,
        in_pieces=True,
        idle=tasks.idle,
        on_close=ctx.close,
    ).call()


@pytest.mark.parametrize("name", PASSES)
@ASYNCIO
async def test_values_cross_as_they_are(passes: LinkedComponent, name: str) -> None:
    for value in PASSES[name].values:
        assert await call(passes, name, value) == value
    assert not STORES


@ASYNCIO
async def test_what_comes_by_streams_is_bounded(passes: LinkedComponent) -> None:
    assert await call(passes, "bytes", bytes(1000), max_taken=1000) == bytes(1000)
    with pytest.raises(ResultTooLarge):
        await call(passes, "bytes", bytes(1001), max_taken=1000)
    assert not STORES


@pytest.mark.parametrize(
    ("function", "arguments", "result"),
    [
        ('(param "it" (stream u8)) (result u32)', (b"abc",), 7),
        ('(param "it" (future u8)) (result u32)', (1,), 7),
        ('async (param "it" u32) (result u32)', (1,), 7),
    ],
    ids=["stream", "future", "async"],
)
@ASYNCIO
async def test_types_alone_tell_that_it_is_of_wasi_0_3(
    tmp_path: Path, function: str, arguments: tuple[Any, ...], result: Any
) -> None:
    path = tmp_path / "types.wat"
    path.write_text(f"""(component
  (core module $M (func (export "f") (param i32) (result i32) (i32.const 7)))
  (core instance $i (instantiate $M))
  (func (export "pass-it") {function} (canon lift (core func $i "f"))))""")
    source = Source(path)
    assert source.concurrent
    linked = link(Component(Engine(concurrent=True), source, name="types"), provided())
    assert await call(linked, "it", *arguments) == result
    assert not STORES


CLOCK: Final = """(component
  (import "wasi:clocks/monotonic-clock@0.3.0" (instance $clock
    (export "wait-for" (func async (param "how-long" u64)))))
  (core func $wait (canon lower (func $clock "wait-for") async))
  (core func $return (canon task.return))
  (core func $new (canon waitable-set.new))
  (core func $join (canon waitable.join))
  (core module $M
    (import "" "wait" (func $wait (param i64) (result i32))) (import "" "return" (func $return))
    (import "" "new" (func $new (result i32))) (import "" "join" (func $join (param i32 i32)))
    (func (export "sleep") (param i64) (result i32) (local $status i32) (local $set i32)
      (local.set $status (call $wait (local.get 0)))
      (if (i32.eq (i32.and (local.get $status) (i32.const 15)) (i32.const 2))
        (then (call $return) (return (i32.const 0))))
      (local.set $set (call $new))
      (call $join (i32.shr_u (local.get $status) (i32.const 4)) (local.get $set))
      (i32.or (i32.const 2) (i32.shl (local.get $set) (i32.const 4))))
    (func (export "crowd") (param i64) (param $number i32) (result i32)
      (loop $more
        (drop (call $wait (local.get 0)))
        (local.set $number (i32.sub (local.get $number) (i32.const 1)))
        (br_if $more (local.get $number)))
      (call $return) (i32.const 0))
    (func (export "stuck") (result i32) (i32.or (i32.const 2) (i32.shl (call $new) (i32.const 4))))
    (func (export "go-on") (param i32 i32 i32) (result i32) (call $return) (i32.const 0)))
  (core instance $i (instantiate $M (with "" (instance (export "wait" (func $wait))
    (export "return" (func $return)) (export "new" (func $new)) (export "join" (func $join))))))
  (func (export "pass-stuck") async
    (canon lift (core func $i "stuck") async (callback (core func $i "go-on"))))
  (func (export "pass-crowd") async (param "how-long" u64) (param "number" u32)
    (canon lift (core func $i "crowd") async (callback (core func $i "go-on"))))
  (func (export "pass-sleep") async (param "how-long" u64)
    (canon lift (core func $i "sleep") async (callback (core func $i "go-on")))))"""

ENDS: Final = """(component
  (type $bytes (stream u8)) (type $byte (future u8))
  (core func $new (canon stream.new $bytes))
  (core func $drop-read (canon stream.drop-readable $bytes))
  (core func $drop-write (canon stream.drop-writable $bytes))
  (core func $forget (canon future.drop-readable $byte))
  (core func $return (canon task.return))
  (core func $give (canon task.return (result $bytes)))
  (core module $M
    (import "" "new" (func $new (result i64))) (import "" "drop-read" (func $drop-read (param i32)))
    (import "" "drop-write" (func $drop-write (param i32))) (import "" "forget" (func $forget (param i32)))
    (import "" "return" (func $return)) (import "" "give" (func $give (param i32)))
    (func (export "drops") (param i32 i32) (result i32)
      (call $drop-read (local.get 0)) (call $forget (local.get 1)) (call $return) (i32.const 0))
    (func (export "keeps") (param i32 i32) (result i32) (call $return) (i32.const 0))
    (func (export "ends") (result i32) (local $ends i64)
      (local.set $ends (call $new))
      (call $drop-write (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))))
      (call $give (i32.wrap_i64 (local.get $ends))) (i32.const 0))
    (func (export "never") (result i32) (call $give (i32.wrap_i64 (call $new))) (i32.const 0))
    (func (export "go-on") (param i32 i32 i32) (result i32) unreachable))
  (core instance $i (instantiate $M (with "" (instance (export "new" (func $new))
    (export "drop-read" (func $drop-read)) (export "drop-write" (func $drop-write))
    (export "forget" (func $forget)) (export "return" (func $return)) (export "give" (func $give))))))
  (func (export "pass-drops") async (param "data" $bytes) (param "later" $byte)
    (canon lift (core func $i "drops") async (callback (core func $i "go-on"))))
  (func (export "pass-keeps") async (param "data" $bytes) (param "later" $byte)
    (canon lift (core func $i "keeps") async (callback (core func $i "go-on"))))
  (func (export "pass-ends") async (result $bytes)
    (canon lift (core func $i "ends") async (callback (core func $i "go-on"))))
  (func (export "pass-never") async (result $bytes)
    (canon lift (core func $i "never") async (callback (core func $i "go-on")))))"""


@ASYNCIO
async def test_ends_of_streams_and_futures(tmp_path: Path) -> None:
    path = tmp_path / "ends.wat"
    path.write_text(ENDS)
    linked = link(Component(Engine(concurrent=True), Source(path), name="ends"), provided())
    for name in ("drops", "keeps"):  # and reads nothing
        assert await call(linked, name, bytes(1000), 7) is None
    assert await call(linked, "ends") == b""
    with pytest.raises(Trap, match="the guest waits"):
        await call(linked, "never")
    assert not STORES


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> LinkedComponent:
    """A component that waits."""
    path = tmp_path_factory.mktemp("clock") / "clock.wat"
    path.write_text(CLOCK)
    return link(Component(Engine(concurrent=True), Source(path), name="clock"), provided())


@ASYNCIO
async def test_what_can_never_come_is_a_trap(clock: LinkedComponent) -> None:
    with pytest.raises(Trap, match="the guest waits"):
        await call(clock, "stuck")
    assert not STORES


@ASYNCIO
async def test_a_thousand_asleep_at_once_cost_no_thread(clock: LinkedComponent) -> None:
    assert await call(clock, "sleep", 1) is None
    threads = threading.active_count()
    day = 86_400_000_000_000
    async with asyncio.TaskGroup() as group:
        asleep = [group.create_task(call(clock, "sleep", day)) for _ in range(1000)]
        while sum(it.data.of(Tasks).idle.resting for it in STORES.values()) < len(asleep):  # noqa: ASYNC110
            await asyncio.sleep(0)
        # Those that earlier tests have left may end.
        assert threading.active_count() <= threads
        for each in asleep:
            each.cancel()
    assert not STORES


@ASYNCIO
async def test_so_many_calls_wait_and_no_more(clock: LinkedComponent) -> None:
    assert await call(clock, "crowd", 1_000_000, MAX_WAITS) is None
    with pytest.raises(Trap, match=f"more than {MAX_WAITS} calls"):
        await call(clock, "crowd", 86_400_000_000_000, MAX_WAITS + 1)
    assert not STORES


def test_a_client_has_lists_for_streams(file: Path) -> None:
    written = run("client", file).stdout
    for line in (
        "def pass_bytes(self, it: bytes) -> bytes:",
        "def pass_points(self, it: list[Point]) -> list[Point]:",
        "def pass_later(self, it: str) -> str:",
        "def pass_option(self, it: list[int] | None) -> list[int] | None:",
    ):
        assert line in written
