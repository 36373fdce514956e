"""The definitions of a component outside its types: imports, exports, aliases, instances, canons.

Grammar: Component Model, `Binary.md`, whose words are the names here. Each `read_*` reads one item
of the vector that its section is, and leaves the cursor behind it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeVar

from gateway.wasm.binary import encode
from gateway.wasm.binary.cursor import Cursor
from gateway.wasm.binary.extern import (
    ExternName,
    ExternType,
    Sort,
    SortIndex,
    read_core_sort_index,
    read_extern_name,
    read_extern_type,
    read_sort,
    read_sort_index,
)

__all__ = [
    "Alias",
    "BagOfExports",
    "Canon",
    "CanonOption",
    "CanonOptions",
    "CoreExportAlias",
    "ExportAlias",
    "ExportDefinition",
    "Import",
    "Instantiation",
    "Lift",
    "Lower",
    "OuterAlias",
    "ResourceBuiltin",
    "TaskBuiltin",
    "encode_alias",
    "encode_canon",
    "encode_core_instance",
    "items",
    "read_alias",
    "read_canon",
    "read_core_instance",
    "read_export",
    "read_import",
    "read_instance",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Import:
    """An import of a component."""

    name: ExternName
    type: ExternType


@dataclass(frozen=True, slots=True)
class ExportDefinition:
    """An export of a component. It adds `item` once more to the index space of its sort."""

    name: ExternName
    item: SortIndex
    type: ExternType | None


@dataclass(frozen=True, slots=True)
class ExportAlias:
    """An export of an instance, by name."""

    sort: Sort
    instance: int
    name: str


@dataclass(frozen=True, slots=True)
class CoreExportAlias:
    """An export of a core instance, by name."""

    sort: Sort
    instance: int
    name: str


@dataclass(frozen=True, slots=True)
class OuterAlias:
    """An item of an enclosing component: `count` levels out, 0 being where the alias stands."""

    sort: Sort
    count: int
    index: int


Alias = ExportAlias | CoreExportAlias | OuterAlias


@dataclass(frozen=True, slots=True)
class Instantiation:
    """An instance that is made of a component, or a core instance that is made of a module.

    Attributes:
        source: a component index, or a core module index.
        arguments: by the name of the import that each satisfies.
    """

    source: int
    arguments: dict[str, SortIndex]


@dataclass(frozen=True, slots=True)
class BagOfExports:
    """An instance or core instance that only gives names to items that exist already."""

    exports: dict[str, SortIndex]


class CanonOption(IntEnum):
    """The options of canonical definitions (`canonopt`); the value is the opcode."""

    UTF8 = 0x00
    UTF16 = 0x01
    LATIN1_UTF16 = 0x02
    MEMORY = 0x03
    REALLOC = 0x04
    POST_RETURN = 0x05
    ASYNC = 0x06
    CALLBACK = 0x07
    CORE_TYPE = 0x08
    GC = 0x09


CanonOptions = Mapping[CanonOption, int | None]


@dataclass(frozen=True, slots=True)
class Lift:
    """A core function that becomes a component function.

    Attributes:
        core_function: the core function.
        type: the index of the type that it gets.
        options: by option, its index; None for those that have none.
    """

    core_function: int
    type: int
    options: CanonOptions

    @property
    def is_async(self) -> bool:
        """Whether it returns before it has a result."""
        return CanonOption.ASYNC in self.options


@dataclass(frozen=True, slots=True)
class Lower:
    """A component function that becomes a core function.

    Attributes:
        function: the component function.
        options: as of `Lift`.
    """

    function: int
    options: CanonOptions


@dataclass(frozen=True, slots=True)
class ResourceBuiltin:
    """One of `resource.new`, `resource.drop` and `resource.rep`: a core function."""

    resource: int


@dataclass(frozen=True, slots=True)
class TaskBuiltin:
    """Any other that is a core function: for tasks, what they wait for, streams and futures."""


Canon = Lift | Lower | ResourceBuiltin | TaskBuiltin


def items(cursor: Cursor, read: Callable[[Cursor], T]) -> Iterator[T]:
    """The items of a vector; nothing may follow the last one.

    Raises:
        MalformedBinary: an item that `read` refuses, or bytes left over.
    """
    for _ in range(cursor.count()):
        yield read(cursor)
    cursor.finish()


def read_import(cursor: Cursor) -> Import:
    """An `import`."""
    return Import(read_extern_name(cursor), read_extern_type(cursor))


def read_export(cursor: Cursor) -> ExportDefinition:
    """An `export`."""
    name = read_extern_name(cursor)
    item = read_sort_index(cursor)
    match cursor.byte():
        case 0x00:
            return ExportDefinition(name, item, None)
        case 0x01:
            return ExportDefinition(name, item, read_extern_type(cursor))
        case other:
            raise cursor.malformed(f"the unknown type ascription {other:#04x}")


def read_alias(cursor: Cursor) -> Alias:
    """An `alias`."""
    sort = read_sort(cursor)
    match cursor.byte():
        case 0x00:
            return ExportAlias(sort, cursor.u32(), cursor.name())
        case 0x01:
            return CoreExportAlias(sort, cursor.u32(), cursor.name())
        case 0x02:
            return OuterAlias(sort, cursor.u32(), cursor.u32())
        case other:
            raise cursor.malformed(f"the unknown alias target {other:#04x}")


def read_instance(cursor: Cursor) -> Instantiation | BagOfExports:
    """An `instanceexpr`."""
    match cursor.byte():
        case 0x00:
            component = cursor.u32()
            arguments = {}
            for _ in range(cursor.count()):
                name = cursor.name()
                arguments[name] = read_sort_index(cursor)
            return Instantiation(component, arguments)
        case 0x01:
            exports = {}
            for _ in range(cursor.count()):
                name = read_extern_name(cursor).name
                exports[name] = read_sort_index(cursor)
            return BagOfExports(exports)
        case other:
            raise cursor.malformed(f"the unknown instance expression {other:#04x}")


def read_core_instance(cursor: Cursor) -> Instantiation | BagOfExports:
    """A `core:instanceexpr`."""
    form = cursor.byte()
    match form:
        case 0x00:
            module = cursor.u32()
        case 0x01:
            module = 0
        case other:
            raise cursor.malformed(f"the unknown core instance expression {other:#04x}")
    members = {}
    for _ in range(cursor.count()):
        name = cursor.name()
        members[name] = read_core_sort_index(cursor)
    return BagOfExports(members) if form else Instantiation(module, members)


def read_canon(cursor: Cursor) -> Canon:
    """A `canon`, but for those of threads, and for `error-context`."""
    opcode = cursor.byte()
    if opcode in _TASK_BUILTINS:
        for immediate in _TASK_BUILTINS[opcode]:
            _IMMEDIATES[immediate](cursor)
        return TaskBuiltin()
    match opcode:
        case 0x00:
            _read_function_marker(cursor)
            core_function = cursor.u32()
            options = _read_canon_options(cursor)
            return Lift(core_function, cursor.u32(), options)
        case 0x01:
            _read_function_marker(cursor)
            return Lower(cursor.u32(), _read_canon_options(cursor))
        case 0x02 | 0x03 | 0x04:
            return ResourceBuiltin(cursor.u32())
        case other:
            raise cursor.malformed(f"the unknown canonical definition {other:#04x}")


def encode_alias(alias: CoreExportAlias) -> bytes:
    """An `alias` of a core instance's export."""
    return alias.sort.value + b"\x01" + encode.u32(alias.instance) + encode.name(alias.name)


def encode_core_instance(instance: Instantiation | BagOfExports) -> bytes:
    """A `core:instanceexpr`."""
    match instance:
        case Instantiation(module, members):
            form = b"\x00" + encode.u32(module)
        case BagOfExports(members):
            form = b"\x01"
    return form + encode.vector(
        encode.name(name) + member.sort.value[1:] + encode.u32(member.index)
        for name, member in members.items()
    )


def encode_canon(canon: Lift | Lower) -> bytes:
    """A `canon lift` or `canon lower`."""
    options = encode.vector(
        bytes([option]) + (b"" if index is None else encode.u32(index))
        for option, index in canon.options.items()
    )
    match canon:
        case Lift(core_function, type_index):
            return b"\x00\x00" + encode.u32(core_function) + options + encode.u32(type_index)
        case Lower(function):
            return b"\x01\x00" + encode.u32(function) + options


# The immediates of each: an (i)ndex, a byte that is a (f)lag or a type, (o)ptions, a (r)esult.
_TASK_BUILTINS: Final = {
    **dict.fromkeys((0x05, 0x0D, 0x1F, 0x22, 0x23, 0x24, 0x25), ""),
    **dict.fromkeys((0x06, 0x0C), "f"),
    **dict.fromkeys((0x0A, 0x0B, 0x20, 0x21), "fi"),
    **dict.fromkeys((0x0E, 0x13, 0x14, 0x15, 0x1A, 0x1B), "i"),
    **dict.fromkeys((0x0F, 0x10, 0x16, 0x17), "io"),
    **dict.fromkeys((0x11, 0x12, 0x18, 0x19), "if"),
    0x09: "ro",
}


def _read_function_marker(cursor: Cursor) -> None:
    if cursor.byte() != 0x00:
        raise cursor.malformed("a canonical definition of something that is no function")


_WITH_INDEX: Final = frozenset(
    {
        CanonOption.MEMORY,
        CanonOption.REALLOC,
        CanonOption.POST_RETURN,
        CanonOption.CALLBACK,
        CanonOption.CORE_TYPE,
    }
)


def _read_canon_options(cursor: Cursor) -> dict[CanonOption, int | None]:
    """The options that are there; of one that is there twice, which is not valid, the last."""
    found: dict[CanonOption, int | None] = {}
    for _ in range(cursor.count()):
        opcode = cursor.byte()
        try:
            option = CanonOption(opcode)
        except ValueError:
            raise cursor.malformed(f"the unknown canonical option {opcode:#04x}") from None
        found[option] = cursor.u32() if option in _WITH_INDEX else None
    return found


def _skip_result(cursor: Cursor) -> None:
    """A `resultlist`: a type, which is an index or the opcode of a primitive type, or none."""
    if cursor.byte() == 0x00 and not 0x40 <= cursor.peek() < 0x80:
        cursor.s33_index()
    else:
        cursor.byte()


_IMMEDIATES: Final[dict[str, Callable[[Cursor], object]]] = {
    "i": Cursor.u32,
    "f": Cursor.byte,
    "o": _read_canon_options,
    "r": _skip_result,
}
