"""What a core module imports and exports, and its custom sections.

Grammar: WebAssembly Core Specification, 5.5 "Modules".
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.wasm.binary.cursor import Cursor, MalformedBinary
from gateway.wasm.binary.definitions import items
from gateway.wasm.binary.extern import Sort
from gateway.wasm.binary.sections import MODULE_PREAMBLE, CoreSection, Section, sections
from gateway.wasm.componentize.canonical_abi import CoreFunction

__all__ = ["CoreImport", "CoreModule", "read_core_module"]

# How many imports and exports are read. Threat: a file of some megabytes with a million of them, each
# of which is work here. Unit: imports, and exports. Precedent: wasmparser stops at a million; a module
# that uses all of WASI imports some 300 functions.
MAX_EXTERNS: Final = 20_000

# How many sections, and how large a section of types is read, which is for the sake of messages only.
# Threat: a file that is nothing but empty sections, or types. Unit: sections, and bytes. Arbitrary: real
# modules have some thirty sections, and some kilobytes of types.
MAX_SECTIONS: Final = 1_000
MAX_TYPES_SIZE: Final = 256 << 10

_FUNCTION: Final = 0x00
_TABLE: Final = 0x01
_MEMORY: Final = 0x02
_GLOBAL: Final = 0x03
_TAG: Final = 0x04
_SORTS: Final = {
    _FUNCTION: Sort.CORE_FUNC,
    _TABLE: Sort.CORE_TABLE,
    _MEMORY: Sort.CORE_MEMORY,
    _GLOBAL: Sort.CORE_GLOBAL,
    _TAG: Sort.CORE_TAG,
}
_FUNCTION_TYPE: Final = 0x60
_LAST_NUMBER_TYPE: Final = 0x7B


@dataclass(frozen=True, slots=True)
class CoreImport:
    """An import.

    Attributes:
        module: the first of its two names.
        name: the second.
        sort: what is imported.
        type: of a function, the index of its type; else 0.
        described: its kind and type, as they are encoded.
    """

    module: str
    name: str
    sort: Sort
    type: int
    described: bytes


@dataclass(slots=True)
class CoreModule:
    """What there is to know of a core module without looking at its code.

    Attributes:
        binary: all of it.
        types: its function types; empty where it has types of another form, or too many.
        imports: its imports, in their order.
        exports: by name, what is exported.
        custom: its custom sections.
    """

    binary: bytes
    types: list[CoreFunction] = field(default_factory=list)
    imports: list[CoreImport] = field(default_factory=list)
    exports: dict[str, Sort] = field(default_factory=dict)
    custom: list[Section] = field(default_factory=list)

    def exports_function(self, name: str) -> bool:
        """Whether there is a function that is exported by this name."""
        return self.exports.get(name) is Sort.CORE_FUNC


def read_core_module(binary: bytes) -> CoreModule:
    """Reads a core module.

    Raises:
        MalformedBinary: damaged, or with more sections, imports or exports than are read.
    """
    if not binary.startswith(MODULE_PREAMBLE):
        raise MalformedBinary(0, "no core module starts here")
    module = CoreModule(binary)
    for count, section in enumerate(sections(binary)):
        cursor = Cursor(binary, section.start, section.end)
        if count == MAX_SECTIONS:
            raise cursor.malformed(f"more than {MAX_SECTIONS} sections")
        match section.id:
            case CoreSection.CUSTOM:
                module.custom.append(section)
            case CoreSection.TYPE if section.end - section.start <= MAX_TYPES_SIZE:
                module.types = _read_types(cursor)
            case CoreSection.IMPORT:
                _limit(cursor)
                module.imports = list(items(cursor, _read_import))
            case CoreSection.EXPORT:
                _limit(cursor)
                module.exports = dict(items(cursor, _read_export))
            case _:
                pass
    return module


def _limit(cursor: Cursor) -> None:
    count = Cursor(cursor.data, cursor.at, cursor.end).count()
    if count > MAX_EXTERNS:
        raise cursor.malformed(f"{count} imports or exports, where {MAX_EXTERNS} are the most")


def _read_types(cursor: Cursor) -> list[CoreFunction]:
    """The function types; none where one has a form other than a function of numbers."""
    types: list[CoreFunction] = []
    for _ in range(cursor.count()):
        if cursor.byte() != _FUNCTION_TYPE:
            return []
        parameters, results = tuple(_number_types(cursor)), tuple(_number_types(cursor))
        if min(parameters + results, default=_LAST_NUMBER_TYPE) < _LAST_NUMBER_TYPE:
            return []
        types.append(CoreFunction(parameters, results))
    return types


def _number_types(cursor: Cursor) -> Iterator[int]:
    for _ in range(cursor.count()):
        yield cursor.byte()


def _read_import(cursor: Cursor) -> CoreImport:
    module, name = cursor.name(), cursor.name()
    start = cursor.at
    kind = cursor.byte()
    function_type = 0
    match kind:
        case 0x00:
            function_type = cursor.u32()
        case 0x01:
            _skip_reference_type(cursor)
            _skip_limits(cursor)
        case 0x02:
            _skip_limits(cursor)
        case 0x03:
            _skip_reference_type(cursor)
            cursor.byte()
        case 0x04:
            cursor.byte()
            cursor.u32()
        case other:
            raise cursor.malformed(f"an import of the unknown kind {other:#04x}")
    described = cursor.data[start : cursor.at]
    return CoreImport(module, name, _SORTS[kind], function_type, described)


def _skip_reference_type(cursor: Cursor) -> None:
    """A value type, which is a byte, or `(ref null? heaptype)`."""
    if cursor.byte() in {0x63, 0x64}:
        if 0x40 <= cursor.peek() < 0x80:
            cursor.byte()
        else:
            cursor.s33_index()


def _skip_limits(cursor: Cursor) -> None:
    flags = cursor.byte()
    cursor.u64()
    if flags & 0x01:
        cursor.u64()
    if flags & 0x08:
        cursor.u32()


def _read_export(cursor: Cursor) -> tuple[str, Sort]:
    name = cursor.name()
    kind = cursor.byte()
    cursor.u32()
    if kind not in _SORTS:
        raise cursor.malformed(f"an export of the unknown kind {kind:#04x}")
    return name, _SORTS[kind]
