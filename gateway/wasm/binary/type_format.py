"""How the types of components are read and written.

Grammar: Component Model, `Binary.md` "Type Definitions".
"""

from collections.abc import Iterator
from typing import Final

from gateway.wasm.binary import encode
from gateway.wasm.binary.cursor import Cursor, MalformedBinary
from gateway.wasm.binary.definitions import OuterAlias, read_alias
from gateway.wasm.binary.extern import (
    Sort,
    encode_extern_name,
    encode_extern_type,
    read_extern_name,
    read_extern_type,
)
from gateway.wasm.binary.types import (
    Borrow,
    Declaration,
    Enumeration,
    ExportDeclaration,
    Flags,
    Func,
    FutureOf,
    InstanceType,
    ListOf,
    OptionOf,
    Own,
    Primitive,
    Record,
    ResultOf,
    StreamOf,
    TupleOf,
    TypeDefinition,
    ValType,
    Variant,
)

__all__ = ["UnsupportedType", "destructors", "encode_type", "read_type"]

_PRIMITIVES: Final = {primitive.value: primitive for primitive in Primitive}


_RESOURCE: Final = 0x3F
"""How the definition of a resource type begins."""

_UNSUPPORTED: Final = {
    0x63: "`map`",
    0x64: "`error-context`",
    0x67: "a list of fixed length",
}


class UnsupportedType(MalformedBinary):
    """A type that is valid, and of a form that `types` does not have. The reason names it."""


def read_type(cursor: Cursor) -> TypeDefinition:
    """A `deftype`.

    Raises:
        UnsupportedType: it is, or has in it, a type of WASI 0.3 or later.
        MalformedBinary: it is damaged, or of another form that `types` does not have.
    """
    if cursor.peek() == 0x42:
        cursor.byte()
        return InstanceType(tuple(_read_declaration(cursor) for _ in range(cursor.count())))
    return _read_simple_type(cursor)


def destructors(cursor: Cursor) -> Iterator[tuple[int, int, int]]:
    """The destructors of the resources that a `type` section defines.

    Yields:
        For each: where its index starts, where that ends, and the index, which is of a core function.

    Raises:
        UnsupportedType: as `read_type`.
        MalformedBinary: ditto.
    """
    if _RESOURCE not in cursor.data[cursor.at : cursor.end]:
        return
    for _ in range(cursor.count()):
        if cursor.peek() != _RESOURCE:
            read_type(cursor)
            continue
        cursor.skip(2)  # the opcode, and the type of what represents it
        if cursor.byte():
            start = cursor.at
            destructor = cursor.u32()
            yield start, cursor.at, destructor


def _read_simple_type(cursor: Cursor) -> TypeDefinition:
    """A `deftype` that is no instance type: those of instance types are not nested in practice."""
    opcode = cursor.byte()
    if opcode in _PRIMITIVES:
        return _PRIMITIVES[opcode]
    match opcode:
        case 0x72:
            return Record(_read_fields(cursor))
        case 0x71:
            return Variant(tuple(_read_case(cursor) for _ in range(cursor.count())))
        case 0x70:
            return ListOf(_read_valtype(cursor))
        case 0x6F:
            return TupleOf(tuple(_read_valtype(cursor) for _ in range(cursor.count())))
        case 0x6E:
            return Flags(tuple(cursor.name() for _ in range(cursor.count())))
        case 0x6D:
            return Enumeration(tuple(cursor.name() for _ in range(cursor.count())))
        case 0x6B:
            return OptionOf(_read_valtype(cursor))
        case 0x6A:
            return ResultOf(_read_optional(cursor), _read_optional(cursor))
        case 0x69:
            return Own(cursor.u32())
        case 0x68:
            return Borrow(cursor.u32())
        case 0x66:
            return StreamOf(_read_optional(cursor))
        case 0x65:
            return FutureOf(_read_optional(cursor))
        case 0x40 | 0x43:
            return Func(_read_fields(cursor), _read_result(cursor), is_async=opcode == 0x43)
        case other if other in _UNSUPPORTED:
            raise UnsupportedType(cursor.at, _UNSUPPORTED[other])
        case other:
            raise cursor.malformed(f"the unknown type {other:#04x}")


def _read_declaration(cursor: Cursor) -> Declaration:
    match cursor.byte():
        case 0x01:
            return _read_simple_type(cursor)
        case 0x02:
            alias = read_alias(cursor)
            if not isinstance(alias, OuterAlias) or alias.sort is not Sort.TYPE:
                raise cursor.malformed("an alias, in an instance type, of something but a type")
            return alias
        case 0x04:
            return ExportDeclaration(read_extern_name(cursor), read_extern_type(cursor))
        case other:
            raise cursor.malformed(f"the unknown declaration {other:#04x}")


def _read_valtype(cursor: Cursor) -> ValType:
    opcode = cursor.peek()
    primitive = _PRIMITIVES.get(opcode)
    if primitive is None:
        if opcode in _UNSUPPORTED:
            raise UnsupportedType(cursor.at, _UNSUPPORTED[opcode])
        return cursor.s33_index()
    cursor.byte()
    return primitive


def _read_optional(cursor: Cursor) -> ValType | None:
    match cursor.byte():
        case 0x00:
            return None
        case 0x01:
            return _read_valtype(cursor)
        case other:
            raise cursor.malformed(f"the unknown optional type {other:#04x}")


def _read_fields(cursor: Cursor) -> tuple[tuple[str, ValType], ...]:
    return tuple((cursor.name(), _read_valtype(cursor)) for _ in range(cursor.count()))


def _read_case(cursor: Cursor) -> tuple[str, ValType | None]:
    case = cursor.name(), _read_optional(cursor)
    if cursor.byte() != 0x00:
        raise cursor.malformed("a variant case that refines another")
    return case


def _read_result(cursor: Cursor) -> ValType | None:
    match cursor.byte():
        case 0x00:
            return _read_valtype(cursor)
        case 0x01 if cursor.byte() == 0x00:
            return None
        case _:
            raise cursor.malformed("a function with named results")


def encode_type(definition: TypeDefinition) -> bytes:
    """A `deftype`, as `read_type` reads it."""
    match definition:
        case Primitive():
            return bytes([definition.value])
        case Record(fields):
            return b"\x72" + _encode_fields(fields)
        case Variant(cases):
            return b"\x71" + encode.vector(
                encode.name(name) + _encode_optional(payload) + b"\x00" for name, payload in cases
            )
        case ListOf(element):
            return b"\x70" + _encode_valtype(element)
        case TupleOf(elements):
            return b"\x6f" + encode.vector(map(_encode_valtype, elements))
        case Flags(names):
            return b"\x6e" + encode.vector(map(encode.name, names))
        case Enumeration(names):
            return b"\x6d" + encode.vector(map(encode.name, names))
        case OptionOf(payload):
            return b"\x6b" + _encode_valtype(payload)
        case ResultOf(ok, error):
            return b"\x6a" + _encode_optional(ok) + _encode_optional(error)
        case Own(resource):
            return b"\x69" + encode.u32(resource)
        case Borrow(resource):
            return b"\x68" + encode.u32(resource)
        case StreamOf(element):
            return b"\x66" + _encode_optional(element)
        case FutureOf(payload):
            return b"\x65" + _encode_optional(payload)
        case Func(parameters, result, is_async):
            encoded = b"\x01\x00" if result is None else b"\x00" + _encode_valtype(result)
            return (b"\x43" if is_async else b"\x40") + _encode_fields(parameters) + encoded
        case InstanceType(declarations):
            return b"\x42" + encode.vector(map(_encode_declaration, declarations))


def _encode_valtype(valtype: ValType) -> bytes:
    if isinstance(valtype, Primitive):
        return bytes([valtype.value])
    return encode.s33_index(valtype)


def _encode_optional(valtype: ValType | None) -> bytes:
    return b"\x00" if valtype is None else b"\x01" + _encode_valtype(valtype)


def _encode_fields(fields: tuple[tuple[str, ValType], ...]) -> bytes:
    return encode.vector(encode.name(name) + _encode_valtype(valtype) for name, valtype in fields)


def _encode_declaration(declaration: Declaration) -> bytes:
    match declaration:
        case OuterAlias(sort, count, index):
            return b"\x02" + sort.value + b"\x02" + encode.u32(count) + encode.u32(index)
        case ExportDeclaration(name, extern):
            return b"\x04" + encode_extern_name(name) + encode_extern_type(extern)
        case _:
            return b"\x01" + encode_type(declaration)
