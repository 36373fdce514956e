"""One world from several: the sections of a module, and the world of the adapter.

Libraries that are linked into a module bring sections of their own, and all of them may ask for the
same interfaces, in different versions of one track: `wasi:io/streams@0.2.0` and `@0.2.12` are then
one import, the newest of them, since a handle that one function returns must fit the next. That is
what wit-component does too.
"""

import re

from gateway.wasm.componentize.dependencies import check_depths, dependency_order
from gateway.wasm.componentize.errors import NotComponentizable, described
from gateway.wasm.componentize.type_identity import TypeIdentity
from gateway.wasm.componentize.world import Interface, Place, Types, World
from gateway.wasm.version import split_version, track

__all__ = ["canonical_name", "canonical_place", "merge"]


def canonical_name(interface: str) -> str:
    """The name of an interface with what its version has in common with compatible ones.

    `wasi:io/poll@0.2.12` is `wasi:io/poll@0.2`. Source: Component Model, `Explainer.md`
    "Import and Export Definitions", `canonversion`.
    """
    base, version = split_version(interface)
    return base if version is None else f"{base}@{track(version)}"


def canonical_place(place: Place) -> Place:
    """A place, with the canonical name of its interface: the same for all compatible ones."""
    return Place(place.exported, canonical_name(place.interface))


def merge(worlds: list[World], types: Types) -> World:
    """Joins worlds that share a table of types, which is changed to fit the result.

    Raises:
        NotComponentizable: two of them disagree on a type or a function.
    """
    _prefer_exports(worlds, types)
    moved = _renamed(worlds)
    types.move(moved)
    merged = World(types)
    twice: list[tuple[str, int, int]] = []
    # The newest version of an interface first, so that its order is kept and the rest is added.
    for world in worlds:
        for place, interface in world.interfaces(exported=False):
            if place not in moved:
                _join(merged, place, interface, twice)
        for place, interface in world.interfaces(exported=True):
            _join(merged, place, interface, twice)
    for world in worlds:
        for place, interface in world.interfaces(exported=False):
            if place in moved:
                _join(merged, moved[place], interface, twice)
    _check(merged, twice)
    return merged


def _prefer_exports(worlds: list[World], types: Types) -> None:
    """Lets exported interfaces use one another.

    Where an interface is imported as well as exported, an exported one that uses a type of it means the
    exported type, wherever in the world that stands; but what is written may be the imported one.
    Source: Component Model, `WIT.md`, "WIT Worlds" (the resolution of `use`); wit-component.
    """
    exported = {
        Place(False, place.interface): place
        for world in worlds
        for place, _ in world.interfaces(exported=True)
        if place.interface
    }
    for world in worlds:
        types.move(exported, world.export_uses)


def _renamed(worlds: list[World]) -> dict[Place, Place]:
    """For each import of which there is a newer version, that."""
    newest: dict[str, str] = {}
    imports = [place.interface for world in worlds for place, _ in world.interfaces(exported=False)]
    for name in imports:
        known = newest.setdefault(canonical_name(name), name)
        if _version_key(name) > _version_key(known):
            newest[canonical_name(name)] = name
    return {
        Place(False, name): Place(False, newest[canonical_name(name)])
        for name in imports
        if newest[canonical_name(name)] != name
    }


def _version_key(interface: str) -> tuple[list[int], str]:
    """What versions of one track are ordered by: they differ in numbers, then in build metadata."""
    version = split_version(interface)[1] or ""
    # A number of more digits is none that a tool writes, and Python would refuse it.
    return [
        int(number) for number in re.findall(r"[0-9]{1,18}", version.partition("+")[0])
    ], version


def _join(
    merged: World,
    place: Place,
    interface: Interface,
    twice: list[tuple[str, int, int]],
) -> None:
    known = merged.at(place)
    known.implements = known.implements or interface.implements
    if interface.implements not in {"", known.implements}:
        raise NotComponentizable(
            f"the libraries in it disagree on which interface {place.interface} is: {known.implements} or "
            f"{interface.implements}. Build all of them against one version of the WIT."
        )
    for name, number in interface.types.items():
        if known.types.setdefault(name, number) != number:
            twice.append((described(place.interface, name), known.types[name], number))
    for name, function in interface.functions.items():
        if known.functions.setdefault(name, function) != function:
            twice.append((described(place.interface, name), known.functions[name], function))


def _check(merged: World, twice: list[tuple[str, int, int]]) -> None:
    # Only what is acyclic can be walked, and joining worlds may have closed a circle.
    check_depths(merged, dependency_order(merged))
    identity = TypeIdentity(merged)
    for what, one, other in twice:
        if identity.of(one) != identity.of(other):
            raise NotComponentizable(
                f"the libraries in it disagree on what {what} is. Build all of them against one "
                "version of the WIT."
            )
