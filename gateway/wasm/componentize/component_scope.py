"""The types and imports of the component that is written, in its own index spaces."""

from gateway.wasm.binary import encode
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
from gateway.wasm.componentize.interface_types import instance_type
from gateway.wasm.componentize.scope import TypeScope
from gateway.wasm.componentize.world import Named, Place, Resource, World

__all__ = ["ComponentScope"]


class ComponentScope:
    """Where the component has the types and the imported functions of a world.

    A type with a name is the one that an instance has, imported or exported. Only while an interface is
    being exported there is no such instance yet: then it is what `begin_export` defines.
    """

    def __init__(self, out: ComponentWriter, world: World) -> None:
        """Begins with nothing, in a component that is empty yet."""
        self._out = out
        self._world = world
        self._scope = TypeScope(world, self._define, self.named)
        self._instances: dict[Place, int] = {}
        self._names: dict[Named, int] = {}
        self._functions: dict[str, int] = {}
        self._resources: dict[Named, int] = {}

    def import_place(self, place: Place) -> None:
        """Adds the import of an interface, or the imports of the world itself."""
        own = self._world.places[place]
        if place.interface:
            definition = instance_type(self._world, place, self.named)
            extern = ExternType(Sort.INSTANCE, self._define(definition))
            label = ExternName(place.interface, own.implements)
            self._instances[place] = self._import(label, extern)
            return
        for name, number in own.types.items():
            is_resource = isinstance(self._world.types[number], Resource)
            bound = None if is_resource else self._scope.index(number)
            extern = ExternType(Sort.TYPE, bound)
            self._names[Named(place, name)] = self._import(ExternName(name), extern)
        for name, function in own.functions.items():
            extern = ExternType(Sort.FUNC, self._scope.index(function))
            self._functions[name] = self._import(ExternName(name), extern)

    def imported_function(self, place: Place, name: str) -> int:
        """The index of an imported function."""
        if not place.interface:
            return self._functions[name]
        return self._out.alias(Sort.FUNC, self._instances[place], name)

    def define_resource(self, named: Named, destructor: int | None) -> None:
        """Defines a resource type that is exported; `destructor` is a core function index."""
        # It is represented by an i32, as all are.
        item = b"\x3f\x7f"
        item += b"\x00" if destructor is None else b"\x01" + encode.u32(destructor)
        self._resources[named] = self._out.add(ComponentSection.TYPE, item, Sort.TYPE)

    def resource(self, named: Named) -> int:
        """The index of a resource type, which may be one that is exported later."""
        return self._resources[named] if named in self._resources else self.named(named)

    def named(self, named: Named) -> int:
        """The index of a type with a name."""
        if named not in self._names:
            instance = self._instances[named.place]
            self._names[named] = self._out.alias(Sort.TYPE, instance, named.name)
        return self._names[named]

    def function_type(self, place: Place, name: str) -> int:
        """The index of the type of a function."""
        return self._scope.index(self._world.places[place].functions[name])

    def begin_export(self, place: Place) -> None:
        """Defines the types of an interface, for the functions that it will export."""
        for name, number in self._world.places[place].types.items():
            named = Named(place, name)
            known = self._resources.get(named)
            self._names[named] = self._scope.index(number) if known is None else known

    def finish_export(self, place: Place, instance: int) -> None:
        """Takes the types of an interface from the instance that has been exported."""
        self._instances[place] = instance
        for name in self._world.places[place].types:
            del self._names[Named(place, name)]

    def _define(self, definition: TypeDefinition) -> int:
        return self._out.add(ComponentSection.TYPE, encode_type(definition), Sort.TYPE)

    def _import(self, name: ExternName, extern: ExternType) -> int:
        item = encode_extern_name(name) + encode_extern_type(extern)
        return self._out.add(ComponentSection.IMPORT, item, extern.sort)
