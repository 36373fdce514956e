"""What components are compiled to: one piece, or several where large modules are compiled one by one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self, TypeVar

from wasmtime import Module
from wasmtime.component import Component

from gateway.host.cache import CompileCache, compile_component, compile_key, compile_module
from gateway.host.compiler import Compiler, Invalid
from gateway.host.engine import Engine
from gateway.wasm.modules_apart import modules_apart

__all__ = ["Compiled"]

F = TypeVar("F", Component, Module)


@dataclass(frozen=True, slots=True)
class Compiled:
    """The compiled form of a component.

    Attributes:
        component: the component, or what is left of it without its large modules.
        modules: these, by the names that it imports them by.
        keys: the `compile_key` of each of the modules, and under "" that of the component.
    """

    component: Component
    modules: Mapping[str, Module]
    keys: Mapping[str, str]

    @classmethod
    def of(
        cls, engine: Engine, binary: bytes, cache: CompileCache | None, compiler: Compiler
    ) -> Self:
        """Compile a component, or load its compiled form from a cache; in pieces, if the engine is for that.

        Raises:
            Invalid: the engine refuses the component.
            CompileFailed: as `Compiler.compile`.
        """
        parts = modules_apart(binary) if engine.modular else None
        if parts is not None:
            binaries = {"": parts.component, **parts.modules}
            keys = {name: compile_key(engine, each) for name, each in binaries.items()}
            # As a whole it may be valid, and what is said of it then is about the whole.
            with suppress(Invalid):
                component = compile_component(engine, parts.component, cache, compiler)
                modules = {
                    name: compile_module(engine, each, cache, compiler)
                    for name, each in parts.modules.items()
                }
                return cls(component, modules, keys)
        component = compile_component(engine, binary, cache, compiler)
        return cls(component, {}, {"": compile_key(engine, binary)})

    def moved(self, engine: Engine, cache: CompileCache | None) -> Self:
        """The same for another engine of the same kind. Nothing is compiled.

        Raises:
            WasmtimeError: the engine refuses it.
        """

        def moved(form: type[F], name: str, compiled: F) -> F:
            found = None if cache is None else cache.find(form, engine, self.keys[name])
            return found or form.deserialize(engine.wasmtime, compiled.serialize())

        return type(self)(
            moved(Component, "", self.component),
            {name: moved(Module, name, each) for name, each in self.modules.items()},
            self.keys,
        )
