"""How values lie in core WebAssembly, and which of the strings in them are bytes.

Source: Component Model, `CanonicalABI.md` "Alignment", "Element Size" and "Flattening". A shape is
folded from the shapes of a type's parts. The type index space has each part before the whole, so
nothing here recurses and each definition is looked at once, whatever the expanded type may be.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.wasm.binary.types import (
    Borrow,
    Enumeration,
    Flags,
    ListOf,
    OptionOf,
    Own,
    Primitive,
    Record,
    ResultOf,
    TupleOf,
    TypeDefinition,
    ValType,
    Variant,
)

__all__ = [
    "F32",
    "F64",
    "I32",
    "I64",
    "MAX_FLAT_PARAMETERS",
    "MAX_RESULT_SIZE",
    "CoreType",
    "Shape",
    "joined_flat",
    "joined_strings",
    "opaque",
    "primitive_shape",
    "shape",
]

# The opcodes of the core value types.
CoreType = int
I32: Final = 0x7F
I64: Final = 0x7E
F32: Final = 0x7D
F64: Final = 0x7C

# CanonicalABI.md: more parameters than this are passed through memory.
MAX_FLAT_PARAMETERS: Final = 16

# The most room that a result may take which is passed through memory, in bytes. A bridge keeps that
# much for it. Arbitrary; `result<list<u8>, stream-error>` takes 12.
MAX_RESULT_SIZE: Final = 4096

# How many strings one type may hold, expanded. Threat: a tuple of two tuples of two tuples, forty
# levels deep. Arbitrary; the largest of WASI 0.2, an `error-code` of `wasi:http`, holds eight.
MAX_STRINGS: Final = 100

# Where sizes stop to grow, in bytes. Threat: a size that doubles with each of a hundred thousand
# types becomes a number of a hundred thousand bits. Precedent: wasmparser refuses larger types.
MAX_SIZE: Final = 1 << 28


@dataclass(frozen=True, slots=True)
class Shape:
    """The core form of a value type.

    Attributes:
        size: bytes it takes in memory.
        alignment: of its address in memory, in bytes.
        flat: the core values it is passed as; None for more than `MAX_FLAT_PARAMETERS`.
        strings: for each string in the type, expanded and in order, whether it is a `list<u8>` in
            disguise; None for more than `MAX_STRINGS`.
        holds_bytes: whether a `list<u8>` in it can be disguised. One inside a `record` or `variant`
            cannot: those types have names, and the name belongs to the type as it is.
        holds_borrow: whether there is a `borrow` in it.
    """

    size: int
    alignment: int
    flat: tuple[CoreType, ...] | None
    strings: tuple[bool, ...] | None = ()
    holds_bytes: bool = False
    holds_borrow: bool = False


_I8: Final = Shape(1, 1, (I32,))
_I16: Final = Shape(2, 2, (I32,))
_I32: Final = Shape(4, 4, (I32,))
_I64: Final = Shape(8, 8, (I64,))
_TEXT: Final = Shape(8, 4, (I32, I32), strings=(False,))
_BYTES: Final = Shape(8, 4, (I32, I32), strings=(True,), holds_bytes=True)
_LIST: Final = Shape(8, 4, (I32, I32))

_PRIMITIVES: Final = {
    Primitive.BOOL: _I8,
    Primitive.S8: _I8,
    Primitive.U8: _I8,
    Primitive.S16: _I16,
    Primitive.U16: _I16,
    Primitive.S32: _I32,
    Primitive.U32: _I32,
    Primitive.S64: _I64,
    Primitive.U64: _I64,
    Primitive.F32: Shape(4, 4, (F32,)),
    Primitive.F64: Shape(8, 8, (F64,)),
    Primitive.CHAR: _I32,
    Primitive.STRING: _TEXT,
}


def primitive_shape(primitive: Primitive) -> Shape:
    """The shape of a primitive type."""
    return _PRIMITIVES[primitive]


def shape(definition: TypeDefinition, shape_of: Callable[[ValType], Shape]) -> Shape | None:
    """The shape of a value type, given those of its parts; None for what is no value type."""
    match definition:
        case Primitive():
            return primitive_shape(definition)
        case ListOf(Primitive.U8):
            return _BYTES
        case ListOf(element):
            return _marked(_LIST, [shape_of(element)])
        case TupleOf(elements):
            parts = [shape_of(element) for element in elements]
            return _marked(_sequence(parts), parts)
        case OptionOf(payload):
            parts = [shape_of(payload)]
            return _marked(_alternatives(2, parts), parts)
        case ResultOf(ok, error):
            parts = [shape_of(payload) for payload in (ok, error) if payload is not None]
            return _marked(_alternatives(2, parts), parts)
        case Record(fields):
            parts = [shape_of(valtype) for _, valtype in fields]
            return opaque(_marked(_sequence(parts), parts))
        case Variant(cases):
            parts = [shape_of(payload) for _, payload in cases if payload is not None]
            return opaque(_marked(_alternatives(len(cases), parts), parts))
        case Enumeration(names):
            return _alternatives(len(names), [])
        case Flags(names):
            return _I8 if len(names) <= 8 else _I16 if len(names) <= 16 else _I32
        case Own():
            return _I32
        case Borrow():
            return replace(_I32, holds_borrow=True)
        case _:
            return None


def opaque(inner: Shape) -> Shape:
    """The shape of the same type where no `list<u8>` in it can be disguised."""
    strings = inner.strings and tuple(is_bytes for is_bytes in inner.strings if not is_bytes)
    return replace(inner, strings=strings, holds_bytes=False)


def joined_strings(parts: Iterable[Shape]) -> tuple[bool, ...] | None:
    """The `strings` of several types, one after another."""
    strings: list[bool] = []
    for part in parts:
        if part.strings is None or len(strings) + len(part.strings) > MAX_STRINGS:
            return None
        strings.extend(part.strings)
    return tuple(strings)


def joined_flat(parts: Iterable[Shape]) -> tuple[CoreType, ...] | None:
    """The `flat` of several types, one after another."""
    flat: list[CoreType] = []
    for part in parts:
        if part.flat is None or len(flat) + len(part.flat) > MAX_FLAT_PARAMETERS:
            return None
        flat.extend(part.flat)
    return tuple(flat)


def _marked(layout: Shape, parts: Sequence[Shape]) -> Shape:
    return replace(
        layout,
        strings=joined_strings(parts),
        holds_bytes=any(part.holds_bytes for part in parts),
        holds_borrow=any(part.holds_borrow for part in parts),
    )


def _sequence(parts: Sequence[Shape]) -> Shape:
    size = 0
    for part in parts:
        size = _aligned(size, part.alignment) + part.size
    alignment = max((part.alignment for part in parts), default=1)
    return Shape(min(_aligned(size, alignment), MAX_SIZE), alignment, joined_flat(parts))


def _alternatives(cases: int, payloads: Sequence[Shape]) -> Shape:
    discriminant = 1 if cases <= 1 << 8 else 2 if cases <= 1 << 16 else 4
    payload_alignment = max((payload.alignment for payload in payloads), default=1)
    payload_size = max((payload.size for payload in payloads), default=0)
    alignment = max(discriminant, payload_alignment)
    size = _aligned(_aligned(discriminant, payload_alignment) + payload_size, alignment)
    return Shape(min(size, MAX_SIZE), alignment, _joined_cases(payloads))


def _joined_cases(payloads: Sequence[Shape]) -> tuple[CoreType, ...] | None:
    """Flat cases lie over one another: each place gets a type that holds any case's value."""
    places: list[CoreType] = []
    for payload in payloads:
        if payload.flat is None:
            return None
        for place, core_type in enumerate(payload.flat):
            if place == len(places):
                places.append(core_type)
            elif places[place] != core_type:
                places[place] = I32 if {places[place], core_type} == {I32, F32} else I64
    return (I32, *places) if len(places) < MAX_FLAT_PARAMETERS else None


def _aligned(offset: int, alignment: int) -> int:
    return (offset + alignment - 1) // alignment * alignment
