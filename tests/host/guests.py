"""Small guests in WebAssembly text, and the ways to call them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.host import wit
from gateway.host.binding import HostInterface, Provided
from gateway.host.component import Component, Source
from gateway.host.engine import Engine
from gateway.host.invocation import Invocation
from gateway.host.linker import LinkedComponent, link

API = "test:host/api"
"""The interface that the guests import."""

MEMORY = """
  (core module $memory
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 64))
    ;; Takes the next bytes at the end, and more pages where they do not reach; nothing is ever freed.
    (func (export "realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at
        (i32.and
          (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
          (i32.sub (i32.const 0) (local.get $align))))
      (global.set $top (i32.add (local.get $at) (local.get $size)))
      (block $enough
        (br_if $enough (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
        (br_if $enough
          (i32.ge_s
            (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $size) (i32.const 16))))
            (i32.const 0)))
        unreachable)
      (local.get $at)))
  (core instance $memory (instantiate $memory))
"""
"""A core instance `$memory` with a memory and a `realloc`, for components that pass values through."""


def guest(body: str, *functions: str, module: str = "", result: str = "") -> str:
    """A component that exports `run`, made of core instructions.

    Args:
        body: the instructions.
        functions: the functions of `API`, `func()` all of them, that they can call as `$name`.
        module: more fields of the core module.
        result: the type of `run`'s result, one that is an `i32` in core code.
    """
    exports = " ".join(f'(export "{name}" (func))' for name in functions)
    lowered = " ".join(
        f'(core func ${name} (canon lower (func $api "{name}")))' for name in functions
    )
    imports = " ".join(f'(import "" "{name}" (func ${name}))' for name in functions)
    given = " ".join(f'(export "{name}" (func ${name}))' for name in functions)
    return f"""
      (component
        (import "{API}" (instance $api {exports}))
        {lowered}
        (core module $m
          {imports}
          {module}
          (func (export "run") {"(result i32)" if result else ""} {body}))
        (core instance $i (instantiate $m (with "" (instance {given}))))
        (func (export "run") {f"(result {result})" if result else ""}
          (canon lift (core func $i "run"))))
    """


SPIN = "(loop $forever (br $forever))"

FILL = guest(
    "(memory.fill (i32.const 0) (i32.const 1) (i32.const 0xfff0000))" * 16, module="(memory 4096)"
)
"""A guest that is not pre-empted: the engine does not look for ticks inside of bulk operations."""


def host(**functions: Callable[..., Any]) -> HostInterface:
    """An `API` of these functions; every one may block."""
    interface = HostInterface(API, None)
    for name, function in functions.items():
        interface.function(name.replace("_", "-"), blocking=True)(function)
    return interface


def load_component(
    engine: Engine, text: str, folder: Path, *provided: HostInterface, in_blocks: bool = False
) -> LinkedComponent:
    """Compile and link a component of this text, with bytes that cross in blocks, or as values."""
    with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".wat") as file:
        file.write(text)
        file.flush()
        source = Source(Path(file.name), bridge=(lambda _name: True) if in_blocks else None)
    return link(Component(engine, source, name="guest"), Provided(provided))


def invocation(
    linked: LinkedComponent,
    *args: Any,
    function: str = "run",
    data: Any = None,
    max_memory: int = 64 << 20,
    max_execution_time: float = 120.0,
) -> Invocation:
    """A call of `run`, with time enough that nothing but a mistake uses it up."""
    return Invocation(
        linked.export(function),
        args,
        data,
        max_memory=max_memory,
        max_execution_time=max_execution_time,
    )


async def call(linked: LinkedComponent, *args: Any, **options: Any) -> Any:
    """The result of a call."""
    return await invocation(linked, *args, **options).call()


def call_now(linked: LinkedComponent, *args: Any, **options: Any) -> Any:
    """The result of a call whose host functions do not wait, outside of any event loop."""
    started = invocation(linked, *args, **options)
    return started.result if started.start() else asyncio.run(started.run())


def echo(ty: wit.Type) -> str:
    """A component whose `run: func(a: list<tuple<T>>) -> list<tuple<T>>` is the `f` that it imports.

    A list is an address and a length in core code, whatever its elements are, so the core module is always the
    same one; and the engine reads and writes every element in the guest's memory.
    """
    types = _Types()
    values = f"(list (tuple {types.reference(ty)}))"
    return f"""
      (component
        (import "{API}" (instance $api
          {types.definitions}
          (export "f" (func (param "a" {values}) (result {values})))))
        {types.aliases}
        {MEMORY}
        (core func $f (canon lower (func $api "f")
          (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
        (core module $m
          (import "" "f" (func $f (param i32 i32 i32)))
          (func (export "run") (param i32 i32) (result i32)
            (call $f (local.get 0) (local.get 1) (i32.const 8))
            (i32.const 8)))
        (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
        (func (export "run") (param "a" {values}) (result {values})
          (canon lift (core func $i "run")
            (memory (core memory $memory "memory")) (realloc (core func $memory "realloc")))))
    """


def delivering(ty: wit.Type) -> str:
    """A component whose `run` is the `f` that it imports, which gets values of a type and bytes beside them.

    Its type: `func(a: list<tuple<T>>, b: list<u8>) -> tuple<list<tuple<T>>, list<u8>, option<list<u8>>>`.
    """
    types = _Types()
    values = f"(list (tuple {types.reference(ty)}))"
    signature = f"""(param "a" {values}) (param "b" (list u8))
      (result (tuple {values} (list u8) (option (list u8))))"""
    return f"""
      (component
        (import "{API}" (instance $api {types.definitions} (export "f" (func {signature}))))
        {types.aliases}
        {MEMORY}
        (core module $m
          (import "" "f" (func $f (param i32 i32 i32 i32 i32)))
          (func (export "run") (param i32 i32 i32 i32) (result i32)
            (call $f (local.get 0) (local.get 1) (local.get 2) (local.get 3) (i32.const 8))
            (i32.const 8)))
        (core func $f (canon lower (func $api "f")
          (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
        (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
        (func (export "run") {signature}
          (canon lift (core func $i "run")
            (memory (core memory $memory "memory")) (realloc (core func $memory "realloc")))))
    """


class _Types:
    """Writes types as component text. Those that have a name in WIT become exports of the instance `$api`."""

    def __init__(self) -> None:
        self.definitions = ""
        self.aliases = ""
        self._named: dict[wit.Type, str] = {}

    def reference(self, ty: wit.Type) -> str:
        match ty:
            case wit.List():
                return f"(list {self.reference(ty.element)})"
            case wit.Tuple():
                return f"(tuple {' '.join(map(self.reference, ty.elements))})"
            case wit.Option():
                return f"(option {self.reference(ty.payload)})"
            case wit.Result():
                return f"(result {self._optional(ty.ok)} {self._optional(ty.err, 'error')})"
            case wit.Record() | wit.Variant() | wit.Enum() | wit.Flags():
                return self._name(ty)
            case _:
                return str(ty)

    def _optional(self, ty: wit.Type | None, keyword: str = "") -> str:
        if ty is None:
            return ""
        return f"({keyword} {self.reference(ty)})" if keyword else self.reference(ty)

    def _name(self, ty: wit.Record | wit.Variant | wit.Enum | wit.Flags) -> str:
        if ty in self._named:
            return self._named[ty]
        definition = self._definition(ty)
        name = f"t{len(self._named)}"
        self.definitions += f"""
          (type ${name}-definition {definition})
          (export "{name}" (type ${name} (eq ${name}-definition)))"""
        self.aliases += f'(alias export $api "{name}" (type ${name}))\n'
        self._named[ty] = f"${name}"
        return f"${name}"

    def _definition(self, ty: wit.Record | wit.Variant | wit.Enum | wit.Flags) -> str:
        match ty:
            case wit.Record():
                fields = (f'(field "{name}" {self.reference(of)})' for name, of in ty.fields)
                return f"(record {' '.join(fields)})"
            case wit.Variant():
                cases = (f'(case "{name}" {self._optional(of)})' for name, of in ty.cases)
                return f"(variant {' '.join(cases)})"
            case wit.Enum() | wit.Flags():
                keyword = "enum" if isinstance(ty, wit.Enum) else "flags"
                quoted = (f'"{name}"' for name in ty.names)
                return f"({keyword} {' '.join(quoted)})"
