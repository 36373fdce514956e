"""A guest that a test drives: a component in the real engine, which asks the test for each call to make.

    COMPONENT = driven_guest("(import ... )")

    async with driving(COMPONENT, interfaces, ctx) as guest:
        pollable = await guest.call("monotonic-clock#subscribe-duration", 0)
        assert await guest.call("poll#pollable.ready", pollable)

So a test says exactly what the guest does, sees exactly what comes back, and can act as the world outside between
two calls, or while the guest waits in one. A call that ends the guest raises what ended it.

A guest of WASI 0.3 is driven likewise: it calls asynchronous functions without `async`, and has the `ends` of
streams and futures of the types that the test names, each with functions of its own (`_END`).

The component is made of its imports alone, which the test declares in the text format, as WIT has them. The core
code is one function for each import, which passes on flat arguments from memory and leaves the result there, and a
loop that gets the number of the next from the host, with what to put into that memory first. `tests.canonical_abi`
has the form of values there.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import wasmtime
from wasmtime import component as wasm

from gateway.bindings.context import WasiCtx
from gateway.bindings.p3.tasks import Tasks
from gateway.host import wit
from gateway.host.binding import HostInterface, Provided
from gateway.host.component import Component, Source
from gateway.host.engine import Engine
from gateway.host.introspect import component_type
from gateway.host.invocation import Invocation
from gateway.host.linker import link
from tests.canonical_abi import flat, load, size_of, store, store_arguments
from tests.patience import PATIENCE

MAX_MEMORY: Final = 64 << 20

# Where things are in the memory of the guest.
_STEP: Final = 0
_RESULT: Final = 64
_HEAP: Final = 1024
"""A heap that is emptied before each step: the arguments are the first that the host allocates there."""

_BUFFER: Final = _HEAP + 64
"""Where the elements of streams are, and what futures carry: after the arguments of what reads and writes them."""

DRIVER: Final = "test:guest/driver"
"""The interface by which it asks."""

_RETURN: Final = 0
"""The step that ends the guest; every other is the number of a function."""

IO: Final = """
  (import "wasi:io/error@0.2.12" (instance $error
    (export "error" (type $error (sub resource)))
    (export "[method]error.to-debug-string"
      (func (param "self" (borrow $error)) (result string)))))
  (alias export $error "error" (type $error))
  (import "wasi:io/poll@0.2.12" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.ready" (func (param "self" (borrow $pollable)) (result bool)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))
    (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:io/streams@0.2.12" (instance $streams
    (alias outer 1 $error (type $outer-error))
    (alias outer 1 $pollable (type $outer-pollable))
    (export "error" (type $error (eq $outer-error)))
    (export "pollable" (type $pollable (eq $outer-pollable)))
    (type $failure (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $failure)))
    (export "input-stream" (type $input (sub resource)))
    (export "output-stream" (type $output (sub resource)))
    (type $done (result (error $stream-error)))
    (type $count (result u64 (error $stream-error)))
    (type $bytes (result (list u8) (error $stream-error)))
    (export "[method]input-stream.read"
      (func (param "self" (borrow $input)) (param "len" u64) (result $bytes)))
    (export "[method]input-stream.blocking-read"
      (func (param "self" (borrow $input)) (param "len" u64) (result $bytes)))
    (export "[method]input-stream.skip"
      (func (param "self" (borrow $input)) (param "len" u64) (result $count)))
    (export "[method]input-stream.blocking-skip"
      (func (param "self" (borrow $input)) (param "len" u64) (result $count)))
    (export "[method]input-stream.subscribe"
      (func (param "self" (borrow $input)) (result (own $pollable))))
    (export "[method]output-stream.check-write"
      (func (param "self" (borrow $output)) (result $count)))
    (export "[method]output-stream.write"
      (func (param "self" (borrow $output)) (param "contents" (list u8)) (result $done)))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $output)) (param "contents" (list u8)) (result $done)))
    (export "[method]output-stream.flush" (func (param "self" (borrow $output)) (result $done)))
    (export "[method]output-stream.blocking-flush"
      (func (param "self" (borrow $output)) (result $done)))
    (export "[method]output-stream.subscribe"
      (func (param "self" (borrow $output)) (result (own $pollable))))
    (export "[method]output-stream.write-zeroes"
      (func (param "self" (borrow $output)) (param "len" u64) (result $done)))
    (export "[method]output-stream.blocking-write-zeroes-and-flush"
      (func (param "self" (borrow $output)) (param "len" u64) (result $done)))
    (export "[method]output-stream.splice" (func (param "self" (borrow $output))
      (param "src" (borrow $input)) (param "len" u64) (result $count)))
    (export "[method]output-stream.blocking-splice" (func (param "self" (borrow $output))
      (param "src" (borrow $input)) (param "len" u64) (result $count)))))
  (alias export $streams "input-stream" (type $input-stream))
  (alias export $streams "output-stream" (type $output-stream))
"""
"""The imports of `wasi:io`; what follows may use `$error`, `$pollable`, `$input-stream` and `$output-stream`."""


_U32: Final = wit.Integer(32, signed=False)
_END: Final[Mapping[str, wit.Function]] = {
    "new": wit.Function((), wit.Integer(64, signed=False)),
    "read": wit.Function((("end", _U32), ("at", _U32), ("count", _U32)), _U32),
    "write": wit.Function((("end", _U32), ("at", _U32), ("count", _U32)), _U32),
    "drop-readable": wit.Function((("end", _U32),), None),
    "drop-writable": wit.Function((("end", _U32),), None),
}
"""What a guest can do with an end of a stream; likewise of a future, of which nobody counts the elements."""


class Driven(NamedTuple):
    """A component to be driven.

    Attributes:
        component: the component.
        imports: what it imports, as it was declared.
        ends: the streams and futures of which it has ends, by the names that tests give them.
    """

    component: Component
    imports: Mapping[str, wit.Item]
    ends: Mapping[str, wit.Type]


class DrivenGuest:
    """A guest under way; made by `driving`.

    Args:
        imports: what it imports.
        ends: as of `Driven`.
    """

    def __init__(
        self, imports: Mapping[str, wit.Item], ends: Mapping[str, wit.Type] | None = None
    ) -> None:
        self._ends = ends or {}
        self._functions = {
            name: (number, ty)
            for number, (name, ty) in enumerate(_functions(imports, self._ends), 1)
        }
        self._steps: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._asked: asyncio.Queue[bytes] = asyncio.Queue()
        self.driver = HostInterface(DRIVER, None)
        self.driver.function("next", blocking=True)(self._next)

    @property
    def functions(self) -> dict[str, wit.Function]:
        """What it can be told to call, with the types."""
        return {name: ty for name, (_, ty) in self._functions.items()}

    async def _next(self, _ctx: WasiCtx, memory: bytes) -> tuple[int, bytes]:
        return await self.next(memory)

    async def next(self, memory: bytes) -> tuple[int, bytes]:
        """The next step, and what is to be in the memory: also as a Python object of a link has it."""
        self._asked.put_nowait(memory)
        return await self._steps.get()

    async def begin(self, running: Coroutine[Any, Any, Any]) -> None:
        """Run the guest until it asks for its first step."""
        self._task = asyncio.create_task(running)
        await self._next_question()

    async def call(self, function: str, *args: Any) -> Any:
        """Have the guest call an import, and wait until that returns.

        Args:
            function: `interface#function`, without package, version and `[method]`; or `interface#drop resource`,
                which drops a handle.
            args: what it is called with.

        Returns:
            What it returned.

        Raises:
            InvocationError: the call has ended the guest.
        """
        self.tell(function, *args)
        return await self.returned(function)

    async def new(self, end: str) -> tuple[int, int]:
        """Make a stream or a future; returns the end to read from, and that to write to."""
        ends = await self.call(f"ends#{end}.new")
        return ends & 0xFFFFFFFF, ends >> 32

    async def read(self, stream: str, end: int, most: int) -> tuple[list[Any], bool]:
        """Read from a stream: what came, and whether that was the end."""
        element = self._carries(stream)
        size = size_of(element)
        self.tell(f"ends#{stream}.read", end, _BUFFER, most, room=most * size)
        memory = await self._next_question()
        told = load(_U32, memory, _RESULT)
        elements = [load(element, memory, _BUFFER + at * size) for at in range(told >> 4)]
        return elements, bool(told & 15)

    async def read_future(self, future: str, end: int) -> Any:
        """Read from a future: what it carries."""
        payload = self._carries(future)
        self.tell(f"ends#{future}.read", end, _BUFFER, 1, room=size_of(payload))
        memory = await self._next_question()
        assert load(_U32, memory, _RESULT) == 0
        return load(payload, memory, _BUFFER)

    async def write_future(self, future: str, end: int, value: Any) -> bool:
        """Write to a future: whether anybody has taken the value."""
        function = f"ends#{future}.write"
        self.tell(function, end, _BUFFER, 1, room=store(self._carries(future), value, _BUFFER))
        return bool(await self.returned(function) == 0)

    def _carries(self, end: str) -> wit.Type:
        match self._ends[end]:
            case wit.Stream(carried) | wit.Future(carried):
                return carried
        raise TypeError(f"{end} is neither a stream nor a future")

    async def write(self, end: str, handle: int, data: bytes) -> tuple[int, bool]:
        """Write bytes to a stream: how many were taken, and whether nobody takes more."""
        function = f"ends#{end}.write"
        self.tell(function, handle, _BUFFER, len(data), room=data)
        told = await self.returned(function)
        return told >> 4, bool(told & 15)

    def tell(self, function: str, *args: Any, room: int | bytes = b"") -> None:
        """Have the guest call an import: at once, where it waits to be told. `returned` must follow.

        Args:
            function: as of `call`.
            args: ditto.
            room: what is at `_BUFFER` meanwhile; or how many zeros.
        """
        number, ty = self._functions[function]
        memory = store_arguments(ty, args, _HEAP)
        if room:
            memory = memory.ljust(_BUFFER - _HEAP, b"\0") + bytes(room)
        self._steps.put_nowait((number, memory))

    async def returned(self, function: str) -> Any:
        """Wait until the import returns that it was told to call: `call`."""
        _, ty = self._functions[function]
        memory = await self._next_question()
        return None if ty.result is None else load(ty.result, memory, _RESULT)

    async def leave(self) -> None:
        """Have the guest return, unless something has ended it before."""
        if not self._task.done():
            self._steps.put_nowait((_RETURN, b""))
            await self._task

    async def abort(self) -> None:
        """Make an end of the guest, wherever it is."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _next_question(self) -> bytes:
        """Wait until the guest asks for a step; returns its memory."""
        question = asyncio.create_task(self._asked.get())
        try:
            await asyncio.wait((question, self._task), return_when=asyncio.FIRST_COMPLETED)
            if question.done():
                return question.result()
            self._task.result()
            raise AssertionError("the guest has returned")
        finally:
            question.cancel()
            await asyncio.wait((question,))


@asynccontextmanager
async def driving(
    component: Component | Driven,
    interfaces: Iterable[HostInterface],
    ctx: WasiCtx | None = None,
    *,
    max_execution_time: float = PATIENCE,
) -> AsyncIterator[DrivenGuest]:
    """Start a guest; it returns when the block is left, or is cancelled if that is by an exception.

    Args:
        component: made by `driven_guest`.
        interfaces: what it may import.
        ctx: what the host functions are called with.
        max_execution_time: how long it may take in all, in seconds.
    """
    if isinstance(component, Driven):
        guest = DrivenGuest(component.imports, component.ends)
        component = component.component
    else:
        guest = DrivenGuest(component.imports)
    linked = link(component, Provided((*interfaces, guest.driver)))
    data = WasiCtx() if ctx is None else ctx
    invocation = Invocation(
        linked.export("run"),
        (),
        data,
        max_memory=MAX_MEMORY,
        max_execution_time=max_execution_time,
        idle=data.of(Tasks).idle if component.concurrent else None,
    )
    await guest.begin(invocation.call())
    try:
        yield guest
        await guest.leave()
    finally:
        await guest.abort()


class _Waiting(NamedTuple):
    """What a guest has that waits for the other ends of its streams."""

    canons: str
    imports: str
    exports: str
    code: str


_WAITING: Final = _Waiting(
    """(core func $set (canon waitable-set.new)) (core func $join (canon waitable.join))
  (core func $wait (canon waitable-set.wait (memory $memory)))""",
    """(import "host" "set" (func $set (result i32)))
    (import "host" "join" (func $join (param i32 i32)))
    (import "host" "wait" (func $wait (param i32 i32) (result i32)))""",
    '(export "set" (func $set)) (export "join" (func $join)) (export "wait" (func $wait))',
    f"""(global $all (mut i32) (i32.const 0))
    (func $settle (param $told i32) (result i32) (local $end i32)
      (if (i32.ne (local.get $told) (i32.const -1)) (then (return (local.get $told))))
      (local.set $end (i32.load (i32.const {_HEAP})))
      (if (i32.eqz (global.get $all)) (then (global.set $all (call $set))))
      (call $join (local.get $end) (global.get $all))
      (drop (call $wait (global.get $all) (i32.const {_RESULT})))
      (call $join (local.get $end) (i32.const 0))
      (i32.load offset=4 (i32.const {_RESULT})))""",
)


# --- the component -----------------------------------------------------------------------------------------


@cache
def _engine(*, concurrent: bool = False) -> Engine:
    return Engine(concurrent=concurrent)


@cache
def driven_guest(imports: str) -> Component:
    """Compile the guest whose imports are these, all of them instances, in the text format."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "guest.wat")
        path.write_text(driven_text(imports))
        return Component(_engine(), Source(path), name="driven")


@cache
def driven_over_time(imports: str, ends: tuple[tuple[str, str], ...]) -> Driven:
    """The same for a guest of WASI 0.3.

    Args:
        imports: its imports, in the text format.
        ends: names for the streams and futures of which it is to have ends, and their types in that format.
    """
    told = [f'(import "{name}" (func (param "of" {ty})))' for name, ty in ends]
    engine = _engine(concurrent=True)
    text = f"(component {imports} {' '.join(told)})"
    declared = wasm.Component(engine.wasmtime, wasmtime.wat2wasm(text))
    items = dict(component_type(declared, engine.wasmtime).imports)
    types = {name: items.pop(name).params[0][1] for name, _ in ends}  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "guest.wat")
        path.write_text(_component(imports, items, types, dict(ends)))
        return Driven(Component(engine, Source(path), name="driven"), items, types)


def driven_text(imports: str) -> str:
    """The same, as text."""
    engine = _engine()
    declared = wasm.Component(engine.wasmtime, wasmtime.wat2wasm(f"(component {imports})"))
    return _component(imports, component_type(declared, engine.wasmtime).imports, {}, {})


def _functions(
    imports: Mapping[str, wit.Item], ends: Mapping[str, wit.Type]
) -> list[tuple[str, wit.Function]]:
    """What the guest can be told to call, in the order of its table; the first is number 1."""
    functions = list(_of_imports(imports))
    functions += ((f"ends#{end}.{name}", ty) for end in ends for name, ty in _END.items())
    return functions


def _of_imports(imports: Mapping[str, wit.Item]) -> Iterator[tuple[str, wit.Function]]:
    for full_name, interface in imports.items():
        assert isinstance(interface, wit.Interface)
        name = full_name.partition("@")[0].rpartition("/")[2]
        for function, ty in interface.functions.items():
            yield f"{name}#{function.removeprefix('[method]').removeprefix('[static]')}", ty
        for resource in interface.resources:
            yield f"{name}#drop {resource}", wit.Function((("handle", _U32),), None)


def _component(
    imports: str,
    declared: Mapping[str, wit.Item],
    ends: Mapping[str, wit.Type],
    written: Mapping[str, str],
) -> str:
    lowered: list[str] = []
    parts, calls = [], []
    for index, interface in enumerate(declared.values()):
        assert isinstance(interface, wit.Interface)
        for name in interface.functions:
            lowered.append(
                f'(alias export {index} "{name}" (func $import{len(lowered)}))'
                f"(core func $f{len(lowered)} (canon lower (func $import{len(lowered)})"
                " (memory $memory) (realloc $realloc)))"
            )
        for name in interface.resources:
            lowered.append(
                f'(alias export {index} "{name}" (type $import{len(lowered)}))'
                f"(core func $f{len(lowered)} (canon resource.drop $import{len(lowered)}))"
            )
    waits = bool(ends) or any(ty.is_async for _, ty in _of_imports(declared))
    types = []
    for end, of in ends.items():
        kind = "future" if isinstance(of, wit.Future) else "stream"
        types.append(f"(type $end-{end} {written[end]})")
        for name in _END:
            options = "async (memory $memory) (realloc $realloc)" * (name in {"read", "write"})
            canon = f"(canon {kind}.{name} $end-{end} {options})"
            lowered.append(f"(core func $f{len(lowered)} {canon})")
    for number, (function, ty) in enumerate(_functions(declared, ends)):
        # Of what a future carries there is one.
        end, _, name = function.removeprefix("ends#").partition(".")
        if end in ends and name in {"read", "write"}:
            part, call = _crossing(number, counted=not isinstance(ends[end], wit.Future))
        else:
            part, call = _trampoline(number, ty)
        parts.append(part)
        calls.append(call)
    newline = "\n    "
    return f"""(component
  {imports}
  (import "{DRIVER}" (instance $driver
    (export "next"
      (func (param "memory" (list u8)) (result (tuple u32 (list u8)))))))
  (core module $libc
    (memory (export "memory") 1)
    (global $heap (export "heap") (mut i32) (i32.const {_HEAP}))
    (func (export "realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and
        (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.set $heap (i32.add (local.get $at) (local.get $size)))
      (loop $enough
        (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
          (then
            (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then (unreachable)))
            (br $enough))))
      (local.get $at)))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  (core func $next (canon lower (func $driver "next") (memory $memory) (realloc $realloc)))
  {newline.join((*types, *lowered))}
  {_WAITING.canons if ends else ""}
  (core module $main
    (import "libc" "memory" (memory 1))
    (import "libc" "heap" (global $heap (mut i32)))
    {_WAITING.imports if ends else ""}
    (import "host" "next" (func $next (param i32 i32 i32)))
    {newline.join(parts)}
    {newline.join(calls)}
    {_WAITING.code if ends else ""}
    (table funcref (elem $next {" ".join(f"$call{number}" for number in range(len(calls)))}))
    (func (export "run")
      (local $end i32)
      (loop $again
        (local.set $end (global.get $heap))
        (global.set $heap (i32.const {_HEAP}))
        (call $next (i32.const 0) (local.get $end) (i32.const {_STEP}))
        (if (i32.load (i32.const {_STEP}))
          (then
            (call_indirect (i32.load (i32.const {_STEP})))
            (br $again))))))
  (core instance $main (instantiate $main
    (with "libc" (instance $libc))
    (with "host" (instance (export "next" (func $next)) {_WAITING.exports if ends else ""}
      {newline.join(f'(export "{number}" (func $f{number}))' for number in range(len(calls)))}))))
  (func (export "run") {"async" * waits} (canon lift (core func $main "run"))))
"""


def _crossing(number: int, *, counted: bool) -> tuple[str, str]:
    """The same of what reads or writes, and then waits until the other end has done its part."""
    params = 3 if counted else 2
    arguments = " ".join(f"(i32.load (i32.const {_HEAP + at * 8}))" for at in range(params))
    return (
        f'(import "host" "{number}" (func $f{number} (param {"i32 " * params}) (result i32)))',
        f"(func $call{number} (i32.store (i32.const {_RESULT}) (call $settle (call $f{number} {arguments}))))",
    )


def _trampoline(number: int, ty: wit.Function) -> tuple[str, str]:
    """The core import of a function, and the code that calls it."""
    params = [core for _, param in ty.params for core in flat(param)]
    result = [] if ty.result is None else flat(ty.result)
    arguments = [
        f"({core}.load (i32.const {_HEAP + index * 8}))" for index, core in enumerate(params)
    ]
    if len(result) > 1:
        params.append("i32")
        arguments.append(f"(i32.const {_RESULT})")
        result = []
    call = f"(call $f{number} {' '.join(arguments)})"
    if result:
        call = f"({result[0]}.store (i32.const {_RESULT}) {call})"
    signature = f"(param {' '.join(params)}) (result {' '.join(result)})"
    return (
        f'(import "host" "{number}" (func $f{number} {signature}))',
        f"(func $call{number} {call})",
    )
