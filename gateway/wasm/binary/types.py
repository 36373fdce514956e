"""The types of components: value types, function types and instance types.

Terms: Component Model, `Explainer.md` "Type Definitions". What components have to do with imports is
here; component types, `error-context`, fixed-length lists and maps are not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from gateway.wasm.binary.definitions import OuterAlias
from gateway.wasm.binary.extern import ExternName, ExternType, Sort

__all__ = [
    "Borrow",
    "Declaration",
    "Enumeration",
    "ExportDeclaration",
    "Flags",
    "Func",
    "FutureOf",
    "InstanceType",
    "ListOf",
    "OptionOf",
    "Own",
    "Primitive",
    "Record",
    "ResultOf",
    "StreamOf",
    "TupleOf",
    "TypeDefinition",
    "ValType",
    "Variant",
    "defines_type",
    "parts",
    "remap",
]


class Primitive(Enum):
    """The primitive value types; the value is the opcode."""

    BOOL = 0x7F
    S8 = 0x7E
    U8 = 0x7D
    S16 = 0x7C
    U16 = 0x7B
    S32 = 0x7A
    U32 = 0x79
    S64 = 0x78
    U64 = 0x77
    F32 = 0x76
    F64 = 0x75
    CHAR = 0x74
    STRING = 0x73


# A primitive type, or an index of the type index space.
ValType = Primitive | int
_Part = TypeVar("_Part", Primitive | int, int)


@dataclass(frozen=True, slots=True)
class Record:
    """`record`: names and types of the fields."""

    fields: tuple[tuple[str, ValType], ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """`variant`: names and payloads of the cases."""

    cases: tuple[tuple[str, ValType | None], ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    """`list`."""

    element: ValType


@dataclass(frozen=True, slots=True)
class TupleOf:
    """`tuple`."""

    elements: tuple[ValType, ...]


@dataclass(frozen=True, slots=True)
class Flags:
    """`flags`."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Enumeration:
    """`enum`."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OptionOf:
    """`option`."""

    payload: ValType


@dataclass(frozen=True, slots=True)
class ResultOf:
    """`result`."""

    ok: ValType | None
    error: ValType | None


@dataclass(frozen=True, slots=True)
class Own:
    """`own`: the index is that of a resource type."""

    resource: int


@dataclass(frozen=True, slots=True)
class Borrow:
    """`borrow`: the index is that of a resource type."""

    resource: int


@dataclass(frozen=True, slots=True)
class StreamOf:
    """`stream`: what it carries, None for nothing."""

    element: ValType | None


@dataclass(frozen=True, slots=True)
class FutureOf:
    """`future`: what it carries, None for nothing."""

    payload: ValType | None


@dataclass(frozen=True, slots=True)
class Func:
    """A function type."""

    parameters: tuple[tuple[str, ValType], ...]
    result: ValType | None
    is_async: bool = False


@dataclass(frozen=True, slots=True)
class ExportDeclaration:
    """An export of an instance type; one of `Sort.TYPE` adds to its type index space."""

    name: ExternName
    type: ExternType


@dataclass(frozen=True, slots=True)
class InstanceType:
    """An instance type, whose type index space is its own and starts empty."""

    declarations: tuple["Declaration", ...]


TypeDefinition = (
    Primitive
    | Record
    | Variant
    | ListOf
    | TupleOf
    | Flags
    | Enumeration
    | OptionOf
    | ResultOf
    | Own
    | Borrow
    | StreamOf
    | FutureOf
    | Func
    | InstanceType
)
# An alias or an export of `Sort.TYPE` adds to the type index space, as a definition does.
Declaration = TypeDefinition | OuterAlias | ExportDeclaration


def defines_type(declaration: Declaration) -> bool:
    """Whether a declaration of an instance type adds to its type index space."""
    return not isinstance(declaration, ExportDeclaration) or declaration.type.sort is Sort.TYPE


def remap(
    definition: TypeDefinition,
    valtype: Callable[[ValType], ValType],
    resource: Callable[[int], int],
) -> TypeDefinition:
    """Replaces every type index in a definition; instance types stay as they are."""

    def optional(payload: ValType | None) -> ValType | None:
        return None if payload is None else valtype(payload)

    match definition:
        case Record(fields):
            return Record(tuple((name, valtype(field)) for name, field in fields))
        case Variant(cases):
            return Variant(tuple((name, optional(payload)) for name, payload in cases))
        case ListOf(element):
            return ListOf(valtype(element))
        case TupleOf(elements):
            return TupleOf(tuple(valtype(element) for element in elements))
        case OptionOf(payload):
            return OptionOf(valtype(payload))
        case ResultOf(ok, error):
            return ResultOf(optional(ok), optional(error))
        case Own(index):
            return Own(resource(index))
        case Borrow(index):
            return Borrow(resource(index))
        case StreamOf(element):
            return StreamOf(optional(element))
        case FutureOf(payload):
            return FutureOf(optional(payload))
        case Func(parameters, result, is_async):
            renamed = tuple((name, valtype(parameter)) for name, parameter in parameters)
            return Func(renamed, optional(result), is_async)
        case _:
            return definition


def parts(definition: TypeDefinition) -> list[ValType]:
    """Lists the types that a definition names, resource types too, in order; none of an instance type."""
    found: list[ValType] = []

    def note(part: _Part) -> _Part:
        found.append(part)
        return part

    remap(definition, note, note)
    return found
