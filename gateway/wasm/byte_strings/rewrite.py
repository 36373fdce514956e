"""The component around a guest and its bridges."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.wasm.binary.component_writer import ComponentWriter
from gateway.wasm.binary.cursor import Cursor, MalformedBinary
from gateway.wasm.binary.definitions import ExportDefinition, items, read_export
from gateway.wasm.binary.extern import Sort, encode_extern_name
from gateway.wasm.binary.sections import ComponentSection, sections
from gateway.wasm.binary.type_format import encode_type
from gateway.wasm.byte_strings.bridge import bridge_component
from gateway.wasm.byte_strings.imported_interface import ImportedInterface, read_interfaces
from gateway.wasm.byte_strings.prelude import (
    Prelude,
    PreludeImport,
    UnbridgeableError,
    read_prelude,
)

__all__ = ["Rewritten", "rewrite"]

# How many interfaces are bridged. Threat: a component that imports one under a thousand versions.
# Arbitrary; a component has two or three that are worth it.
MAX_BRIDGES: Final = 16

# What a component can export and another around it export again. A type cannot be: the functions
# would go on naming the inner one. (The types of a world are not exported but imported.)
_EXPORTABLE: Final = frozenset({Sort.FUNC, Sort.INSTANCE})


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A component that does what another does, with bytes that cross as strings.

    Attributes:
        component: the binary.
        functions: by import name and function name, the functions whose types changed. The value
            has an entry for each `string` in the function's type as the engine tells it now:
            parameters and then result, depth first, a type that is used twice counted twice. True
            stands for bytes, False for what was a string before.

    The host reads bytes as `string.encode("latin-1")` and passes `data.decode("latin-1")`. Every
    string of these functions crosses like that; one that was a string before, as its UTF-8:
    `string.encode("latin-1").decode()`, and back `text.encode().decode("latin-1")`. To pass a
    character above U+00FF is a mistake of the host, and garbles what the guest gets.
    """

    component: bytes
    functions: Mapping[tuple[str, str], tuple[bool, ...]]


def rewrite(component: bytes, wants: Callable[[str], bool]) -> Rewritten | None:
    """Disguises `list<u8>` in the imported interfaces that `wants` says yes to.

    Args:
        component: a binary; that it is valid is for the engine to say, before or after.
        wants: given the name of an imported instance ("wasi:io/streams@0.2.0").

    Returns:
        None if there is nothing to disguise, or the component is damaged, or its imports are not
        all at its beginning, or it exports more than functions and instances. It is to be used as
        it is, then; and also where the engine refuses what this returns.
    """
    try:
        prelude = read_prelude(component)
        interfaces = read_interfaces(prelude)
        bridged = _bridged(prelude, interfaces, wants)
        if not bridged:
            return None
        exports = _read_exports(component)
    except (MalformedBinary, UnbridgeableError):
        return None
    return Rewritten(
        component=_enclose(component, prelude, bridged, exports),
        functions={
            (imported.definition.name.name, function.name.name): function.strings
            for imported, interface in bridged
            for function in interface.bridgeable
        },
    )


def _bridged(
    prelude: Prelude, interfaces: Mapping[int, ImportedInterface], wants: Callable[[str], bool]
) -> list[tuple[PreludeImport, ImportedInterface]]:
    found: list[tuple[PreludeImport, ImportedInterface]] = []
    uses = Counter(prelude.instance_types)
    for imported in prelude.imports:
        if imported.item.sort is not Sort.INSTANCE or len(found) == MAX_BRIDGES:
            continue
        type_index = prelude.instance_type(imported.item.index)
        interface = interfaces.get(type_index)
        # A type that two imports share would change for both.
        if interface is None or uses[type_index] > 1 or not interface.bridgeable:
            continue
        if wants(imported.definition.name.name):
            found.append((imported, interface))
    return found


def _read_exports(component: bytes) -> list[ExportDefinition]:
    exports: list[ExportDefinition] = []
    for section in sections(component):
        if section.id == ComponentSection.EXPORT:
            exports += items(Cursor(component, section.start, section.end), read_export)
    if any(export.item.sort not in _EXPORTABLE for export in exports):
        raise UnbridgeableError
    return exports


def _enclose(
    component: bytes,
    prelude: Prelude,
    bridged: list[tuple[PreludeImport, ImportedInterface]],
    exports: list[ExportDefinition],
) -> bytes:
    disguised = {}
    for imported, interface in bridged:
        encoded = encode_type(interface.disguised())
        disguised[prelude.instance_type(imported.item.index)] = encoded
    encoded_prelude = prelude.encode(disguised)
    out = ComponentWriter(encoded_prelude, prelude.counts)
    guest = out.embed(ComponentSection.COMPONENT, component, Sort.COMPONENT)

    host = [
        (imported.definition.name.name, imported.item.sort, imported.item.index)
        for imported in prelude.imports
    ]
    bridges = {}
    for imported, interface in bridged:
        bridge = bridge_component(prelude, encoded_prelude, interface, imported.item.index)
        index = out.embed(ComponentSection.COMPONENT, bridge, Sort.COMPONENT)
        bridges[imported.definition.name.name] = out.instantiate(index, host)
    arguments = [(name, sort, bridges.get(name, index)) for name, sort, index in host]
    instance = out.instantiate(guest, arguments)

    for export in exports:
        sort = export.item.sort
        out.export(
            encode_extern_name(export.name), sort, out.alias(sort, instance, export.name.name)
        )
    return out.finish()
