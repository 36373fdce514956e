"""The adapter of an interface whose functions are asynchronous or have streams, made from the text of its types.

Each function asks the host by a plain one of its name, which takes the number of a sleeper too:

- for an `async func`, the host says whether it is done. If it is not, the task sleeps. Then `NAME-result` has
  what the task returns;
- for one that gives bytes or takes them, the host gives the number of a channel. What comes of it is told by
  `ended` when the sleeper is woken;
- for one that gives a stream of something else, the host gets two sleepers. The second is woken when `elements`
  has some, or none at the end; `more` asks for the next, `stop` for no more.

A resource that a call has lent is let go of as soon as the host has heard of it.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final, NamedTuple

from gateway.wasm.wasip3.assembly import NEXT, core, lift, read
from gateway.wasm.wasip3.returns import Layout, Type, as_text, read_types, returning, words

__all__ = ["FAMILIES", "Family"]

_STRINGS: Final = "(memory $memory) (realloc (core func $keep-string))"
_BYTES: Final = ["stream", "u8"]
_TAGGED: Final = "(call $tagged (local.get $sleeper))"
_PROMISE: Final = "(call $promise (local.get $sleeper))"
_OF_ELEMENTS: Final = """
(import "host" "elements" (func $host-elements (param i32 i32)))
(import "host" "more" (func $host-more (param i32)))
(import "host" "stop" (func $host-stop (param i32)))
(import "elements" "new" (func $elements-new (result i64)))
(import "elements" "write" (func $elements-write (param i32 i32 i32) (result i32)))
(import "elements" "drop-writable" (func $elements-drop-writable (param i32)))"""
_WAITS: Final = (
    'async (callback (core func $core "awake")) (memory $memory) (realloc (core func $keep-string))'
)


class _Function(NamedTuple):
    """A function of the interface.

    Attributes:
        name: its name in WIT.
        is_async: whether it is an `async func`.
        params: its parameters.
        result: what it returns.
    """

    name: str
    is_async: bool
    params: list[tuple[str, Type]]
    result: Type

    @property
    def local(self) -> str:
        """Its name without that of its resource."""
        return self.name.rpartition(".")[2]

    @property
    def elements(self) -> Type | None:
        """What it gives a stream of, if that is no stream of bytes."""
        gives = self.result[1] if self.result[0] == "tuple" else _BYTES
        return None if gives == _BYTES else gives[1]

    @property
    def asked(self) -> list[tuple[str, Type]]:
        """The parameters by which the host is asked for it."""
        asked = [(name, ty) for name, ty in self.params if ty != _BYTES]
        sleepers = ("sleeper",) if self.elements is None else ("sleeper", "second")
        return [*asked, *((each, "u32") for each in sleepers)]


def _signature(params: list[tuple[str, Type]], result: Type | None) -> str:
    given = " ".join(f'(param "{name}" {as_text(ty)})' for name, ty in params)
    return given if result is None else f"{given} (result {as_text(result)})"


class Family:
    """The adapter of one interface.

    Args:
        interface: the interface.
        host: the name of the interface that it asks the host by.
        text: the name of the text of its types and functions.
        tag: what marks its sleepers, from 1 on.
    """

    def __init__(self, interface: str, host: str, text: str, tag: int) -> None:
        self.interface = interface
        self.host = host
        self._text = text
        self._tag = tag

    @cached_property
    def functions(self) -> list[_Function]:
        """The functions that it has, which are all of the interface."""
        found: list[_Function] = []
        for item in words(read(self._text)):
            if item[0] == "export" and item[2][0] == "func":
                params = [(part[1].strip('"'), part[2]) for part in item[2] if part[0] == "param"]
                (result,) = [part[1] for part in item[2] if part[0] == "result"]
                found.append(_Function(item[1].strip('"'), "async" in item[2], params, result))
        return found

    @property
    def tasks(self) -> list[_Function]:
        """Those of them that are asynchronous."""
        return [each for each in self.functions if each.is_async]

    @cached_property
    def types(self) -> str:
        """The text of its types."""
        return read(self._text).partition('(export "[')[0]

    @cached_property
    def names(self) -> list[tuple[str, str]]:
        """The types that it exports, and what they are called in the text."""
        return re.findall(r'\(export "([^"]+)" \(type \$([a-z-]+) \(', self.types)

    def text(self) -> str:
        """The adapter, after the types of what it imports: the interface without functions, and the host's."""
        return f"""(component
(type (instance {self.types}))
(import "types" (instance $types {self.types}))
{self._aliases("types")}
(type (instance {self._host()}))
{self._component()}
)"""

    def _aliases(self, home: str) -> str:
        return "\n".join(
            f'(alias export ${home} "{name}" (type ${local}))' for name, local in self.names
        )

    def _host(self) -> str:
        """What it asks the host for."""
        lines = [f"(alias outer 1 ${local} (type ${local}'))" for _, local in self.names]
        lines += [
            f'(export "{name}" (type ${local} (eq ${local}\')))' for name, local in self.names
        ]
        ended = "(result (result (error $error-code)))"
        asked = [("cancel", ""), ("ended", ended), ("more", ""), ("stop", "")]
        lines += [
            f'(export "{name}" (func (param "sleeper" u32) {result}))' for name, result in asked
        ]
        for each in self.functions:
            result = "bool" if each.is_async else "u32" if each.elements is None else None
            lines.append(f'(export "{each.local}" (func {_signature(each.asked, result)}))')
            if each.is_async:
                result = as_text(each.result)
                lines.append(
                    f'(export "{each.local}-result" (func (param "sleeper" u32) (result {result})))'
                )
            elif each.elements is not None:
                result = as_text(["list", each.elements])
                lines.append(f'(export "elements" (func (param "sleeper" u32) (result {result})))')
        return "\n".join(lines)

    def _component(self) -> str:
        elements = next(each.elements for each in self.functions if each.elements is not None)
        exported = [f'(export $e.{local} "{name}" (type ${local}))' for name, local in self.names]
        returned = [f"(type $r.{each.local} {as_text(each.result)})" for each in self.tasks]
        given = {
            "host.ended": _STRINGS,
            "host.elements": _STRINGS,
            **{f"host.{each.local}": "(memory $memory)" for each in self.functions},
            **{f"host.{each.local}-result": _STRINGS for each in self.functions},
        }
        lifted = [
            lift(
                each.name,
                each.local,
                re.sub(
                    r"\$([a-z-]+)",
                    r"$e.\1",
                    ("async " if each.is_async else "") + _signature(each.params, each.result),
                ),
                _WAITS if each.is_async else _STRINGS,
            )
            for each in self.functions
        ]
        return f"""(component
(import "types" (instance $types {self.types}))
{self._aliases("types")}
(import "host" (instance $host {self._host()}))
(import "sources" (instance $sources
  (export "receive-bytes" (func (param "channel" u32) (result (stream u8))))))
(import "adapter" (instance $adapter (export "sink" (func (param "channel" u32) (param "data" (stream u8))))))
{NEXT}
{chr(10).join(exported)}
{read("family-memory")}
(type $signal (future))
(type $result (future (result (error $error-code))))
(type $elements (stream {as_text(elements)}))
{chr(10).join(returned)}
{core(self._core(elements), given)}
{chr(10).join(lifted)}
{lift("serve", "serve", '(param "what" u32)')}
{lift("turn", "turn", "(result bool)")}
)"""

    def _core(self, elements: Type) -> str:
        layout = Layout(read_types(self.types))
        imports, functions = zip(
            *(self._function(each, layout) for each in self.functions), strict=True
        )
        lent = {ty[1][1:] for each in self.functions for _, ty in each.params if ty[0] == "borrow"}
        drops = (f'(import "drop" "{each}" (func $drop-{each} (param i32)))' for each in lent)
        more = "\n".join((_OF_ELEMENTS, *drops, *imports))
        ends = " ".join(f"$end-{each.local}" for each in self.tasks)
        table = f"(table funcref (elem $keep-promise $have-more {ends}))"
        size = str(layout.size(elements)[0])
        source = read("family").replace(";; IMPORTS", more)
        own = read("elements").replace("SIZE", size) + "\n".join((table, *functions))
        return source.replace(";; FUNCTIONS", own).replace("TAG", str(self._tag << 24))

    def _function(self, function: _Function, layout: Layout) -> tuple[str, str]:
        """What the core module imports for a function, and the function."""
        local = function.local
        params: list[str] = []
        plain: list[str] = []
        asked: list[str] = []
        lent: list[str] = []
        for name, ty in function.params:
            flat = layout.flat(ty)
            params += (f"(param ${name}.{index} {each})" for index, each in enumerate(flat))
            if ty != _BYTES:
                plain += flat
                asked += (f"(local.get ${name}.{index})" for index in range(len(flat)))
            if ty[0] == "borrow":
                lent.append(f"(call $drop-{ty[1][1:]} (local.get ${name}.0))")
        imported = f'(import "host" "{local}" (func $host-{local} (param {" ".join(plain)} i32'
        call = f"(call $host-{local} {' '.join(asked)} {_TAGGED}"
        take = "(local.set $sleeper (call $take-sleeper (i32.const {})))".format
        head = f'(func (export "{local}") {" ".join(params)} (result i32)'
        then, number, end = 0, "channel", ""
        if function.is_async:
            then, number = 2 + self.tasks.index(function), "done"
            more, end = self._task(function, layout)
            returned = "(call $sleep (local.get $sleeper) (local.get $done))"
        elif function.elements is not None:
            code = f"""{head} (local $sleeper i32) (local $second i32)
{take(0)} (local.set $second (call $take-sleeper (i32.const 1)))
{call} (call $tagged (local.get $second))) {" ".join(lent)}
(call $give (call $offer (local.get $second)) {_PROMISE}))"""
            return f"{imported} i32)))", code
        elif function.result[0] == "tuple":
            more = ""
            returned = f"(call $give (call $receive-bytes (local.get $channel)) {_PROMISE})"
        else:
            more = ""
            returned = f"(call $sink (local.get $channel) (local.get $data.0)) {_PROMISE}"
        code = f"""{head} (local $sleeper i32) (local ${number} i32)
{take(then)} (local.set ${number} {call})) {" ".join(lent)} (call $reset)
{returned})
{end}"""
        return f"{imported}) (result i32)))\n{more}", code

    @staticmethod
    def _task(function: _Function, layout: Layout) -> tuple[str, str]:
        """How a task returns what an `async func` does: what is imported for that, and the function that does."""
        local = function.local
        flat = layout.flat(function.result)
        result = f'(import "host" "{local}-result" (func $host-{local}-result (param i32'
        imports = f"""(import "return" "{local}" (func $task-return-{local} (param {" ".join(flat)})))
{result}) (result i32)))"""
        end = f"(call $task-return-{local} (call $host-{local}-result {_TAGGED}))"
        returns = ""
        if len(flat) > 1:
            imports = imports.replace(") (result i32)))", " i32)))")
            end = f"(call $host-{local}-result {_TAGGED} (i32.const 64)) (call $return-{local} (i32.const 64))"
            returns = returning(local, as_text(function.result), layout.types)
        return imports, f"(func $end-{local} (param $sleeper i32) {end})\n{returns}"


FAMILIES: Final = (Family("wasi:filesystem/types", "gateway:wasi/filesystem", "filesystem", tag=1),)
"""All of them."""
