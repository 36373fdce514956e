"""Whether two types of a world are the same."""

from gateway.wasm.binary.types import TypeDefinition, ValType, remap
from gateway.wasm.componentize.world import Named, Resource, World

__all__ = ["TypeIdentity"]


class TypeIdentity:
    """Tells whether types are the same: two are if they have the same identity."""

    def __init__(self, world: World) -> None:
        """Takes the world, whose types are not made of themselves."""
        self._world = world
        self._identities: dict[TypeDefinition | Named, int] = {}
        self._known: dict[int, int] = {}

    def of(self, number: int) -> int:
        """Gives the identity of a type, by its number."""
        if number not in self._known:
            self._known[number] = self._identify(number)
        return self._known[number]

    def _identify(self, number: int) -> int:
        world = self._world
        match world.types[number]:
            case Named() as named:
                origin = world.origin(named)
                target = world.places[origin.place].types[origin.name]
                if isinstance(world.types[target], Resource):
                    return self._identity(origin)
                return self.of(target)
            case Resource():
                # Both stand where a name belongs, and the name is the same.
                return -1
            case definition:
                return self._identity(remap(definition, self._valtype, self.of))

    def _valtype(self, valtype: ValType) -> ValType:
        return self.of(valtype) if isinstance(valtype, int) else valtype

    def _identity(self, structure: TypeDefinition | Named) -> int:
        return self._identities.setdefault(structure, len(self._identities))
