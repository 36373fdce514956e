"""The type of an interface that is imported: an instance type."""

from collections.abc import Callable

from gateway.wasm.binary.definitions import OuterAlias
from gateway.wasm.binary.extern import ExternName, ExternType, Sort
from gateway.wasm.binary.types import Declaration, ExportDeclaration, InstanceType, TypeDefinition
from gateway.wasm.componentize.scope import TypeScope
from gateway.wasm.componentize.world import Named, Place, Resource, World

__all__ = ["instance_type"]


def instance_type(world: World, place: Place, outer: Callable[[Named], int]) -> InstanceType:
    """The type of the instance that a component imports for an interface.

    Args:
        world: the world.
        place: the interface.
        outer: the index, in the component, of a type that another place has.
    """
    return _InstanceTypeWriter(world, place, outer).write()


class _InstanceTypeWriter:
    def __init__(self, world: World, place: Place, outer: Callable[[Named], int]) -> None:
        self._world = world
        self._place = place
        self._outer = outer
        self._declarations: list[Declaration] = []
        self._types = 0
        self._names: dict[Named, int] = {}
        self._scope = TypeScope(world, self._define, self._named)

    def write(self) -> InstanceType:
        interface = self._world.places[self._place]
        for name, number in interface.types.items():
            is_resource = isinstance(self._world.types[number], Resource)
            bound = None if is_resource else self._scope.index(number)
            declaration = ExportDeclaration(ExternName(name), ExternType(Sort.TYPE, bound))
            self._names[Named(self._place, name)] = self._add_type(declaration)
        for name, function in interface.functions.items():
            function_type = ExternType(Sort.FUNC, self._scope.index(function))
            self._declarations.append(ExportDeclaration(ExternName(name), function_type))
        return InstanceType(tuple(self._declarations))

    def _define(self, definition: TypeDefinition) -> int:
        return self._add_type(definition)

    def _named(self, named: Named) -> int:
        if named not in self._names:
            alias = OuterAlias(Sort.TYPE, 1, self._outer(named))
            self._names[named] = self._add_type(alias)
        return self._names[named]

    def _add_type(self, declaration: Declaration) -> int:
        self._declarations.append(declaration)
        self._types += 1
        return self._types - 1
