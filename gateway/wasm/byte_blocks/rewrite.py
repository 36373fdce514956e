"""The component around a guest and its bridges."""

from collections import Counter
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gateway.wasm.binary.component_writer import ComponentWriter
from gateway.wasm.binary.cursor import Cursor, MalformedBinary
from gateway.wasm.binary.definitions import ExportDefinition, items, read_export
from gateway.wasm.binary.edits import Edit, edited
from gateway.wasm.binary.extern import ExternType, Sort, encode_extern_name
from gateway.wasm.binary.sections import COMPONENT_PREAMBLE, ComponentSection, sections
from gateway.wasm.binary.type_format import encode_type
from gateway.wasm.byte_blocks.bridge import bridge_component
from gateway.wasm.byte_blocks.core import CORE_INSTANCES, MAX_EXPORTED_PAGES
from gateway.wasm.byte_blocks.delivery import Delivery
from gateway.wasm.byte_blocks.exported_functions import ExportedFunction
from gateway.wasm.byte_blocks.exports import ExportedBytes, exported_bytes
from gateway.wasm.byte_blocks.forwarding import Forwarding
from gateway.wasm.byte_blocks.imported_interface import (
    ImportedInterface,
    Interfaces,
    read_interfaces,
)
from gateway.wasm.byte_blocks.insertion import with_delivery
from gateway.wasm.byte_blocks.lowerings import read_lowerings
from gateway.wasm.byte_blocks.prelude import (
    Prelude,
    PreludeImport,
    UnbridgeableError,
    read_prelude,
)
from gateway.wasm.byte_blocks.retyping import retype
from gateway.wasm.byte_blocks.shapes import Pair

__all__ = ["Blocks", "ExportBlocks", "Rewritten", "rewrite"]

# How many interfaces are bridged. Threat: a component that imports one under a thousand versions.
# Arbitrary; a component has two or three that are worth it.
MAX_BRIDGES: Final = 16

# Exports that have no bytes, and are all that most components have: they need not be looked into.
_PLAIN: Final = frozenset({"wasi:http/incoming-handler", "wasi:cli/run"})

# What a component can export and another around it export again. A type cannot be: the functions
# would go on naming the inner one. (The types of a world are not exported but imported.)
_EXPORTABLE: Final = frozenset({Sort.FUNC, Sort.INSTANCE})


@dataclass(frozen=True, slots=True)
class Blocks:
    """How the bytes of a function cross.

    Attributes:
        pairs: what each `tuple<u32, u32>` is in the function's type as the engine tells it now: those of the
            parameters and then of the result, depth first, a type that is used twice counted twice.
        bridge: how many core instances are made before the one that keeps the bridge's memory.
        guest: how many before the one that keeps the guest's.
        staging: how many before the one that keeps what is delivered to the guest.
    """

    pairs: tuple[Pair, ...]
    bridge: int = 0
    guest: int = 0
    staging: int = 0


@dataclass(frozen=True, slots=True)
class ExportBlocks:
    """How the bytes of an exported function cross.

    Attributes:
        name: what the function is called that has them in disguise, all of them; the component exports it too.
        memory: as `Blocks.bridge`.
    """

    name: str
    memory: int


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A component that does what another does, with bytes that cross in blocks.

    Attributes:
        component: the binary.
        functions: by import name and function name, the functions whose types changed.
        exports: by interface, None for the component itself, and name, the functions that are exported in disguise
            too.

    The host reads and writes bytes in the memories that `Blocks` names: see `core.py`. Those of the guest it only
    reads.
    """

    component: bytes
    functions: Mapping[tuple[str, str], Blocks]
    exports: Mapping[tuple[str | None, str], ExportBlocks]


def rewrite(
    component: bytes, wants: Callable[[str], bool], *, lending: bool = False
) -> Rewritten | None:
    """Disguises `list<u8>` in the imported interfaces that `wants` says yes to, and in what is exported.

    Other interfaces whose types hold the same bytes go with them.

    Args:
        component: a binary; that it is valid is for the engine to say, before or after.
        wants: given the interface that an imported instance is ("wasi:io/streams@0.2.0").
        lending: whether the bridges pass on functions that take two borrowed handles too, since a concurrent
            engine traps where a guest calls one of the host's (`gateway.host.settings`).

    Returns:
        None if there is nothing to disguise, or the component is damaged, or its imports are not
        all at its beginning, or it exports more than functions and instances. It is to be used as
        it is, then; and also where the engine refuses what this returns.
    """
    try:
        prelude = read_prelude(component)
        interfaces = read_interfaces(prelude, lending=lending)
        bridged = _bridged(prelude, interfaces, wants)
        exports = _read_exports(component)
        plain = {export.name.interface.partition("@")[0] for export in exports} <= _PLAIN
        exported = None if plain else exported_bytes(component)
        if not bridged and (exported is None or not exported.functions):
            return None
    except (MalformedBinary, UnbridgeableError):
        return None
    guest = _Guest(component, bridged)
    if bridged and not lending:
        with suppress(MalformedBinary, UnbridgeableError):
            guest = _retyped(guest, prelude, interfaces)
    passing = [imported.item.index for imported, it in guest.bridged if it.bridged]
    bridges = {instance: CORE_INSTANCES * at for at, instance in enumerate(passing)}
    exports_memory = CORE_INSTANCES * len(passing)
    before = exports_memory + (exported is not None and bool(exported.functions))
    guest_memory = 0 if guest.memory is None else before + guest.memory
    staging = 0 if guest.staging is None else before + guest.staging
    return Rewritten(
        component=_enclose(guest, prelude, exports, exported),
        functions={
            (imported.definition.name.name, function.name.name): Blocks(
                function.pairs, bridges.get(imported.item.index, 0), guest_memory, staging
            )
            for imported, interface in guest.bridged
            for function in interface.functions
            if set(function.pairs) - {Pair.ITSELF}
        },
        exports={
            function: ExportBlocks(name, exports_memory)
            for function, name in (exported.names if exported else {}).items()
        },
    )


_Bridged = list[tuple[PreludeImport, ImportedInterface]]


@dataclass(frozen=True, slots=True)
class _Guest:
    """The component that is enclosed.

    Attributes:
        binary: the component.
        bridged: its imports that are bridged, or have other types than they had.
        memory: how many core instances of it are made before the one that keeps its memory, None where
            the host does not read it.
        staging: how many before the one that has the memory which bytes are delivered from; None where none are.
    """

    binary: bytes
    bridged: _Bridged
    memory: int | None = None
    staging: int | None = None


def _retyped(guest: _Guest, prelude: Prelude, interfaces: Interfaces) -> _Guest:
    """The guest with other types in its imports, where it is one that can have them.

    Raises:
        MalformedBinary: it is damaged, or has definitions of unknown forms.
        UnbridgeableError: it is of more than can be followed.
    """
    lowerings = read_lowerings(guest.binary)
    if lowerings is None:
        return guest
    place = lowerings.place(
        {
            (imported.item.index, function.name.name)
            for imported, interface in guest.bridged
            for function in interface.bridged
        }
    )
    edits: list[Edit] = []
    bridged: _Bridged = []
    delivery = Delivery()
    for imported, interface in guest.bridged:
        instance = imported.item.index
        functions = lowerings.of(instance)
        returned = {
            name
            for name, each in functions.items()
            if place is not None and all(place.follows(lowering) for lowering in each)
        }
        found = _with_types(interface, interfaces, functions.keys(), returned)
        bridged.append((imported, found))
        if found is not interface:
            edits += prelude.edits({prelude.instance_type(instance): encode_type(found.type)})
            for function in found.functions:
                if Pair.STAGED_BYTES in function.pairs:
                    delivery.add(function, found.staged(function), functions[function.name.name])
    if place is None or not delivery.functions:
        whole = edited(guest.binary, sections(guest.binary), edits)
        return _Guest(COMPONENT_PREAMBLE + whole, bridged, lowerings.memory)
    binary = with_delivery(guest.binary, edits, place, delivery)
    return _Guest(binary, bridged, lowerings.memory, place.made)


def _with_types(
    interface: ImportedInterface,
    interfaces: Interfaces,
    given: AbstractSet[str],
    returned: AbstractSet[str],
) -> ImportedInterface:
    """The interface as a guest is to have it; the same if it is to keep it."""
    ty, pairs = retype(interface.type, given, returned)
    found = ImportedInterface(ty, interfaces.shapes, pairs=pairs)
    # What a bridge lifts, the engine has an adapter for, which it would make before the module that delivers.
    mixed = {each.name.name for each in found.functions if set(each.pairs) >= _MIXED}
    if mixed:
        return _with_types(interface, interfaces, given, returned - mixed)
    return found if pairs and found.bridgeable else interface


_MIXED: Final = {Pair.BYTES, Pair.STAGED_BYTES}


def _bridged(prelude: Prelude, interfaces: Interfaces, wants: Callable[[str], bool]) -> _Bridged:
    """The interfaces to bridge, in order: those wanted, each with all that it shares bytes with."""
    by_type = interfaces.by_type
    imports = {
        prelude.instance_type(imported.item.index): imported
        for imported in prelude.imports
        if imported.item.sort is Sort.INSTANCE
    }
    shares: dict[int, set[int]] = {index: set() for index in by_type}
    for index, interface in by_type.items():
        for borrowed in interface.borrowed:
            source = prelude.types[borrowed].export
            if source is not None and index in imports:
                owner = prelude.instance_type(source.instance)
                shares[index].add(owner)
                shares[owner].add(index)
    uses = Counter(prelude.instance_types)
    found: set[int] = set()
    for index, imported in imports.items():
        if index in found or index not in by_type or not by_type[index].bridged:
            continue
        if not wants(imported.definition.name.interface):
            continue
        group = _reachable(index, shares)
        if len(found) + len(group) <= MAX_BRIDGES and all(
            # A type that two imports share would change for both.
            by_type[member].bridgeable and uses[member] == 1 and member not in interfaces.tied
            for member in group
        ):
            found |= group
    return [(imported, by_type[index]) for index, imported in imports.items() if index in found]


def _reachable(start: int, edges: Mapping[int, AbstractSet[int]]) -> set[int]:
    reached, left = {start}, [start]
    while left:
        new = edges[left.pop()] - reached
        reached |= new
        left += new
    return reached


def _read_exports(component: bytes) -> list[ExportDefinition]:
    exports: list[ExportDefinition] = []
    for section in sections(component):
        if section.id == ComponentSection.EXPORT:
            exports += items(Cursor(component, section.start, section.end), read_export)
    if any(export.item.sort not in _EXPORTABLE for export in exports):
        raise UnbridgeableError
    return exports


def _enclose(
    guest: _Guest,
    prelude: Prelude,
    exports: list[ExportDefinition],
    exported: ExportedBytes | None,
) -> bytes:
    encoded_prelude = prelude.encode(
        {
            prelude.instance_type(imported.item.index): encode_type(interface.disguised())
            for imported, interface in guest.bridged
        }
    )
    out = ComponentWriter(encoded_prelude, prelude.counts)
    host = [
        (imported.definition.name.name, imported.item.sort, imported.item.index)
        for imported in prelude.imports
    ]
    # Before the guest: so it can be told which core instances the memories are in.
    interfaces = {
        imported.item.index: interface
        for imported, interface in guest.bridged
        if interface.is_bridged
    }
    bridges = {}
    for instance in interfaces:
        bridge = bridge_component(prelude, encoded_prelude, interfaces, instance)
        index = out.embed(ComponentSection.COMPONENT, bridge, Sort.COMPONENT)
        bridges[Sort.INSTANCE, instance] = out.instantiate(index, host)
    forwarding = None
    if exported is not None and exported.functions:
        forwarding = Forwarding(out, MAX_EXPORTED_PAGES)
    enclosed = out.embed(ComponentSection.COMPONENT, guest.binary, Sort.COMPONENT)
    arguments = [(name, sort, bridges.get((sort, index), index)) for name, sort, index in host]
    instance = out.instantiate(enclosed, arguments)

    own = {} if exported is None else exported.define_own(out)
    aliases: dict[str, int] = {}
    for export in exports:
        sort, name = export.item.sort, export.name.name
        aliases[name] = out.alias(sort, instance, name)
        ascribed = ExternType(sort, own[name]) if name in own else None
        out.export(encode_extern_name(export.name), sort, aliases[name], ascribed)

    def find(function: ExportedFunction) -> int:
        if function.interface is None:
            return aliases[function.name]
        return out.alias(Sort.FUNC, aliases[function.interface], function.name)

    if exported is not None and forwarding is not None:
        exported.export(out, forwarding, find)
    return out.finish()
