"""The names that a component imports and exports."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.wasm.binary.cursor import Cursor, MalformedBinary
from gateway.wasm.binary.definitions import (
    ExportDefinition,
    Import,
    items,
    read_export,
    read_import,
)
from gateway.wasm.binary.extern import ExternName
from gateway.wasm.binary.sections import ComponentSection, is_component, sections

__all__ = ["Externs", "component_externs", "wasi_0_3_externs"]

# "wasi:http/types@0.3.0", "@0.3.0-rc-2025-09-16" and the canonical "@0.3".
_WASI_0_3: Final = re.compile(r"wasi:[^@]*@0\.3(?![0-9])")


@dataclass(frozen=True, slots=True)
class Externs:
    """The names of a component's imports and exports, each in the order of the file."""

    imports: tuple[ExternName, ...]
    exports: tuple[ExternName, ...]


def component_externs(data: bytes) -> Externs:
    """The names that the component `data` imports and exports, types included.

    Reads two kinds of section and passes over the others unread, so that a component which uses
    definitions that this package does not know can still be told by the names it asks for.

    Raises:
        MalformedBinary: not a component, or damaged on the way to the names.
    """
    if not is_component(data):
        raise MalformedBinary(0, "not a component")
    readers: dict[int, tuple[Callable[[Cursor], Import | ExportDefinition], list[ExternName]]] = {
        ComponentSection.IMPORT: (read_import, []),
        ComponentSection.EXPORT: (read_export, []),
    }
    for section in sections(data):
        if section.id in readers:
            read, names = readers[section.id]
            cursor = Cursor(data, section.start, section.end)
            names.extend(extern.name for extern in items(cursor, read))
    (_, imports), (_, exports) = readers.values()
    return Externs(tuple(imports), tuple(exports))


def wasi_0_3_externs(data: bytes) -> tuple[str, ...]:
    """The interfaces of WASI 0.3, with their versions, that the component imports or exports.

    They need `stream` and `future` values, which wasmtime's C API does not carry: such a component
    is served as `gateway.wasm.wasip3` has it, or refused by these names.

    Raises:
        MalformedBinary: as `component_externs`.
    """
    externs = component_externs(data)
    interfaces = (name.interface for name in externs.imports + externs.exports)
    return tuple(dict.fromkeys(name for name in interfaces if _WASI_0_3.match(name)))
