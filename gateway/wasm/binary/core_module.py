"""What a core module imports, exports and takes, and its custom sections.

Grammar: WebAssembly Core Specification, 5.3 "Types" and 5.5 "Modules". Code and data are not read here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, TypeVar

from gateway.wasm.binary.core_types import FUNCREF, FUNCTION_TYPE, PAGE_SIZE_LOG2, CoreFunction
from gateway.wasm.binary.cursor import Cursor, MalformedBinary
from gateway.wasm.binary.definitions import items
from gateway.wasm.binary.extern import Sort, SortIndex, read_core_sort_index
from gateway.wasm.binary.sections import (
    MODULE_PREAMBLE,
    PREAMBLE_SIZE,
    CoreSection,
    Section,
    sections,
)

__all__ = [
    "CoreImport",
    "CoreModule",
    "Limits",
    "read_memory_type",
    "read_table_type",
    "read_value_type",
]

T = TypeVar("T")

# How many sections are read. Threat: a file that is nothing but empty ones, each of which is
# work here. Unit: sections. Arbitrary: real modules have some thirty.
MAX_MODULE_SECTIONS: Final = 1_000

# How many imports and exports are read. Threat: a file of some megabytes with a million of them, each
# of which is work here. Unit: imports, and exports. Precedent: wasmparser stops at a million; a module
# that uses all of WASI imports some 300 functions.
MAX_EXTERNS: Final = 20_000

# How large a section of types is kept, which is for the sake of messages only. Threat: a section of
# nothing but empty function types, which take twenty times as much memory. Unit: bytes. Arbitrary: real
# modules have some kilobytes of types.
MAX_TYPES_SIZE: Final = 256 << 10

_SHARED: Final = 0x02
_WIDE: Final = 0x04
# `(ref null heaptype)`, `(ref heaptype)`: the heap type follows.
_REFERENCES: Final = frozenset({0x63, 0x64})
# Numbers, vectors and references to functions. Every other type is, or may be, a reference to
# something that is collected.
_UNCOLLECTED: Final = frozenset({0x7F, 0x7E, 0x7D, 0x7C, 0x7B, FUNCREF})


class Limits(NamedTuple):
    """How large a memory or table is in the beginning, and may grow to; None for any size."""

    minimum: int
    maximum: int | None


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


class CoreModule:
    """A core module. Each of its sections is read when something in it is first asked for.

    Every property raises `MalformedBinary` where its section is damaged.

    Attributes:
        binary: the file that it is, or is in.
        sections: its sections by id, without custom ones.
        custom: its custom sections.
    """

    def __init__(self, binary: bytes, start: int = 0, end: int | None = None) -> None:
        """Finds the sections of the module from `start` to `end`.

        Raises:
            MalformedBinary: no module starts there, a section's length lies or its id is there twice, or
                there are more sections than are read.
        """
        if not binary.startswith(MODULE_PREAMBLE, start):
            raise MalformedBinary(start, "no core module starts here")
        self.binary = binary
        self.sections: dict[int, Section] = {}
        self.custom: list[Section] = []
        for count, section in enumerate(sections(binary, start + PREAMBLE_SIZE, end)):
            if count == MAX_MODULE_SECTIONS:
                raise MalformedBinary(section.start, f"more than {MAX_MODULE_SECTIONS} sections")
            if section.id == CoreSection.CUSTOM:
                self.custom.append(section)
            elif self.sections.setdefault(section.id, section) is not section:
                raise MalformedBinary(section.start, f"a second section with the id {section.id}")

    @cached_property
    def types(self) -> tuple[CoreFunction, ...]:
        """Its function types; none where it has types that are not read here, or too many."""
        section = self.sections.get(CoreSection.TYPE)
        if section is None or section.end - section.start > MAX_TYPES_SIZE:
            return ()
        types = list(self._function_types())
        return () if None in types else tuple(filter(None, types))

    @cached_property
    def imports(self) -> tuple[CoreImport, ...]:
        """Its imports, in their order."""
        return tuple(self._externs(CoreSection.IMPORT, _read_import))

    @cached_property
    def exports(self) -> dict[str, SortIndex]:
        """By name, what it exports."""
        return dict(self._externs(CoreSection.EXPORT, _read_export))

    def exports_a(self, sort: Sort, name: str) -> bool:
        """Tells whether it exports something of this sort by this name."""
        return name in self.exports and self.exports[name].sort is sort

    @property
    def memories(self) -> tuple[Limits, ...]:
        """The sizes of each memory that it defines, in bytes."""
        return tuple(limits for _, limits in self._memories)

    @property
    def tables(self) -> tuple[Limits, ...]:
        """The sizes of each table that it defines, in elements.

        A table whose elements have an initial value counts as damage: the value is an expression, whose
        end only its opcodes tell.
        """
        return tuple(limits for _, limits in self._tables)

    @property
    def shared(self) -> bool:
        """Whether one of the memories that it defines is shared among threads."""
        return any(flags & _SHARED for flags, _ in self._memories)

    @property
    def wide(self) -> bool:
        """Whether one of the memories that it defines has 64-bit addresses."""
        return any(flags & _WIDE for flags, _ in self._memories)

    @property
    def collects(self) -> bool:
        """Whether it has types of references whose targets are garbage-collected."""
        return any(
            function is None or not _UNCOLLECTED.issuperset(function.parameters + function.results)
            for function in self._function_types()
        ) or any(reference_type not in _UNCOLLECTED for reference_type, _ in self._tables)

    @cached_property
    def _memories(self) -> tuple[tuple[int, Limits], ...]:
        return tuple(items(self.cursor(CoreSection.MEMORY), read_memory_type))

    @cached_property
    def _tables(self) -> tuple[tuple[int, Limits], ...]:
        return tuple(items(self.cursor(CoreSection.TABLE), read_table_type))

    def cursor(self, section_id: CoreSection) -> Cursor:
        """Reads the payload of a section; an absent one is an empty vector, which is the same (5.5.2)."""
        section = self.sections.get(section_id)
        return Cursor(b"\0") if section is None else Cursor(self.binary, section.start, section.end)

    def _externs(self, section_id: CoreSection, read: Callable[[Cursor], T]) -> Iterator[T]:
        """Reads the items of a section, `MAX_EXTERNS` at most."""
        count = self.cursor(section_id).count()
        cursor = self.cursor(section_id)
        if count > MAX_EXTERNS:
            raise cursor.malformed(f"{count} imports or exports, where {MAX_EXTERNS} are the most")
        return items(cursor, read)

    def _function_types(self) -> Iterator[CoreFunction | None]:
        """Reads its types; None, and nothing more, for one that is not read here."""
        cursor = self.cursor(CoreSection.TYPE)
        for _ in range(cursor.count()):
            function = _read_function_type(cursor)
            yield function
            if function is None:
                return


def _read_function_type(cursor: Cursor) -> CoreFunction | None:
    """Reads a `rectype` if it is a function of types that are a byte each, else gives None."""
    if cursor.byte() != FUNCTION_TYPE:
        return None
    sides: list[tuple[int, ...]] = []
    for _ in ("parameters", "results"):
        side = tuple(cursor.byte() for _ in range(cursor.count()))
        if not _REFERENCES.isdisjoint(side):
            return None
        sides.append(side)
    return CoreFunction(*sides)


def _read_import(cursor: Cursor) -> CoreImport:
    module, name = cursor.name(), cursor.name()
    start = cursor.at
    kind = cursor.byte()
    function_type = 0
    match kind:
        case 0x00:
            function_type = cursor.u32()
        case 0x01:
            read_table_type(cursor)
        case 0x02:
            read_memory_type(cursor)
        case 0x03:
            read_value_type(cursor)
            cursor.byte()
        case 0x04:
            cursor.byte()
            cursor.u32()
        case other:
            raise cursor.malformed(f"an import of the unknown kind {other:#04x}")
    described = cursor.data[start : cursor.at]
    return CoreImport(module, name, Sort(b"\0" + bytes([kind])), function_type, described)


def _read_export(cursor: Cursor) -> tuple[str, SortIndex]:
    return cursor.name(), read_core_sort_index(cursor)


def read_memory_type(cursor: Cursor) -> tuple[int, Limits]:
    """Reads a `memtype`: the flags of its limits, and these in bytes."""
    flags, (minimum, maximum) = _read_limits(cursor)
    page_size_log2 = PAGE_SIZE_LOG2
    if flags & 0x08:
        page_size_log2 = cursor.u32()
        if page_size_log2 > PAGE_SIZE_LOG2:
            raise cursor.malformed(f"a page size of 2^{page_size_log2} bytes")
    most = None if maximum is None else maximum << page_size_log2
    return flags, Limits(minimum << page_size_log2, most)


def read_table_type(cursor: Cursor) -> tuple[int, Limits]:
    """Reads a `tabletype`: the first byte of the type of its elements, and how many there are."""
    if cursor.peek() == 0x40:
        raise cursor.malformed("a table with an initial value, which is not read here")
    return read_value_type(cursor), _read_limits(cursor)[1]


def read_value_type(cursor: Cursor) -> int:
    """Reads a `valtype`, and gives its first byte, which is what matters."""
    first = cursor.byte()
    if first in _REFERENCES:
        # An index, or one byte for an abstract type.
        if 0x40 <= cursor.peek() < 0x80:
            cursor.byte()
        else:
            cursor.s33_index()
    return first


def _read_limits(cursor: Cursor) -> tuple[int, Limits]:
    """Reads a `limits`, with its flags: 1 maximum, 2 shared, 4 64-bit, 8 page size."""
    flags = cursor.byte()
    if flags & ~0x0F:
        raise cursor.malformed(f"the unknown limits {flags:#04x}")
    minimum = cursor.u64()
    return flags, Limits(minimum, cursor.u64() if flags & 0x01 else None)
