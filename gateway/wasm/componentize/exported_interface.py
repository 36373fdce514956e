"""The component that turns lifted functions into an instance of an exported interface.

An instance has an interface's type only if its functions' types are said with the names of types that
it exports as well. Types get a name where a component imports or exports them; so there is one between
the functions and the instance:

    (component
      (import "type0" (type (sub resource)))             ;; every type that the functions are made of
      (import "func0" (func (param "self" (borrow 0))))  ;; the functions
      (export "thing" (type 0))
      (export "[method]thing.act" (func 0) (func (param "self" (borrow <the exported type>)))))

Source of the technique: wit-component, `encoding.rs`.
"""

from collections.abc import Callable, Mapping

from gateway.wasm.binary.component_writer import ComponentWriter
from gateway.wasm.binary.extern import (
    ExternName,
    ExternType,
    Sort,
    encode_extern_name,
    encode_extern_type,
)
from gateway.wasm.binary.sections import ComponentSection
from gateway.wasm.binary.type_format import encode_type
from gateway.wasm.binary.types import TypeDefinition
from gateway.wasm.componentize.scope import TypeScope
from gateway.wasm.componentize.world import Named, Place, Resource, World

__all__ = ["exported_interface"]


def exported_interface(
    world: World, place: Place, functions: Mapping[str, int], outer: Callable[[Named], int]
) -> tuple[bytes, list[tuple[str, Sort, int]]]:
    """The component for one interface, and what to instantiate it with.

    Args:
        world: the world.
        place: the interface.
        functions: the component function index of each lifted function, by its name.
        outer: the index, in the component around this one, of a named type.

    Returns:
        The component and its arguments: names, sorts and indices.
    """
    return _Writer(world, place, outer).write(functions)


class _Writer:
    def __init__(self, world: World, place: Place, outer: Callable[[Named], int]) -> None:
        self._world = world
        self._place = place
        self._outer = outer
        self._out = ComponentWriter()
        self._arguments: list[tuple[str, Sort, int]] = []
        # By the place a type comes from, its index as an import; by the name it has here, as an export.
        self._imported: dict[Named, int] = {}
        self._exported: dict[Named, int] = {}
        self._in_imports = TypeScope(world, self._define, self._import_type)
        self._in_exports = TypeScope(world, self._define, self._exported_type)

    def write(self, functions: Mapping[str, int]) -> tuple[bytes, list[tuple[str, Sort, int]]]:
        interface = self._world.places[self._place]
        imported = {}
        for name, function in interface.functions.items():
            function_type = ExternType(Sort.FUNC, self._in_imports.index(function))
            imported[name] = self._import("func", function_type, functions[name])
        for name, number in interface.types.items():
            named = Named(self._place, name)
            is_resource = isinstance(self._world.types[number], Resource)
            index = self._import_type(named) if is_resource else self._in_exports.index(number)
            encoded = encode_extern_name(ExternName(name))
            self._exported[named] = self._out.export(encoded, Sort.TYPE, index)
        for name, function in interface.functions.items():
            function_type = ExternType(Sort.FUNC, self._in_exports.index(function))
            encoded = encode_extern_name(ExternName(name))
            self._out.export(encoded, Sort.FUNC, imported[name], function_type)
        return self._out.finish(), self._arguments

    def _define(self, definition: TypeDefinition) -> int:
        return self._out.add(ComponentSection.TYPE, encode_type(definition), Sort.TYPE)

    def _exported_type(self, named: Named) -> int:
        """A type as it was exported, else as it was imported."""
        known = self._exported.get(named)
        return self._import_type(named) if known is None else known

    def _import_type(self, named: Named) -> int:
        origin = self._world.origin(named)
        if origin not in self._imported:
            number = self._world.places[origin.place].types[origin.name]
            is_resource = isinstance(self._world.types[number], Resource)
            bound = None if is_resource else self._in_imports.index(number)
            outer = self._outer(origin)
            self._imported[origin] = self._import("type", ExternType(Sort.TYPE, bound), outer)
        return self._imported[origin]

    def _import(self, kind: str, extern: ExternType, argument: int) -> int:
        name = f"{kind}{len(self._arguments)}"
        self._arguments.append((name, extern.sort, argument))
        item = encode_extern_name(ExternName(name)) + encode_extern_type(extern)
        return self._out.add(ComponentSection.IMPORT, item, extern.sort)
