"""Calls of other functions that a guest of WASI 0.3 exports, with streams and futures as what they carry.

Where a function has `stream<T>`, whoever calls it from outside has `list<T>`, for a `future<T>` just T. Two
components are in between, made for the functions of one guest:

    host -> taker -> giver -> guest

The taker calls, has the pump of the adapter run beside, and reads all that comes of the result. The giver makes
streams and futures of the arguments, and writes; functions that take none are called without it. They are two,
since no component may read from a stream or future what it has written to it, and a guest may return what it was
given. The call has returned when all of the result is there and, as with a request, no task of the guest has
anything left to do: an instance ends with its call, and the tasks that it has left with it.

Elements of a stream lie in memory as those of a list do, so they are written from where the argument lies, and
read to where the result is to lie. What has streams in it is converted type by type.

For the host, and between the two, every function takes a `list` of one tuple, its arguments, and returns a `list`
of one result: an address and a length, whatever is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.wasm.binary.core_types import CoreType
from gateway.wasm.binary.types import (
    Func,
    StreamOf,
    TupleOf,
    TypeDefinition,
)
from gateway.wasm.canonical_abi import MAX_FLAT_PARAMETERS, Layout, joined_flat, places
from gateway.wasm.wasip3.assembly import read
from gateway.wasm.wasip3.call_arguments import Arguments
from gateway.wasm.wasip3.call_conversion import Conversion, allocated
from gateway.wasm.wasip3.call_types import (
    EXPORTED,
    IMPORTED,
    Types,
)

__all__ = ["CALLS", "Call", "calls_text"]

CALLS: Final = "gateway:wasi/calls"
"""What the host has for the taker, by the name of its import, and what the taker has for the host."""

MAX_ASYNC_FLAT: Final = 4
"""What has more core values than this is passed to an asynchronous call through memory."""

_LIST: Final = Layout(8, 4, (CoreType.I32, CoreType.I32))
"""How a list lies in memory."""

_MEMORY: Final = "(memory $memory) (realloc (core func $realloc))"
_STORES: Final = {("i32", 1): "i32.store8", ("i32", 2): "i32.store16"}


@dataclass(frozen=True, slots=True)
class Call:
    """A function that is called from outside.

    Attributes:
        interface: the exported interface that has it, None at the root.
        name: its name there.
        type: its type.
        given: whether there are streams or futures among its parameters.
    """

    interface: str | None
    name: str
    type: Func
    given: bool


class _Side:
    """One of the two components.

    Args:
        types: the types of all functions.
        calls: the functions that it has.
        gives: whether it is the giver.
    """

    def __init__(self, types: Types, calls: Sequence[tuple[int, Call]], *, gives: bool) -> None:
        self.types = types
        self.calls = calls
        self.gives = gives
        self.arguments = Arguments(types)
        self.converters = Conversion(types, gives=gives)

    # --- the component -------------------------------------------------------------------------------------

    def text(self) -> str:
        exports = "\n".join(
            line for number, call in self.calls for line in self.exported(number, call)
        )
        imports = "\n".join(self.imported(number, call) for number, call in self.calls)
        bodies = "\n".join(line for number, call in self.calls for line in self.body(number, call))
        core = self.core(bodies)
        # `core` has found which ends there are.
        builtins = "\n".join(self.builtins())
        outside = (
            ""
            if self.gives
            else """(import "pump" (func $pump async))
(import "calls" (instance $calls (export "returned" (func)) (export "took" (func (param "count" u32)))))"""
        )
        return f"""(component
{outside}
{chr(10).join(self.types.lines("i", IMPORTED))}
{imports}
{read("call_memory")}(core instance $memory' (instantiate $Memory))
(alias core export $memory' "memory" (core memory $memory))
(alias core export $memory' "realloc" (core func $realloc))
(core func $set.new (canon waitable-set.new))
(core func $set.join (canon waitable.join))
(core func $subtask.drop (canon subtask.drop))
{builtins}
{chr(10).join(self.types.lines("e", EXPORTED))}
{core}
{exports}
)"""

    def imported(self, number: int, call: Call) -> str:
        """A function that is called."""
        ty = call.type
        if not self.gives and call.given:
            shape = self.boxed("i", number, call, carried=False)
        else:
            params = " ".join(
                f'(param "{name}" {self.types.text(of, "i")})' for name, of in ty.parameters
            )
            result = "" if ty.result is None else f"(result {self.types.text(ty.result, 'i')})"
            shape = f"(func $f{number} {'async' * ty.is_async} {params} {result})"
        return f'(import "f{number}" {shape})'

    def boxed(self, prefix: str, number: int, call: Call, *, carried: bool) -> str:
        """The form that a function has for the host, and between the two components."""
        types, ty = self.types, call.type
        params = [types.text(types.carried(of), prefix) for _, of in ty.parameters]
        given = f'(param "arguments" (list (tuple {" ".join(params)})))' if params else ""
        result = ""
        if ty.result is not None:
            of = types.carried(ty.result) if carried else ty.result
            result = f"(result (list {types.text(of, prefix)}))"
        return f"(func $f{number} async {given} {result})"

    def exported(self, number: int, call: Call) -> Iterator[str]:
        shape = self.boxed("e", number, call, carried=not self.gives)
        inner = shape.removeprefix(f"(func $f{number} ").removesuffix(")")
        yield f"""(func $x{number} {inner}
  (canon lift (core func $core "call{number}") async (callback (core func $core "go-on")) {_MEMORY}))
(export "f{number}" (func $x{number}))"""

    def builtins(self) -> Iterator[str]:
        """What the core module is given."""
        for number, call in self.calls:
            waits = "async" * (call.type.is_async or self.is_forwarded(call))
            yield f"(core func $call{number} (canon lower (func $f{number}) {waits} {_MEMORY}))"
            result = call.type.result
            if result is None:
                yield f"(core func $return{number} (canon task.return))"
                continue
            of = result if self.gives else self.types.carried(result)
            yield (
                f"(core func $return{number} (canon task.return "
                f"(result (list {self.types.text(of, 'i')})) (memory $memory)))"
            )
        for index, definition in self.converters.ends.items():
            kind = "stream" if isinstance(definition, StreamOf) else "future"
            if self.gives:
                names = {"new": "", "write": f"async {_MEMORY}", "drop-writable": ""}
            else:
                names = {"read": f"async {_MEMORY}", "drop-readable": ""}
            for name, options in names.items():
                yield f"(core func ${name}{index} (canon {kind}.{name} $i{index} {options}))"
        if not self.gives:
            yield "(core func $pump' (canon lower (func $pump) async))"
            yield '(core func $returned (canon lower (func $calls "returned")))'
            yield '(core func $took (canon lower (func $calls "took")))'

    # --- the core module -----------------------------------------------------------------------------------

    def core(self, bodies: str) -> str:
        imports: list[tuple[str, str, str]] = []
        for number, call in self.calls:
            result = call.type.result
            imports.append((f"call{number}", f"$call{number}", self.lowered(call)))
            returned = ["i32"] * (0 if result is None else 2)
            imports.append((f"return{number}", f"$return{number}", _signature(returned, [])))
        rest_of_it = self.parts()
        dispatch = self.converters.dispatch()
        for index, definition in self.converters.ends.items():
            stream = isinstance(definition, StreamOf)
            through = ["i32"] * (3 if stream else 2)
            if self.gives:
                imports.append((f"new{index}", f"$new{index}", _signature([], ["i64"])))
                imports.append((f"write{index}", f"$write{index}", _signature(through, ["i32"])))
                imports.append((f"drop-writable{index}", f"$drop{index}", _signature(["i32"], [])))
            else:
                imports.append((f"read{index}", f"$read{index}", _signature(through, ["i32"])))
                imports.append((f"drop-readable{index}", f"$drop{index}", _signature(["i32"], [])))
        fixed = ["set.new", "set.join", "subtask.drop"]
        if not self.gives:
            imports += [
                ("pump'", "$pump", _signature([], ["i32"])),
                ("returned", "$tell-returned", _signature([], [])),
                ("took", "$took", _signature(["i32"], [])),
            ]
        lines = "\n".join(
            f'(import "" "{name}" (func {local} {signature}))' for name, local, signature in imports
        )
        groups: dict[str, list[str]] = {"": ['(export "memory" (memory $memory))']}
        groups[""].append('(export "realloc" (func $realloc))')
        groups[""] += [f'(export "{name}" (func ${name}))' for name, _, _ in imports]
        for each in fixed:
            group, _, name = each.partition(".")
            groups.setdefault(group, []).append(f'(export "{name}" (func ${each}))')
        instances = " ".join(
            f'(with "{group}" (instance {" ".join(items)}))' for group, items in groups.items()
        )
        shared = read("calls")
        head, _, rest = shared.partition("  (global $set")
        return f"""(core module $Core
{head}
{lines}
(global $set{rest}
{dispatch}
{rest_of_it}
{chr(10).join((*self.arguments.functions.values(), *self.converters.functions.values()))}
{bodies})
(core instance $core (instantiate $Core {instances}))"""

    def parts(self) -> str:
        """What is the same for all functions."""
        numbers = [number for number, _ in self.calls]
        nothing_or_one = ("", "(global.get $result) (i32.const 1)")
        returns = _by_function(
            "return",
            [
                f"(call $return{number} {nothing_or_one[call.type.result is not None]})"
                for number, call in self.calls
            ],
            numbers,
        )
        results = _by_function(
            "convert",
            ["" if self.gives else self.conversion(call) for number, call in self.calls],
            numbers,
        )
        if self.gives:
            return returns + read("giver")
        return f"{returns}\n{results}\n{read('taker')}"

    def is_forwarded(self, call: Call) -> bool:
        """Whether it is the giver's function that is called."""
        return call.given and not self.gives

    def flat_arguments(self, call: Call) -> list[str] | None:
        """The core types that arguments are passed as to the guest's function; None for an address."""
        flat = joined_flat(self.types.layout(ty) for _, ty in call.type.parameters)
        if flat is None or len(flat) > (
            MAX_ASYNC_FLAT if call.type.is_async else MAX_FLAT_PARAMETERS
        ):
            return None
        return [CoreType(each).name.lower() for each in flat]

    def returned_at_once(self, call: Call) -> str | None:
        """The core type that the guest's function returns its result as; None where it goes to an address."""
        if call.type.is_async or call.type.result is None or self.is_forwarded(call):
            return None
        flat = self.types.layout(call.type.result).flat
        return CoreType(flat[0]).name.lower() if flat is not None and len(flat) == 1 else None

    def lowered(self, call: Call) -> str:
        """The core type of the function that is called."""
        if self.is_forwarded(call):
            taken = ["i32"] * 2
        else:
            taken = self.flat_arguments(call) or ["i32"] * bool(call.type.parameters)
        at_once = self.returned_at_once(call)
        if call.type.result is not None and at_once is None:
            taken = [*taken, "i32"]
        if call.type.is_async or self.is_forwarded(call):
            return _signature(taken, ["i32"])
        return _signature(taken, [] if at_once is None else [at_once])

    def body(self, number: int, call: Call) -> Iterator[str]:
        """The function of the core module that begins a call."""
        types, ty = self.types, call.type
        params = "(param $at i32) (param $count i32)" if ty.parameters else ""
        lines = [
            f'(func (export "call{number}") {params} (result i32) (local $arguments i32)',
            f"(global.set $function (i32.const {number}))",
            "(global.set $set (call $set-new))",
        ]
        forwarded = self.is_forwarded(call)
        if ty.result is not None:
            # Of the giver comes a list.
            of = _LIST if forwarded else types.layout(ty.result)
            lines.append(f"(global.set $result {allocated(of)})")
        given: list[str] = []
        if forwarded:
            given = ["(local.get $at)", "(local.get $count)"]
        elif ty.parameters:
            lines.append("(local.set $arguments (local.get $at))")
            of_guest = TupleOf(tuple(of for _, of in ty.parameters))
            if call.given:
                index = types.add(of_guest)
                of = types.layouts[index]
                lines += [
                    f"(local.set $arguments {allocated(of)})",
                    f"(call {self.converters.of(index)} (local.get $at) (local.get $arguments))",
                ]
            if self.flat_arguments(call) is None:
                given = ["(local.get $arguments)"]
            else:
                layouts = [types.layout(of) for _, of in ty.parameters]
                for place, (_, param) in zip(places(layouts), ty.parameters, strict=True):
                    given += self.arguments.loads(param, place)
        at_once = self.returned_at_once(call)
        if ty.result is not None and at_once is None:
            given.append("(global.get $result)")
        called = f"(call $call{number} {' '.join(given)})"
        if at_once is not None and ty.result is not None:
            store = _STORES.get((at_once, types.layout(ty.result).size), f"{at_once}.store")
            called = f"({store} (global.get $result) {called})"
        if not ty.is_async and not forwarded:
            lines.append(called)
            called = "(i32.const 2)"
        lines.append(f"(call $begun {called}))")
        yield "\n  ".join(lines)

    def conversion(self, call: Call) -> str:
        """What is made of the result of a call, in the taker."""
        types, result = self.types, call.type.result
        if result is None:
            return ""
        source = "(i32.load (global.get $result))" if call.given else "(global.get $result)"
        if not types.is_copied(result):
            return f"(global.set $result {source})"
        of = types.layout(types.carried(result))
        return f"""(local.set $from {source})
    (global.set $result {allocated(of)})
    (call {self.converters.of(result)} (local.get $from) (global.get $result))"""


def _signature(params: Sequence[str], results: Sequence[str]) -> str:
    taken = f"(param {' '.join(params)})" if params else ""
    return taken + (f" (result {' '.join(results)})" if results else "")


def _by_function(name: str, branches: Sequence[str], numbers: Sequence[int]) -> str:
    cases = "\n".join(
        f"(if (i32.eq (global.get $function) (i32.const {number})) (then {branch}))"
        for number, branch in zip(numbers, branches, strict=True)
    )
    return f"(func ${name} (local $from i32)\n{cases})"


def calls_text(types: Sequence[TypeDefinition], calls: Sequence[Call]) -> tuple[str, list[str]]:
    """The components for the functions of one guest, as one component in text form, and the names of types.

    In it are, in this order, one that exports all types that need names, the giver, and the taker. The latter two
    import these types, and `f0`, `f1` and so on, and export them in their own form.
    """
    known = Types(list(types))
    for call in calls:
        for _, ty in call.type.parameters:
            known.carried(ty)
        if call.type.result is not None:
            known.carried(call.type.result)
    numbered = list(enumerate(calls))
    giver = _Side(known, [each for each in numbered if each[1].given], gives=True)
    taker = _Side(known, numbered, gives=False)
    components = f"{giver.text()}\n{taker.text()}"
    named = "\n".join(known.lines("x", EXPORTED))
    return f"(component\n(component\n{named})\n{components})", known.named
