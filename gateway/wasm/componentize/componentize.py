"""Turns a core module that carries its world into a component."""

from typing import Final

from gateway.wasm.binary.core_module import CoreModule
from gateway.wasm.binary.cursor import MalformedBinary
from gateway.wasm.binary.extern import Sort
from gateway.wasm.binary.sections import Section
from gateway.wasm.binary.type_format import UnsupportedType
from gateway.wasm.componentize.adapter import Adapter, adapter
from gateway.wasm.componentize.adapter_memory import PAGES, Grown, Lent, MemorySource, Reserved
from gateway.wasm.componentize.adapter_reduction import reduced
from gateway.wasm.componentize.assembly import Guest, assemble
from gateway.wasm.componentize.core_rewrite import distinct_imports, without
from gateway.wasm.componentize.errors import NotComponentizable, described, shown
from gateway.wasm.componentize.go_memory import is_go, reserve
from gateway.wasm.componentize.imports import ADAPTED, AdapterFunction, Resolver, from_main
from gateway.wasm.componentize.live import prune
from gateway.wasm.componentize.merge import canonical_place, merge
from gateway.wasm.componentize.names import REALLOC, CoreExportNames
from gateway.wasm.componentize.world import Place, StringEncoding, Types, World
from gateway.wasm.componentize.world_format import read_world

__all__ = ["componentize"]

_WORLD_SECTION: Final = "component-type"

# How much is read of worlds. Threat: a section of hundreds of megabytes, each byte of which is work
# here. Unit: bytes, of all sections together. Arbitrary: all of WASI 0.2 takes some 20 KiB.
MAX_WORLD_SIZE: Final = 512 << 10


def componentize(module: bytes) -> bytes:
    """Makes a component of a core module.

    The module says what it imports and exports in custom sections named `component-type...`, which
    the bindings of wit-bindgen bring along, or which a tool has embedded. Where it imports WASI preview
    1, an adapter makes that of WASI 0.2.

    Args:
        module: a core module, in binary form. That it is valid is for an engine to say, of the result.

    Returns:
        The component, in binary form. The same module always gives the same component.

    Raises:
        NotComponentizable: it cannot be one as it is. The message says what is missing and what to do.
    """
    try:
        core = CoreModule(module)
        # Read now, so that damage is told before anything that is missing.
        _ = core.types, core.imports, core.exports
        return _componentize(core)
    except MalformedBinary as error:
        raise NotComponentizable(
            f"the module is damaged: {shown(str(error), 300)}. Copy or build it again."
        ) from error


def _componentize(core: CoreModule) -> bytes:
    sections = [section for section in core.custom if section.name.startswith(_WORLD_SECTION)]
    if not sections:
        raise NotComponentizable(_without_world(core))
    if any(section.name == "dylink.0" for section in core.custom):
        raise NotComponentizable(
            "it is a shared library, which is only of use with the program that loads it. Link it without "
            "-shared."
        )
    if sum(section.end - section.start for section in sections) > MAX_WORLD_SIZE:
        raise NotComponentizable(
            f"its {_WORLD_SECTION} sections have more than {MAX_WORLD_SIZE >> 10} KiB, the most that is "
            "read. Leave out of its world what it does not use."
        )
    types = Types()
    own, passed_over = _read_worlds(core, sections, types)
    try:
        return _component(core, sections, own, types, passed_over)
    except NotComponentizable as error:
        if passed_over is None:
            raise
        raise NotComponentizable(
            f"{error} (One of its worlds was passed over, since it has {passed_over.reason}, of WASI 0.3.)"
        ) from error


def _component(
    core: CoreModule,
    sections: list[Section],
    own: list[tuple[World, StringEncoding]],
    types: Types,
    passed_over: UnsupportedType | None,
) -> bytes:
    provider = None
    if any(wanted.module == ADAPTED for wanted in core.imports):
        provider = adapter()
    theirs = [] if provider is None else [read_world(provider.world_section, types)]
    world = merge([each for each, _ in own + theirs], types)
    if passed_over is not None and not (own and _has_all_exports(world, core)):
        raise NotComponentizable(
            f"its world has {passed_over.reason}, of WASI 0.3, which is not supported yet. Build it for WASI 0.2."
        )

    changed, named = distinct_imports(without(core, sections))
    source: MemorySource = Lent() if CoreExportNames(REALLOC).find(core) else Grown()
    if provider is not None and is_go(core):
        changed, address = reserve(changed, PAGES)
        source = Reserved(address)
    functions = {} if provider is None else provider.functions
    encodings = _encodings(own, world)
    resolver = Resolver(world, encodings, functions)
    imports = {names: resolver.resolve(core, wanted) for names, wanted in named.items()}
    main = Guest(changed, imports, encodings)
    guests = [main]
    if provider is not None:
        guests.append(_adapter_guest(provider, source, main, world, _encodings(theirs, world)))
    items = [item for guest in guests for item in guest.imports.values()]
    return assemble(prune(world, items), guests, functions)


def _read_worlds(
    core: CoreModule, sections: list[Section], types: Types
) -> tuple[list[tuple[World, StringEncoding]], UnsupportedType | None]:
    """The worlds of a module, but for those that need WASI 0.3, and what one of these has of it.

    Libraries bring the worlds of all that they could do; most of that is never used.
    """
    worlds: list[tuple[World, StringEncoding]] = []
    passed_over = None
    for section in sections:
        try:
            worlds.append(_read_world(core, section, types))
        except UnsupportedType as error:
            passed_over = error
    return worlds, passed_over


def _has_all_exports(world: World, core: CoreModule) -> bool:
    """Whether a world has every interface that a module exports functions of."""
    places = {canonical_place(place) for place in world.places}
    interfaces = {
        name.removeprefix("cabi_post_").partition("#")[0] for name in core.exports if "#" in name
    }
    return all(canonical_place(Place(True, interface)) in places for interface in interfaces)


def _read_world(core: CoreModule, section: Section, types: Types) -> tuple[World, StringEncoding]:
    payload = core.binary[section.start : section.end]
    try:
        return read_world(payload, types)
    except UnsupportedType:
        raise
    except MalformedBinary as error:
        raise MalformedBinary(
            section.start + error.offset, f"{error.reason}, in its world"
        ) from error


def _encodings(
    parts: list[tuple[World, StringEncoding]], world: World
) -> dict[tuple[Place, str], StringEncoding]:
    """How the strings of each function in `parts` are encoded, by where it is in `world`."""
    places = {canonical_place(place): place for place in world.places}
    encodings: dict[tuple[Place, str], StringEncoding] = {}
    for part, encoding in parts:
        for place, interface in part.places.items():
            found = place if place in world.places else places[canonical_place(place)]
            for name in interface.functions:
                if encodings.setdefault((found, name), encoding) is not encoding:
                    raise NotComponentizable(
                        f"its libraries hold the strings of {described(place.interface, name)} in "
                        "different encodings. Generate their bindings for one string encoding."
                    )
    return encodings


def _adapter_guest(
    provider: Adapter,
    source: MemorySource,
    main: Guest,
    world: World,
    encodings: dict[tuple[Place, str], StringEncoding],
) -> Guest:
    wanted = [item.name for item in main.imports.values() if isinstance(item, AdapterFunction)]
    module = CoreModule(reduced(provider, wanted, source))
    resolver = Resolver(world, encodings, {})
    imports = {
        (each.module, each.name): from_main(main.module, each) or resolver.resolve(module, each)
        for each in module.imports
    }
    return Guest(module, imports, encodings)


def _without_world(core: CoreModule) -> str:
    remedy = (
        "Build it with the bindings of wit-bindgen, or embed its world with wasm-tools "
        "(wasm-tools component embed WIT --world WORLD MODULE -o MODULE) or jco (jco embed)."
    )
    if core.exports_a(Sort.CORE_FUNC, "_start"):
        return (
            "it is a program to be run from its beginning to its end (it exports _start), and does not "
            "say what it could answer requests with. Build it as a library (-mexec-model=reactor, or "
            f"-buildmode=c-shared of Go) that exports what its world promises. {remedy}"
        )
    return f"it does not say what its world is: it has no {_WORLD_SECTION} section. {remedy}"
