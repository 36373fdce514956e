"""The adapter of an interface whose functions are asynchronous or have streams, made from the text of its types.

Each function asks the host by a plain one of its name, which takes the number of a sleeper too:

- for an `async func`, the host says whether it is done. If it is not, the task sleeps. Then `NAME-result` has
  what the task returns;
- for one that gives bytes or takes them, the host gives the number of a channel. What comes of it is told by
  `ended` when the sleeper is woken;
- for one that gives a stream of something else, the host gets a second sleeper, or only that one where nothing
  is told. It is woken when `elements` has some, or none at the end; `more` asks for the next, `stop` for no
  more.

Where a function has as many parameters as can be, `begin` tells the host the sleeper before. Plain functions of
the interface are the host's own; of those that depend on what the guest has let go of, such as the address of a
socket whose stream it has dropped, the host is told that first.

A resource that a call has lent is let go of as soon as the host has heard of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import cached_property, partial
from typing import Final, NamedTuple

from gateway.wasm.canonical_abi import MAX_FLAT_PARAMETERS, Flat, joined_flat
from gateway.wasm.wasip3.assembly import NEXT, core, lift, read
from gateway.wasm.wasip3.call_arguments import Arguments
from gateway.wasm.wasip3.ends import Ends
from gateway.wasm.wasip3.text_types import TextTypes, Type, as_text, words

__all__ = ["FAMILIES", "Family"]

_STRINGS: Final = "(memory $memory) (realloc (core func $keep-string))"
_BYTES: Final = ["stream", "u8"]
_NO_ELEMENTS: Final = """
(func $have-more (param i32) unreachable) (func $taken (param i32 i32) unreachable)
"""
_TAGGED: Final = "(call $tagged (local.get $sleeper))"
_PROMISE: Final = "(call $promise (local.get $sleeper))"
_OF_ELEMENTS: Final = """
(import "host" "elements" (func $host-elements (param i32 i32)))
(import "host" "more" (func $host-more (param i32)))
(import "host" "stop" (func $host-stop (param i32)))
(import "elements" "new" (func $elements-new (result i64)))
(import "elements" "write" (func $elements-write (param i32 i32 i32) (result i32)))
(import "elements" "drop-writable" (func $elements-drop-writable (param i32)))"""
_FIRST: Final = 1024
_ROOM: Final = 196608 - _FIRST
"""Where arguments and results are, and how many bytes there are for them (`family-memory.wat`)."""
_WAITS: Final = (
    'async (callback (core func $core "awake")) (memory $memory) (realloc (core func $keep-string))'
)


class _Function(NamedTuple):
    """A function of the interface.

    Attributes:
        name: its name in WIT.
        is_async: whether it is an `async func`.
        params: its parameters.
        result: what it returns; None for nothing.
    """

    name: str
    is_async: bool
    params: list[tuple[str, Type]]
    result: Type | None

    @property
    def local(self) -> str:
        """What it is called here: its name, with that of its resource after it."""
        resource, dot, name = self.name.rpartition("]")[2].partition(".")
        return f"{name}-of-{resource}" if dot else resource

    @property
    def is_plain(self) -> bool:
        """Whether it is one that a host can have."""
        text = as_text([*(ty for _, ty in self.params), self.result or []])
        return not self.is_async and "(stream " not in text and "(future " not in text

    @property
    def elements(self) -> Type | None:
        """What it gives a stream of, if that is no stream of bytes."""
        if self.is_async or self.result is None or self.result[0] not in {"tuple", "result"}:
            return None
        gives = self.result[1]
        return gives[1] if gives[0] == "stream" and gives != _BYTES else None

    @property
    def plain_params(self) -> list[tuple[str, Type]]:
        """Those of its parameters that are no streams of bytes."""
        return [(name, ty) for name, ty in self.params if ty != _BYTES]


def _signature(params: list[tuple[str, Type]], result: Type | None) -> str:
    given = " ".join(f'(param "{name}" {as_text(ty)})' for name, ty in params)
    return given if result is None else f"{given} (result {as_text(result)})"


def _own(signature: str) -> str:
    """The same with the types that the adapter exports."""
    return re.sub(r"\$([a-z-]+)", r"$e.\1", signature)


class Family:
    """The adapter of one interface.

    Args:
        interface: the interface.
        host: the name of the interface that it asks the host by.
        text: gives the text of its types and functions. Names of types, and of functions that are not plain, have
            no digits and no capitals.
        tag: what marks its sleepers, from 1 to 127.
        after_drops: the plain functions that depend on what the guest has let go of. They return a `result` with a
            payload.
        ends: what the streams and futures in the types of its functions are called, where the host has the
            elements of any (`gateway.wasm.wasip3.ends`), and each such function is one that may wait.
    """

    def __init__(
        self,
        interface: str,
        host: str,
        text: Callable[[], str],
        tag: int,
        *,
        after_drops: Collection[str] = (),
        ends: Sequence[str] = (),
    ) -> None:
        self.interface = interface
        self.host = host
        self.tag = tag
        self._text = text
        self._after_drops = after_drops
        self._texts = ends

    @cached_property
    def functions(self) -> list[_Function]:
        """The functions that it has: those of the interface that no host can have."""
        return [each for each in self._all if not self._is_plain(each)]

    def _is_plain(self, function: _Function) -> bool:
        """Whether it is one that a host can have."""
        return function.is_plain and not (self._texts and self._goes_on(function))

    def _goes_on(self, function: _Function) -> bool:
        """Whether it takes or gives streams or futures that the host has the elements of."""
        given = [ty for _, ty in function.params]
        return any(map(self._is_end, [*given, function.result or []]))

    def _is_end(self, ty: Type) -> bool:
        """Whether something is, or has in it, a stream or a future of which the host has a number."""
        return bool(ty and self._texts) and self.text_types.types.is_copied(self.text_types.of(ty))

    @cached_property
    def ends(self) -> Ends:
        """Its streams and futures."""
        return Ends(self._texts, self.text_types, self._hosted, _own, self.tag)

    def _hosted(self, ty: Type) -> str:
        """The text of what the host has for a type."""
        if not self._texts:
            return as_text(ty)
        if isinstance(ty, str):
            return ty
        if ty[0] in {"stream", "future"}:
            return "u32"
        return f"({' '.join(map(self._hosted, ty))})"

    @cached_property
    def _all(self) -> list[_Function]:
        found: list[_Function] = []
        for item in words(self._text()):
            if item[0] == "export" and item[2][0] == "func":
                params = [(part[1].strip('"'), part[2]) for part in item[2] if part[0] == "param"]
                result = next((part[1] for part in item[2] if part[0] == "result"), None)
                found.append(_Function(item[1].strip('"'), "async" in item[2], params, result))
        return found

    @property
    def _passed(self) -> list[_Function]:
        """The plain functions that it passes on."""
        return [each for each in self._all if each.name in self._after_drops]

    @property
    def tasks(self) -> list[_Function]:
        """Those of them that are asynchronous."""
        return [each for each in self.functions if each.is_async]

    @cached_property
    def types(self) -> str:
        """The text of its types."""
        return re.split(r'\(export "[^"]+" \(func', self._text(), maxsplit=1)[0]

    @cached_property
    def plain(self) -> str:
        """The text of the interface as the host has it."""
        functions = (
            f'(export "{each.name}" (func {_signature(each.params, each.result)}))'
            for each in self._all
            if self._is_plain(each)
        )
        return "\n".join((self.types, *functions))

    @cached_property
    def text_types(self) -> TextTypes:
        """Its types."""
        return TextTypes(self.types)

    @property
    def crowded(self) -> frozenset[str]:
        """The functions whose parameters leave no room for a sleeper, as they are called here."""
        return frozenset(each.local for each in self.functions if self._is_crowded(each))

    def _is_crowded(self, function: _Function) -> bool:
        flat = self._flat(function)
        return flat is None or len(flat) >= MAX_FLAT_PARAMETERS

    def _flat(self, function: _Function) -> Flat:
        """The core values of what the host is given; None where that lies in memory."""
        return joined_flat([self.text_types.layout(ty) for _, ty in self._told(function)])

    def _told(self, function: _Function) -> list[tuple[str, Type]]:
        """Those of its parameters that the host is given."""
        return function.params if self._texts else function.plain_params

    @cached_property
    def _elements(self) -> Type | None:
        found = (self._offers(each) for each in self.functions)
        return next((each for each in found if each is not None), None)

    @cached_property
    def names(self) -> list[tuple[str, str]]:
        """The types that it exports, and what they are called in the text."""
        return re.findall(r'\(export "([^"]+)" \(type \$([a-z-]+) \(', self.types)

    @property
    def host_names(self) -> list[str]:
        """Those of its types that the host has as they are, by their names."""
        return [name for name, local in self.names if not self._is_end(f"${local}")]

    def text(self) -> str:
        """The adapter, after the types of what it imports: the interface without functions, and the host's."""
        return f"""(component
(type (instance {self.plain}))
(import "types" (instance $types {self.plain}))
{self._aliases("types")}
(type (instance {self._host()}))
{self._component()}
{self.ends.writer(self._imports(), self._exports())}
)"""

    def _imports(self) -> str:
        return f"""(import "types" (instance $types {self.plain}))
{self._aliases("types")}
(import "host" (instance $host {self._host()}))"""

    def _exports(self) -> str:
        return "\n".join(
            f'(export $e.{local} "{name}" (type ${local}))' for name, local in self.names
        )

    def _aliases(self, home: str) -> str:
        return "\n".join(
            f'(alias export ${home} "{name}" (type ${local}))' for name, local in self.names
        )

    def _host(self) -> str:
        """What it asks the host for."""
        lines: list[str] = []
        for name, local in self.names:
            if self._is_end(f"${local}"):  # it has numbers for them
                lines.append(f"(type ${local}' {self._hosted(self.text_types.body(local))})")
            else:
                lines.append(f"(alias outer 1 ${local} (type ${local}'))")
            lines.append(f'(export "{name}" (type ${local} (eq ${local}\')))')
        fails = "(result (result (error $error-code)))"
        asked = {"cancel": "", "ended": fails}
        if self._elements is not None:
            given = as_text(["list", self._elements])
            asked |= {"more": "", "stop": "", "elements": f"(result {given})"}
        if any(map(self._is_crowded, self.functions)):
            asked["begin"] = ""
        lines += [
            f'(export "{name}" (func (param "sleeper" u32) {result}))'
            for name, result in asked.items()
        ]
        for each in self.functions:
            params = [
                f'(param "p{at}" {self._hosted(ty)})' for at, (_, ty) in enumerate(self._told(each))
            ]
            if self._waits(each) or each.result is None or each.result[0] != "result":
                params += ['(param "sleeper" u32)'] * (not self._is_crowded(each))
            elements = self._offers(each)
            if elements is not None:
                params.append('(param "second" u32)')
            result = "(result bool)" if self._waits(each) else "(result u32)"
            if elements is not None and each.result is not None:
                result = fails if each.result[0] == "result" else ""
            lines.append(f'(export "{each.local}" (func {" ".join(params)} {result}))')
            if self._waits(each):
                returned = "" if each.result is None else f"(result {self._hosted(each.result)})"
                lines.append(
                    f'(export "{each.local}-result" (func (param "sleeper" u32) {returned}))'
                )
        return "\n".join((*lines, *self.ends.host()))

    def _waits(self, function: _Function) -> bool:
        """Whether the host begins it, and has its result later."""
        return function.is_async or bool(self._texts)

    def _offers(self, function: _Function) -> Type | None:
        """What it gives a stream of, in elements that the host has, without an end of its own."""
        return None if self._texts else function.elements

    def _component(self) -> str:
        returned = [
            f"(alias outer 0 {each.result} (type $r.{each.local}))"
            if str(each.result).startswith("$")
            else f"(type $r.{each.local} {as_text(each.result)})"
            for each in self.tasks
            if each.result is not None
        ]
        given = {
            "host.ended": _STRINGS,
            "host.elements": _STRINGS,
            **{f"host.{each.local}": _STRINGS for each in self.functions},
            **{f"host.{each.local}-result": _STRINGS for each in self.functions},
            **{f"types.{each.local}": _STRINGS for each in self._passed},
            **self.ends.given,
        }
        elements = "u8" if self._elements is None else as_text(self._elements)
        given_stream = f"(stream {_own(elements)})"
        lifted = [
            lift(
                each.name,
                each.local,
                ("async " if each.is_async else "")
                + _own(_signature(each.params, each.result)).replace(given_stream, "$e.elements"),
                _WAITS if each.is_async else _STRINGS,
            )
            for each in (*self.functions, *self._passed)
        ]
        again = [
            f"""(alias export $types "{each.name}" (func $p.{each.local}))
(export "{each.name}" (func $p.{each.local}) (func {_own(_signature(each.params, each.result))}))"""
            for each in self._all
            if self._is_plain(each) and each not in self._passed
        ]
        again += (
            f'(alias export $types "{each.name}" (func $types.{each.local}))'
            for each in self._passed
        )
        return f"""(component
{self._imports()}
{self.ends.types()}
{self.ends.imported()}
(import "sources" (instance $sources
  (export "receive-bytes" (func (param "channel" u32) (result (stream u8))))))
(import "adapter" (instance $adapter (export "sink" (func (param "channel" u32) (param "data" (stream u8))))))
{NEXT}
{self._exports()}
{read("family-memory")}
(type $signal (future))
(type $result (future (result (error $error-code))))
(type $elements (stream {elements}))
(type $e.elements {given_stream})
{chr(10).join((*returned, *again))}
{core(self._core(), given)}
{chr(10).join(lifted)}
{lift("serve", "serve", '(param "what" u32)')}
{lift("turn", "turn", "(result bool)")}
)"""

    def _core(self) -> str:
        arguments = Arguments(self.text_types.types)
        written = [self._function(each, arguments) for each in self.functions]
        written += map(self._passed_on, self._passed)
        imports, functions = zip(*written, strict=True)
        own_functions = (*self.functions, *self._passed)
        lent = sorted(
            {ty[1][1:] for each in own_functions for _, ty in each.params if ty[0] == "borrow"}
        )
        more = [f'(import "drop" "{each}" (func $drop-{each} (param i32)))' for each in lent]
        if any(map(self._is_crowded, self.functions)):
            more.append('(import "host" "begin" (func $host-begin (param i32)))')
        own = _NO_ELEMENTS
        if self._elements is not None:
            more.append(_OF_ELEMENTS)
            own = read("elements").replace("SIZE", str(self.text_types.layout(self._elements).size))
        ends = " ".join(f"$end-{each.local}" for each in self.tasks)
        taken, reads = self.ends.reads()
        more.append(taken)
        own += f"(table funcref (elem $keep-promise $have-more {ends}))\n" + "\n".join(
            (*arguments.functions.values(), *functions, reads)
        )
        source = read("family").replace(";; IMPORTS", "\n".join((*more, *imports)))
        return source.replace(";; FUNCTIONS", own).replace("TAG", str(self.tag << 24))

    def _function(self, function: _Function, arguments: Arguments) -> tuple[str, str]:
        """What the core module imports for a function, and the function."""
        local = function.local
        params: list[str] = []
        plain: list[str] = []
        asked: list[str] = []
        lent: list[str] = []
        told = self._told(function)
        for name, ty in function.params:
            flat = self.text_types.flat(ty)
            params += (f"(param ${name}.{index} {each})" for index, each in enumerate(flat))
            if (name, ty) in told:
                plain += flat
                asked += (f"(local.get ${name}.{index})" for index in range(len(flat)))
            if ty[0] == "borrow":
                lent.append(f"(call $drop-{ty[1][1:]} (local.get ${name}.0))")
        if self._flat(function) is None:  # they lie in memory, as the host takes them
            params, plain, asked = ["(param $all i32)"], ["i32"], ["(local.get $all)"]
        crowded = self._is_crowded(function)
        into = " ".join(plain)
        take = "(local.set $sleeper (call $take-sleeper (i32.const {})))".format
        second = "(local.set $second (call $take-sleeper (i32.const 1)))"
        tagged = "(call $tagged (local.get $second))"
        given, drops = " ".join(asked), " ".join(lent)
        head = f'(func (export "{local}") {" ".join(params)} (result i32)'
        imported = f'(import "host" "{local}" (func $host-{local} (param {into}'
        gives = (function.result or [""])[0]
        elements = self._offers(function)
        if elements is not None and gives == "result":
            code = f"""{head} (local $second i32) {second}
(call $host-{local} {given} {tagged} (i32.const 64)) {drops} (call $reset)
(if (i32.load8_u (i32.const 64)) (then (call $let-go (local.get $second)) (return (i32.const 64))))
(i32.store (i32.const 68) (call $offer (local.get $second))) (i32.const 64))"""
            return f"{imported} i32 i32)))", code
        if elements is not None:
            code = f"""{head} (local $sleeper i32) (local $second i32) {take(0)} {second}
(call $host-{local} {given} {_TAGGED} {tagged}) {drops}
(call $give (call $offer (local.get $second)) {_PROMISE}))"""
            return f"{imported} i32 i32)))", code
        then, number, more, end = 0, "channel", "", ""
        if function.is_async:
            then, number = 2 + self.tasks.index(function), "done"
            more, end = self._task(function, arguments)
            returned = "(call $sleep (local.get $sleeper) (local.get $done))"
        elif self._texts:
            number = "done"
            more, returned, result = self._at_once(function)
            head = head.replace("(result i32)", result)
        elif gives == "tuple":
            returned = f"(call $give (call $receive-bytes (local.get $channel)) {_PROMISE})"
        else:
            returned = f"(call $sink (local.get $channel) (local.get $data.0)) {_PROMISE}"
        before = f"(call $host-begin {_TAGGED})" if crowded else ""
        sleeper = "" if crowded else _TAGGED
        code = f"""{head} (local $sleeper i32) (local ${number} i32) {take(then)} {before}
(local.set ${number} (call $host-{local} {given} {sleeper})) {drops} (call $reset)
{returned})
{end}"""
        last = "" if crowded else " i32"
        return f"{imported}{last}) (result i32)))\n{more}", code

    def _passed_on(self, function: _Function) -> tuple[str, str]:
        """The same of a plain function, whose parameters and result lie in no memory but for the result."""
        local = function.local
        flat = [
            (f"${name}.{index}", each)
            for name, ty in function.params
            for index, each in enumerate(self.text_types.flat(ty))
        ]
        given = " ".join(f"(local.get {name})" for name, _ in flat)
        lent = (
            f"(call $drop-{ty[1][1:]} (local.get ${name}.0))"
            for name, ty in function.params
            if ty[0] == "borrow"
        )
        imported = f'(import "types" "{local}" (func ${local} (param {" ".join(each for _, each in flat)} i32)))'
        params = " ".join(f"(param {name} {each})" for name, each in flat)
        return (
            imported,
            f"""(func (export "{local}") {params} (result i32)
(drop (call $turn)) (call ${local} {given} (i32.const 64)) {" ".join(lent)} (call $reset) (i32.const 64))""",
        )

    def _at_once(self, function: _Function) -> tuple[str, str, str]:
        """How what is no task returns what came: what is imported for that, the code, and its result's type."""
        local = function.local
        go = "(call $let-go (local.get $sleeper))"
        imported = f'(import "host" "{local}-result" (func $host-{local}-result (param i32'
        have = self._have(function)
        if function.result is None:
            return f"{imported})))", f"(call $host-{local}-result {_TAGGED}) {go}", ""
        layout = self.text_types.layout(function.result)
        if layout.flat is not None and len(layout.flat) == 1:
            (flat,) = self.text_types.flat(function.result)
            returned = f"{have} (call $host-{local}-result {_TAGGED}) {go}"
            return f"{imported}) (result {flat})))", returned, f"(result {flat})"
        returned = f"""{have} (global.set $top (i32.const {_FIRST + layout.size}))
(call $host-{local}-result {_TAGGED} (i32.const {_FIRST})) {go} (i32.const {_FIRST})"""
        if layout.size > _ROOM:
            returned = "unreachable"
        return f"{imported} i32)))", returned, "(result i32)"

    def _have(self, function: _Function) -> str:
        """What makes the ends that a result has in it."""
        ends = function.result is not None and self._is_end(function.result)
        return "(call $have-ends (local.get $sleeper))" if ends else ""

    def _task(self, function: _Function, arguments: Arguments) -> tuple[str, str]:
        """How a task returns what an `async func` does: what is imported for that, and the function that does."""
        local = function.local
        if function.result is None:
            imports = f"""(import "done" "{local}" (func $task-return-{local}))
(import "host" "{local}-result" (func $host-{local}-result (param i32)))"""
            end = f"(call $host-{local}-result {_TAGGED}) (call $task-return-{local})"
            return imports, f"(func $end-{local} (param $sleeper i32) {end})"
        layout = self.text_types.layout(function.result)
        have = self._have(function)
        if layout.flat is None:
            imports = f"""(import "return" "{local}" (func $task-return-{local} (param i32)))
(import "host" "{local}-result" (func $host-{local}-result (param i32 i32)))"""
            end = f"""{have} (global.set $top (i32.const {_FIRST + layout.size}))
(call $host-{local}-result {_TAGGED} (i32.const {_FIRST})) (call $task-return-{local} (i32.const {_FIRST}))"""
            if layout.size > _ROOM:
                end = "(unreachable)"
            return imports, f"(func $end-{local} (param $sleeper i32) {end})"
        flat = self.text_types.flat(function.result)
        result = f'(import "host" "{local}-result" (func $host-{local}-result (param i32'
        imports = f"""(import "return" "{local}" (func $task-return-{local} (param {" ".join(flat)})))
{result}) (result i32)))"""
        end = f"(call $task-return-{local} (call $host-{local}-result {_TAGGED}))"
        returns = ""
        if len(flat) > 1:
            imports = imports.replace(") (result i32)))", " i32)))")
            end = f"(call $host-{local}-result {_TAGGED} (i32.const 64)) (call $return-{local} (i32.const 64))"
            returns = arguments.returning(local, self.text_types.of(function.result))
        return imports, f"(func $end-{local} (param $sleeper i32) {have} {end})\n{returns}"


FAMILIES: Final = (
    Family("wasi:filesystem/types", "gateway:wasi/filesystem", partial(read, "filesystem"), tag=1),
    Family(
        "wasi:sockets/types",
        "gateway:wasi/sockets",
        partial(read, "sockets"),
        tag=2,
        after_drops=("[method]tcp-socket.bind",),
    ),
    Family(
        "wasi:sockets/ip-name-lookup",
        "gateway:wasi/ip-name-lookup",
        partial(read, "ip-name-lookup"),
        tag=3,
    ),
)
"""Those of WASI."""
