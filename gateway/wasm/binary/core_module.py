"""What an instance of a core module takes: its memories, its tables, a heap.

Grammar: WebAssembly Core Specification, 5.3 "Types" and 5.5 "Modules".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.wasm.binary.cursor import Cursor, MalformedBinary
from gateway.wasm.binary.definitions import items
from gateway.wasm.binary.sections import MODULE_PREAMBLE, PREAMBLE_SIZE, CoreSection, sections

__all__ = ["CoreModule", "Limits", "read_core_module"]

_PAGE_SIZE_LOG2: Final = 16

_SHARED: Final = 0x02

_FUNCTION_TYPE: Final = 0x60
_FUNCREF: Final = 0x70
# Numbers, vectors and references to functions. Every other type is, or may be, a reference to
# something that is collected.
_UNCOLLECTED: Final = frozenset({0x7F, 0x7E, 0x7D, 0x7C, 0x7B, _FUNCREF})


class Limits(NamedTuple):
    """How large a memory or table is in the beginning, and may grow to; None for any size."""

    minimum: int
    maximum: int | None


@dataclass(frozen=True, slots=True)
class CoreModule:
    """What an instance of a core module takes.

    Attributes:
        memories: the sizes of each memory that it defines, in bytes.
        tables: the sizes of each table that it defines, in elements.
        shared: whether one of these memories is shared among threads.
        collects: whether there are types of references in it whose targets are garbage-collected.
    """

    memories: tuple[Limits, ...] = ()
    tables: tuple[Limits, ...] = ()
    shared: bool = False
    collects: bool = False


def read_core_module(data: bytes, start: int, end: int) -> CoreModule:
    """The core module from `start` to `end`. Its code and its data are not looked at.

    Raises:
        MalformedBinary: damaged, or with a table whose elements have an initial value: it is an
            expression, whose end only its opcodes tell.
    """
    if not data.startswith(MODULE_PREAMBLE, start):
        raise MalformedBinary(start, "no core module starts here")
    memories: tuple[tuple[int, Limits], ...] = ()
    tables: tuple[tuple[int, Limits], ...] = ()
    collects = False
    for section in sections(data, start + PREAMBLE_SIZE, end):
        cursor = Cursor(data, section.start, section.end)
        match section.id:
            case CoreSection.TYPE:
                collects = not _uncollected_only(cursor)
            case CoreSection.MEMORY:
                memories = tuple(items(cursor, _read_memory_type))
            case CoreSection.TABLE:
                tables = tuple(items(cursor, _read_table_type))
            case _:
                pass
    collects |= any(reference_type not in _UNCOLLECTED for reference_type, _ in tables)
    return CoreModule(
        tuple(limits for _, limits in memories),
        tuple(limits for _, limits in tables),
        shared=any(flags & _SHARED for flags, _ in memories),
        collects=collects,
    )


def _uncollected_only(cursor: Cursor) -> bool:
    """Whether all types are functions of numbers, vectors and references to functions."""
    for _ in range(cursor.count()):
        if cursor.byte() != _FUNCTION_TYPE:
            return False
        if any(core_type not in _UNCOLLECTED for core_type in _signature(cursor)):
            return False
    return True


def _signature(cursor: Cursor) -> Iterator[int]:
    for _ in ("parameters", "results"):
        for _ in range(cursor.count()):
            yield cursor.byte()


def _read_memory_type(cursor: Cursor) -> tuple[int, Limits]:
    """A `memtype`: the flags of its limits, and these in bytes."""
    flags, (minimum, maximum) = _read_limits(cursor)
    page_size_log2 = _PAGE_SIZE_LOG2
    if flags & 0x08:
        page_size_log2 = cursor.u32()
        if page_size_log2 > _PAGE_SIZE_LOG2:
            raise cursor.malformed(f"a page size of 2^{page_size_log2} bytes")
    most = None if maximum is None else maximum << page_size_log2
    return flags, Limits(minimum << page_size_log2, most)


def _read_table_type(cursor: Cursor) -> tuple[int, Limits]:
    reference_type = cursor.byte()
    match reference_type:
        case 0x40:
            raise cursor.malformed("a table with an initial value, which is not read here")
        # `(ref null? heaptype)`: an index, or one byte for an abstract type.
        case 0x63 | 0x64 if 0x40 <= cursor.peek() < 0x80:
            cursor.byte()
        case 0x63 | 0x64:
            cursor.s33_index()
        case _:
            pass
    return reference_type, _read_limits(cursor)[1]


def _read_limits(cursor: Cursor) -> tuple[int, Limits]:
    """A `limits`, with its flags: 1 maximum, 2 shared, 4 64-bit, 8 page size."""
    flags = cursor.byte()
    if flags & ~0x0F:
        raise cursor.malformed(f"the unknown limits {flags:#04x}")
    minimum = cursor.u64()
    return flags, Limits(minimum, cursor.u64() if flags & 0x01 else None)
