"""Core modules with worlds, written as text, and the components made of them in the real engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import wasmtime
from wasmtime import component as wasm

from gateway.host import wit
from gateway.host.introspect import ComponentType, component_type
from gateway.wasm.componentize import componentize

CONFIG: Final = wasmtime.Config()
CONFIG.wasm_component_model_implements = True
ENGINE: Final = wasmtime.Engine(CONFIG)

Function = Callable[..., Any]
Interface = Mapping[str, Function | wasm.ResourceType]
"""The functions and resource types that an interface is made of."""

# A memory, and a heap that only grows: enough for what a test passes.
MEMORY: Final = """
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 1024))
  (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $block i32)
    (local.set $block (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $block) (local.get 3)))
    (local.get $block))
"""


def world_section(world: str, encoding: int = 0) -> bytes:
    """The payload of a `component-type` section.

    Args:
        world: The declarations of the world's component type, in the text format.
        encoding: 0 is UTF-8, 1 UTF-16, 2 Latin-1 or UTF-16.
    """
    return bytes(
        wasmtime.wat2wasm(f"""(component
          (@custom "wit-component-encoding" "\\04\\{encoding:02x}")
          (type (component
            (type (component {world}))
            (export "test:worlds/world" (component (type 0)))))
          (export "world" (type 0)))""")
    )


def module(core: str, *worlds: str | bytes, encoding: int = 0) -> bytes:
    """A core module.

    Args:
        core: Its fields, in the text format.
        worlds: For each of its `component-type` sections the world, or the payload.
        encoding: How strings are encoded, in the sections that are given as text.
    """
    payloads = [
        world_section(world, encoding) if isinstance(world, str) else world for world in worlds
    ]
    sections = "".join(
        f'(@custom "component-type:{number}" "{_escaped(payload)}")'
        for number, payload in enumerate(payloads)
    )
    return bytes(wasmtime.wat2wasm(f"(module {core} {sections})"))


def _escaped(data: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in data)


def compiled(core_module: bytes) -> wasm.Component:
    """The component, which the engine finds valid."""
    return wasm.Component(ENGINE, componentize(core_module))


def type_of(component: wasm.Component | bytes) -> ComponentType:
    """What a component imports and exports."""
    if isinstance(component, bytes):
        component = wasm.Component(ENGINE, component)
    return component_type(component, ENGINE)


def described(item: Any) -> Any:
    """A type in a form that is equal for equal types, whichever component they are of."""
    match item:
        case wit.Resource():
            return ("resource", item.name, item.imported)
        case Mapping():
            return {name: described(each) for name, each in item.items()}
        case str() | int() | None:
            return item
        case Iterable():
            return [described(each) for each in item]
        case _:
            fields = [described(getattr(item, field.name)) for field in dataclasses.fields(item)]
            return [type(item).__name__, *fields]


class Running:
    """An instance of a component whose imports are functions of Python.

    Attributes:
        store: Its store.
    """

    def __init__(
        self,
        component: wasm.Component,
        imports: Mapping[str, Interface | Function | wasm.ResourceType] | None = None,
        wasi: wasmtime.WasiConfig | None = None,
    ) -> None:
        """Instantiates a component.

        Args:
            component: The component.
            imports: By name, an interface, or a function or resource type of the world's own.
                Functions are given the arguments without the store.
            wasi: If it imports WASI, what that is made of.
        """
        self.store = wasmtime.Store(ENGINE)
        linker = wasm.Linker(ENGINE)
        if wasi is not None:
            self.store.set_wasi(wasi)
            linker.add_wasip2()
        self.dropped: list[int] = []
        with linker.root() as root:
            for name, item in (imports or {}).items():
                if isinstance(item, Mapping):
                    with root.add_instance(name) as instance:
                        for member, each in item.items():
                            self._add(instance, member, each)
                else:
                    self._add(root, name, item)
        self.instance = linker.instantiate(self.store, component)

    def _add(
        self, instance: wasm.LinkerInstance, name: str, item: Function | wasm.ResourceType
    ) -> None:
        if isinstance(item, wasm.ResourceType):
            instance.add_resource(name, item, lambda _, rep: self.dropped.append(rep))
        else:
            instance.add_func(name, lambda store, *arguments: self._host(store, item, arguments))

    def _host(
        self, store: wasmtime.StoreContext, function: Function, arguments: tuple[Any, ...]
    ) -> Any:
        try:
            return function(*arguments)
        finally:
            for each in arguments:
                # What is borrowed must be given back before the call ends.
                if isinstance(each, wasm.ResourceAny) and not each.owned:
                    each.drop(store)

    def call(self, name: str, *arguments: Any) -> Any:
        """Calls an export: `f`, or `test:a/b@1.0.0#f`."""
        interface, _, function = name.rpartition("#")
        parent = self.instance.get_export_index(self.store, interface) if interface else None
        index = self.instance.get_export_index(self.store, function, parent)
        assert index is not None, name
        found = self.instance.get_func(self.store, index)
        assert found is not None, name
        result = found(self.store, *arguments)
        found.post_return(self.store)
        return result
