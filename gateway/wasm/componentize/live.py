"""Which of a world's imports a component needs: what its modules call, and the types of that."""

from collections.abc import Iterable

from gateway.wasm.binary.types import ValType, remap
from gateway.wasm.componentize.imports import Builtin, ImportedFunction, Item
from gateway.wasm.componentize.world import Interface, Named, Place, Resource, World

__all__ = ["prune"]


def prune(world: World, items: Iterable[Item]) -> World:
    """A world with all its exports, and only those imports that they and `items` are made of.

    What a world imports may be much more than what a module uses: the one of a toolchain's library
    is all that the library could ever call. A host need not provide that. It is what wit-component
    leaves out, and the types of the world itself besides, which that keeps.
    """
    live = _Live(world)
    functions: set[ImportedFunction] = set()
    for item in items:
        match item:
            case ImportedFunction(place, name) if item not in functions:
                functions.add(item)
                live.of_type(world.places[place].functions[name])
            case Builtin(_, resource):
                live.of_name(resource)
            case _:
                pass
    for _, interface in world.interfaces(exported=True):
        for number in (*interface.types.values(), *interface.functions.values()):
            live.of_type(number)

    pruned = World(world.types)
    for place, interface in world.places.items():
        if place.exported:
            pruned.places[place] = interface
            continue
        kept = Interface(
            {n: number for n, number in interface.types.items() if Named(place, n) in live.names},
            {
                n: f
                for n, f in interface.functions.items()
                if ImportedFunction(place, n) in functions
            },
            interface.implements,
        )
        if kept.types or kept.functions or _is_world_itself(place):
            pruned.places[place] = kept
    return pruned


def _is_world_itself(place: Place) -> bool:
    return not place.interface


class _Live:
    """Follows types to all the names that they are made of."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._seen: set[int] = set()
        self.names: set[Named] = set()

    def of_name(self, named: Named) -> None:
        # A name that stands for another is a chain, as long as there are interfaces: no recursion.
        while named not in self.names:
            self.names.add(named)
            number = self._world.places[named.place].types[named.name]
            target = self._world.types[number]
            if not isinstance(target, Named):
                self.of_type(number)
                return
            named = target

    def of_type(self, number: int) -> int:
        if number not in self._seen:
            self._seen.add(number)
            match self._world.types[number]:
                case Named() as named:
                    self.of_name(named)
                case Resource():
                    pass
                case definition:
                    remap(definition, self._valtype, self.of_type)
        return number

    def _valtype(self, valtype: ValType) -> ValType:
        return self.of_type(valtype) if isinstance(valtype, int) else valtype
