"""What components import and export: sorts, names and types of externs.

Grammar: Component Model, `Binary.md` "Instance Definitions" (sorts) and "Import and Export
Definitions".
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.wasm.binary import encode
from gateway.wasm.binary.cursor import Cursor

__all__ = [
    "ExternName",
    "ExternType",
    "Sort",
    "SortIndex",
    "encode_extern_name",
    "encode_extern_type",
    "read_core_sort_index",
    "read_extern_name",
    "read_extern_type",
    "read_sort",
    "read_sort_index",
]


class Sort(Enum):
    """What an index counts; the value is how the binary format writes it."""

    _value_: bytes

    CORE_FUNC = b"\x00\x00"
    CORE_TABLE = b"\x00\x01"
    CORE_MEMORY = b"\x00\x02"
    CORE_GLOBAL = b"\x00\x03"
    CORE_TAG = b"\x00\x04"
    CORE_TYPE = b"\x00\x10"
    CORE_MODULE = b"\x00\x11"
    CORE_INSTANCE = b"\x00\x12"
    FUNC = b"\x01"
    VALUE = b"\x02"
    TYPE = b"\x03"
    COMPONENT = b"\x04"
    INSTANCE = b"\x05"


_SORTS: Final = {sort.value: sort for sort in Sort}
_CORE: Final = b"\x00"


@dataclass(frozen=True, slots=True)
class SortIndex:
    """An index and the index space that it belongs to."""

    sort: Sort
    index: int


@dataclass(frozen=True, slots=True)
class ExternName:
    """The name of an import or export, with the options it may carry.

    Attributes:
        name: as written; what the engine knows the import or export by.
        implements: the interface that a plainly named instance implements, or empty.
        version_suffix: what a canonical version ("@0.2") leaves out (".12"), or empty.
        external_id: an identifier that only tools read, or empty.
    """

    name: str
    implements: str = ""
    version_suffix: str = ""
    external_id: str = ""

    @property
    def interface(self) -> str:
        """The interface or plain name it stands for, with its whole version."""
        return (self.implements or self.name) + self.version_suffix


@dataclass(frozen=True, slots=True)
class ExternType:
    """The type of an import or export.

    Attributes:
        sort: what is imported or exported.
        index: a type index; for `Sort.CORE_MODULE` a core type index. None for a new resource type.
    """

    sort: Sort
    index: int | None


def read_sort(cursor: Cursor) -> Sort:
    """A `sort`."""
    encoded = bytes([cursor.byte()])
    if encoded == _CORE:
        encoded += bytes([cursor.byte()])
    sort = _SORTS.get(encoded)
    if sort is None:
        raise cursor.malformed(f"the unknown sort {encoded.hex()}")
    return sort


def read_core_sort_index(cursor: Cursor) -> SortIndex:
    """A `core:sortidx`, whose sort has no byte that says it is core."""
    encoded = _CORE + bytes([cursor.byte()])
    sort = _SORTS.get(encoded)
    if sort is None:
        raise cursor.malformed(f"the unknown core sort {encoded[1:].hex()}")
    return SortIndex(sort, cursor.u32())


def read_extern_name(cursor: Cursor) -> ExternName:
    """An `importname'` or `exportname'`."""
    match cursor.byte():
        # 1 is how tools before 2024 marked the names of interfaces; it carries nothing.
        case 0x00 | 0x01:
            return ExternName(cursor.name())
        case 0x02:
            name = cursor.name()
            options = {0x00: "", 0x01: "", 0x02: ""}
            for _ in range(cursor.count()):
                option = cursor.byte()
                if options.get(option) != "":
                    raise cursor.malformed(f"the unknown or repeated name option {option:#04x}")
                options[option] = cursor.name()
            return ExternName(name, *options.values())
        case other:
            raise cursor.malformed(f"the unknown form of name {other:#04x}")


def read_extern_type(cursor: Cursor) -> ExternType:
    """An `externdesc`."""
    sort = read_sort(cursor)
    match sort:
        case Sort.FUNC | Sort.COMPONENT | Sort.INSTANCE | Sort.CORE_MODULE:
            return ExternType(sort, cursor.u32())
        case Sort.TYPE:
            match cursor.byte():
                case 0x00:
                    return ExternType(sort, cursor.u32())
                case 0x01:
                    return ExternType(sort, None)
                case other:
                    raise cursor.malformed(f"the unknown type bound {other:#04x}")
        case _:
            raise cursor.malformed(f"an import or export of sort {sort.name}")


def read_sort_index(cursor: Cursor) -> SortIndex:
    """A `sortidx`."""
    return SortIndex(read_sort(cursor), cursor.u32())


def encode_extern_name(name: ExternName) -> bytes:
    """An `importname'` or `exportname'`."""
    options = [
        bytes([option]) + encode.name(text)
        for option, text in enumerate((name.implements, name.version_suffix, name.external_id))
        if text
    ]
    if not options:
        return b"\x00" + encode.name(name.name)
    return b"\x02" + encode.name(name.name) + encode.vector(options)


def encode_extern_type(extern: ExternType) -> bytes:
    """An `externdesc`."""
    sort = extern.sort.value
    if extern.index is None:
        return sort + b"\x01"
    bound = b"\x00" if extern.sort is Sort.TYPE else b""
    return sort + bound + encode.u32(extern.index)
