"""The types of a world, said in one type index space."""

from collections.abc import Callable

from gateway.wasm.binary.types import TypeDefinition, ValType, remap
from gateway.wasm.componentize.world import Named, Resource, World

__all__ = ["TypeScope"]


class TypeScope:
    """Gives types of a world an index in some index space, defining there what is not yet.

    Types without a name are defined once each. Where a name leads is for others to say, for that is
    what tells one space from another.
    """

    def __init__(
        self,
        world: World,
        define: Callable[[TypeDefinition], int],
        named: Callable[[Named], int],
    ) -> None:
        """Takes the world, and what the space is.

        Args:
            world: the world.
            define: adds a definition, whose indices are of this space; returns its index.
            named: the index of a named type.
        """
        self._world = world
        self._define = define
        self._named = named
        self._known: dict[int, int] = {}

    def index(self, number: int) -> int:
        """The index of a type, which is not a new resource."""
        if number not in self._known:
            match self._world.types[number]:
                case Named() as named:
                    return self._named(named)
                case Resource():
                    raise AssertionError(number)
                case definition:
                    index = self._define(remap(definition, self._valtype, self.index))
            self._known[number] = index
        return self._known[number]

    def _valtype(self, valtype: ValType) -> ValType:
        return self.index(valtype) if isinstance(valtype, int) else valtype
