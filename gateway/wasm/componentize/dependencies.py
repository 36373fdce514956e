"""What the interfaces of a world use of one another."""

from collections.abc import Iterable, Mapping

from gateway.wasm.binary.types import parts
from gateway.wasm.componentize.errors import NotComponentizable, described, shown
from gateway.wasm.componentize.world import Named, Place, Resource, World, check_depth

__all__ = ["check_depths", "dependency_order"]


def dependency_order(world: World) -> list[Place]:
    """The places of a world, each after those whose types it uses.

    Raises:
        NotComponentizable: types use one another in a circle, or one that is not there.
    """
    graph: dict[Place, dict[Place, None]] = {}
    for place, interface in world.places.items():
        uses = _Uses(world)
        defined: set[str] = set()
        for name, number in interface.types.items():
            # What an interface uses of itself comes first in it.
            if any(n.place == place and n.name not in defined for n in uses.of_type(number)):
                raise _circle(place)
            defined.add(name)
        for number in interface.functions.values():
            uses.of_type(number)
        graph[place] = dict.fromkeys(n.place for n in uses.found if n.place != place)
        for named in uses.found:
            if named.place not in world.places or named.name not in world.at(named.place).types:
                raise NotComponentizable(
                    f"its world uses {described(named.place.interface, named.name)}, which is not in it. "
                    "Build the module again."
                )
    return _ordered(graph)


def _ordered(graph: Mapping[Place, Iterable[Place]]) -> list[Place]:
    """What is in a graph, each after what it depends on, otherwise in the order of the graph."""
    order: list[Place] = []
    entered: set[Place] = set()
    done: set[Place] = set()
    for start in graph:
        # No recursion: there may be as many interfaces in a row as fit the section.
        path = [(start, iter(graph[start]))] if start not in done else []
        entered.update(place for place, _ in path)
        while path:
            place, rest = path[-1]
            following = next((each for each in rest if each not in done), None)
            if following is None:
                path.pop()
                done.add(place)
                order.append(place)
            elif following in entered:
                raise _circle(following)
            else:
                entered.add(following)
                path.append((following, iter(graph[following])))
    return order


def _circle(place: Place) -> NotComponentizable:
    return NotComponentizable(
        f"the types of {shown(place.interface) or 'its world'} are made of one another in a circle. Build all "
        "of its libraries against one version of the WIT."
    )


def check_depths(world: World, order: Iterable[Place]) -> None:
    """Checks how deep types are nested, through their names.

    Args:
        world: the world.
        order: its places, as `dependency_order` has them.

    Raises:
        NotComponentizable: it is deeper than `MAX_DEPTH`.
    """
    depths = _Depths(world)
    for place in order:
        for name, number in world.places[place].types.items():
            depths.named[Named(place, name)] = depths.of(number)
        for number in world.places[place].functions.values():
            depths.of(number)


class _Depths:
    """How many levels there are in types. Of names, those that they are made of come before them."""

    def __init__(self, world: World) -> None:
        self._types = world.types
        self._known: dict[int, int] = {}
        self.named: dict[Named, int] = {}

    def of(self, number: int) -> int:
        if number not in self._known:
            match self._types[number]:
                case Named() as named:
                    depth = self.named[named]
                case Resource():
                    depth = 1
                case definition:
                    inner = (self.of(part) for part in parts(definition) if isinstance(part, int))
                    depth = 1 + max(inner, default=0)
            check_depth(depth)
            self._known[number] = depth
        return self._known[number]


class _Uses:
    """Collects the names that types use directly, without following them; each type once."""

    def __init__(self, world: World) -> None:
        self._types = world.types
        self._seen: set[int] = set()
        self.found: list[Named] = []

    def of_type(self, number: int) -> list[Named]:
        """Those of a type that have not been found before."""
        before = len(self.found)
        self._visit(number)
        return self.found[before:]

    def _visit(self, number: int) -> None:
        if number not in self._seen:
            self._seen.add(number)
            match self._types[number]:
                case Named() as named:
                    self.found.append(named)
                case Resource():
                    pass
                case definition:
                    for part in parts(definition):
                        if isinstance(part, int):
                            self._visit(part)
