"""A world, by name: what a core module may import and must export once it is a component.

In a binary a type is an index that means something in one scope only. Here every type has one
number for good, its place in `World.types`, and what belongs to an interface is told by the names of
both; so worlds that were written apart can be joined, and a type said again in any other scope.

A type is one of these:
- `Named`: the type with that name, of an interface or of the world itself;
- `Resource`: a resource type, which is never anything but what a name stands for;
- a definition of `gateway.wasm.binary.types`, with these numbers for its indices.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from gateway.wasm.binary.types import Func, TypeDefinition, parts
from gateway.wasm.componentize.errors import NotComponentizable

__all__ = [
    "MAX_DEPTH",
    "Interface",
    "Named",
    "Place",
    "Resource",
    "StringEncoding",
    "Type",
    "Types",
    "World",
    "check_depth",
]

# How deep types may lie within types. Threat: a section of a few kilobytes in which every type is a
# list of the one before, against functions that recurse, some six frames a level. Unit: levels.
# Precedent: wasmparser takes 100; what people write is less than ten levels deep.
MAX_DEPTH: Final = 50


class StringEncoding(IntEnum):
    """How a core module holds strings; the value is that of the canonical option."""

    UTF8 = 0x00
    UTF16 = 0x01
    LATIN1_UTF16 = 0x02


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name belongs: to an interface, or to the world itself.

    Attributes:
        exported: whether to what the world exports, rather than imports.
        interface: the name of the interface with its version; empty for the world itself.
    """

    exported: bool
    interface: str


@dataclass(frozen=True, slots=True)
class Named:
    """The type `name` of `place`."""

    place: Place
    name: str


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource type."""


Type = TypeDefinition | Named | Resource


class Types:
    """All the types of the worlds that are read for one component, numbered as they come."""

    def __init__(self) -> None:
        self._types: list[Type] = []
        self._depths: list[int] = []

    def __getitem__(self, number: int) -> Type:
        return self._types[number]

    def add(self, new: Type) -> int:
        """Adds a type; returns its number.

        Raises:
            NotComponentizable: types without a name are nested too deep in it.
        """
        depth = 1
        if not isinstance(new, Named | Resource):
            depth += max(
                (self._depths[part] for part in parts(new) if isinstance(part, int)), default=0
            )
        check_depth(depth)
        self._types.append(new)
        self._depths.append(depth)
        return len(self._types) - 1

    def move(self, moved: Mapping[Place, Place], numbers: Iterable[int] | None = None) -> None:
        """Makes the names that belong to one of these places belong to another.

        Args:
            moved: from where to where.
            numbers: which; None for all.
        """
        for number in range(len(self._types)) if numbers is None else numbers:
            each = self._types[number]
            if isinstance(each, Named) and each.place in moved:
                self._types[number] = Named(moved[each.place], each.name)


def check_depth(depth: int) -> None:
    """Refuses types that are nested too deep.

    Raises:
        NotComponentizable: there are more than `MAX_DEPTH` levels.
    """
    if depth > MAX_DEPTH:
        raise NotComponentizable(
            f"a type of its world is nested more than {MAX_DEPTH} levels deep. Make it simpler, or "
            "build the module again: no tool writes such a section."
        )


@dataclass(slots=True)
class Interface:
    """An interface, or the types and functions of the world itself.

    Attributes:
        types: the number of each named type, none before those that it is made of.
        functions: the number of the type of each function, resources' own ("[method]r.f") among them.
        implements: the name of the interface that it is, where its own name is a label; or empty.
    """

    types: dict[str, int] = field(default_factory=dict)
    functions: dict[str, int] = field(default_factory=dict)
    implements: str = ""


@dataclass(slots=True)
class World:
    """A world.

    Attributes:
        types: the types that the numbers in it stand for.
        places: all that it imports and exports, in the order of the world.
        export_uses: the numbers of the names by which exported interfaces use types of imported ones.
    """

    types: Types
    places: dict[Place, Interface] = field(default_factory=dict)
    export_uses: list[int] = field(default_factory=list)

    def at(self, place: Place) -> Interface:
        """What is at `place`; nothing, if the world does not mention it yet."""
        return self.places.setdefault(place, Interface())

    def interfaces(self, *, exported: bool) -> Iterator[tuple[Place, Interface]]:
        """The interfaces that it exports or imports, and its own imports or exports."""
        for place, interface in self.places.items():
            if place.exported == exported:
                yield place, interface

    def function(self, place: Place, name: str) -> Func:
        """The type of a function."""
        match self.types[self.places[place].functions[name]]:
            case Func() as function:
                return function
            case other:
                raise AssertionError(other)

    def type_of(self, named: Named) -> Type:
        """What a name stands for: another name, a resource, or a definition."""
        return self.types[self.places[named.place].types[named.name]]

    def origin(self, named: Named) -> Named:
        """The name of the same type in the place that it comes from.

        `use` gives a type a second name; this follows them back to the first.
        """
        while isinstance(target := self.type_of(named), Named):
            named = target
        return named
