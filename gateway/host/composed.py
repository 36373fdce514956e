"""Composes what is served in place of a component of WASI 0.3 (`gateway.wasm.wasip3`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Final

import wasmtime

from gateway.host import wit
from gateway.host.cache import CompileCache, compile_component
from gateway.host.compiler import Compiler
from gateway.host.engine import Engine
from gateway.host.exported_calls import calls_of
from gateway.host.imported_calls import imported_interfaces
from gateway.host.introspect import ComponentType, component_type
from gateway.wasm.binary import component_externs
from gateway.wasm.hollow import hollow
from gateway.wasm.wasip3 import Callers, Parts, calls_text, compose
from gateway.wasm.wasip3.imported import Imported

__all__ = ["Composed", "composed"]

_HANDLER: Final = "wasi:http/handler"

_OF_COMPONENTIZE_PY: Final = "exports"
"""The export of its components that nobody calls once they are built."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A component around another one.

    Attributes:
        binary: the component.
        exports: what the one inside exports, where that has anything but a handler.
        calls: what functions are called in `CALLS` that are called from outside, by interface and name.
        imports: those interfaces that the one inside imports and that are adapted, as it imports them.
        imported: what adapts them.
    """

    binary: bytes
    exports: Mapping[str, wit.Item] = field(default_factory=lambda: MappingProxyType({}))
    calls: Mapping[tuple[str | None, str], str] = field(
        default_factory=lambda: MappingProxyType({})
    )
    imports: Mapping[str, wit.Item] = field(default_factory=lambda: MappingProxyType({}))
    imported: Mapping[str, Imported] = field(default_factory=lambda: MappingProxyType({}))


def composed(guest: bytes, compiler: Compiler, cache: CompileCache | None = None) -> Composed:
    """The component that is served in place of a guest.

    Args:
        guest: the guest.
        compiler: what compiles a form of it that is looked at.
        cache: where compiled forms are kept; None for nowhere.

    Raises:
        gateway.host.introspect.TooManyTypes: it has too many.
        gateway.host.compiler.Invalid: the engine refuses the guest.
        gateway.host.compiler.CompileFailed: it takes more to look at than it may.
        gateway.wasm.binary.MalformedBinary: it is damaged.
        gateway.wasm.wasip3.NotComposable: nothing of it can be called.
    """
    externs = component_externs(guest)
    names = {name.name.partition("@")[0] for name in externs.exports}
    functions = bool(names - {_HANDLER, _OF_COMPONENTIZE_PY})
    if not functions and all(each.name.startswith("wasi:") for each in externs.imports):
        return Composed(compose(guest, _parts()))
    ty = _type(guest, compiler, cache)
    imported = dict(imported_interfaces(ty.imports, lambda text: compiler.to_binary(text.encode())))
    imports = {name: ty.imports[name] for name in imported}
    exports = ty.exports if functions else {}
    types, calls = calls_of(exports)
    if not calls:
        binary = compose(guest, _parts(), None, imported)
        return Composed(binary, exports, imports=imports, imported=imported)
    source, named = calls_text(types, calls)
    callers = Callers.read(calls, named, compiler.to_binary(source.encode()))
    called = {(each.interface, each.name): f"f{number}" for number, each in enumerate(calls)}
    binary = compose(guest, _parts(), callers, imported)
    return Composed(binary, exports, called, imports, imported)


def _type(guest: bytes, compiler: Compiler, cache: CompileCache | None) -> ComponentType:
    """What a guest imports and exports, of which what is composed of it has not all any more."""
    engine = Engine(concurrent=True)
    compiled = compile_component(engine, hollow(guest), cache, compiler)
    return component_type(compiled, engine.wasmtime)


@cache
def _parts() -> Parts:
    return Parts.assembled(lambda text: bytes(wasmtime.wat2wasm(text)))
