"""How the canonical ABI passes the values of components to and from core WebAssembly.

Source: Component Model, `CanonicalABI.md` "Alignment", "Element Size" and "Flattening".
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.wasm.binary.core_types import CoreFunction, CoreType
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
    "PRIMITIVES",
    "REALLOC_TYPE",
    "Flat",
    "Layout",
    "discriminant_size",
    "joined_flat",
    "layout",
    "lifted_type",
    "lowered_type",
    "payload_offset",
    "places",
    "through_memory",
]

REALLOC_TYPE: Final = CoreFunction((CoreType.I32,) * 4, (CoreType.I32,))
"""Of the function that allocates: the old address and size, the alignment, and the new size; the new address."""

# What has more core values than this is passed through memory.
MAX_FLAT_PARAMETERS: Final = 16
MAX_FLAT_RESULTS: Final = 1

# Where sizes stop to grow, in bytes. Threat: a size that doubles with each of a hundred thousand
# types becomes a number of a hundred thousand bits. Precedent: wasmparser refuses larger types.
MAX_SIZE: Final = 1 << 28

# The core values that something is passed as; None for more than `MAX_FLAT_PARAMETERS`.
Flat = tuple[CoreType, ...] | None


@dataclass(frozen=True, slots=True)
class Layout:
    """The core form of a value type.

    Attributes:
        size: bytes it takes in memory.
        alignment: of its address in memory, in bytes.
        flat: the core values it is passed as.
    """

    size: int
    alignment: int
    flat: Flat


_I8: Final = Layout(1, 1, (CoreType.I32,))
_I16: Final = Layout(2, 2, (CoreType.I32,))
_I32: Final = Layout(4, 4, (CoreType.I32,))
_I64: Final = Layout(8, 8, (CoreType.I64,))
# An address and a length.
_BLOCK: Final = Layout(8, 4, (CoreType.I32, CoreType.I32))

PRIMITIVES: Final = {
    Primitive.BOOL: _I8,
    Primitive.S8: _I8,
    Primitive.U8: _I8,
    Primitive.S16: _I16,
    Primitive.U16: _I16,
    Primitive.S32: _I32,
    Primitive.U32: _I32,
    Primitive.S64: _I64,
    Primitive.U64: _I64,
    Primitive.F32: Layout(4, 4, (CoreType.F32,)),
    Primitive.F64: Layout(8, 8, (CoreType.F64,)),
    Primitive.CHAR: _I32,
    Primitive.STRING: _BLOCK,
}


def layout(definition: TypeDefinition, layout_of: Callable[[ValType], Layout]) -> Layout | None:
    """Lays a value type out, given the layouts of its parts; None for what is no value type."""
    match definition:
        case Primitive():
            return PRIMITIVES[definition]
        case ListOf():
            return _BLOCK
        case TupleOf(elements):
            return _sequence([layout_of(element) for element in elements])
        case Record(fields):
            return _sequence([layout_of(valtype) for _, valtype in fields])
        case OptionOf(payload):
            return _alternatives(2, [layout_of(payload)])
        case ResultOf(ok, error):
            payloads = [layout_of(payload) for payload in (ok, error) if payload is not None]
            return _alternatives(2, payloads)
        case Variant(cases):
            payloads = [layout_of(payload) for _, payload in cases if payload is not None]
            return _alternatives(len(cases), payloads)
        case Enumeration(names):
            return _alternatives(len(names), [])
        case Flags(names):
            # Engines take no more than 32.
            return _I8 if len(names) <= 8 else _I16 if len(names) <= 16 else _I32
        case Own() | Borrow():
            return _I32
        case _:
            return None


def lowered_type(parameters: Flat, result: Flat) -> CoreFunction:
    """Gives the core type of an imported function, as a module calls it."""
    taken = (CoreType.I32,) if parameters is None else parameters
    if result is None or through_memory(result):
        return CoreFunction((*taken, CoreType.I32), ())
    return CoreFunction(taken, result)


def lifted_type(parameters: Flat, result: Flat) -> CoreFunction:
    """Gives the core type of an exported function, as a module provides it."""
    taken = (CoreType.I32,) if parameters is None else parameters
    returned = (CoreType.I32,) if result is None or through_memory(result) else result
    return CoreFunction(taken, returned)


def through_memory(result: Flat) -> bool:
    """Tells whether a result is returned through memory."""
    return result is None or len(result) > MAX_FLAT_RESULTS


def joined_flat(layouts: Iterable[Layout]) -> Flat:
    """Joins the `flat` of several types, one after another."""
    flat: list[CoreType] = []
    for each in layouts:
        if each.flat is None or len(flat) + len(each.flat) > MAX_FLAT_PARAMETERS:
            return None
        flat.extend(each.flat)
    return tuple(flat)


def places(members: Sequence[Layout]) -> list[int]:
    """Gives where each member of a record or tuple lies in it, in bytes."""
    found: list[int] = []
    size = 0
    for member in members:
        found.append(_aligned(size, member.alignment))
        size = found[-1] + member.size
    return found


def discriminant_size(cases: int) -> int:
    """Gives the bytes of the number that tells which of so many cases it is."""
    return 1 if cases <= 1 << 8 else 2 if cases <= 1 << 16 else 4


def payload_offset(cases: int, payloads: Iterable[Layout]) -> int:
    """Gives where the payload lies of what has so many cases, of which some have these payloads, in bytes."""
    alignment = max((payload.alignment for payload in payloads), default=1)
    return _aligned(discriminant_size(cases), alignment)


def _sequence(members: Sequence[Layout]) -> Layout:
    end = places(members)[-1] + members[-1].size if members else 0
    alignment = max((member.alignment for member in members), default=1)
    return Layout(min(_aligned(end, alignment), MAX_SIZE), alignment, joined_flat(members))


def _alternatives(cases: int, payloads: Sequence[Layout]) -> Layout:
    alignment = max((discriminant_size(cases), *(payload.alignment for payload in payloads)))
    payload_size = max((payload.size for payload in payloads), default=0)
    size = _aligned(payload_offset(cases, payloads) + payload_size, alignment)
    return Layout(min(size, MAX_SIZE), alignment, _joined_cases(payloads))


def _joined_cases(payloads: Sequence[Layout]) -> Flat:
    """Lays flat cases over one another: each place gets a type that holds any case's value."""
    places: list[CoreType] = []
    for payload in payloads:
        if payload.flat is None:
            return None
        for place, core_type in enumerate(payload.flat):
            if place == len(places):
                places.append(core_type)
            elif places[place] != core_type:
                narrow = {places[place], core_type} == {CoreType.I32, CoreType.F32}
                places[place] = CoreType.I32 if narrow else CoreType.I64
    return (CoreType.I32, *places) if len(places) < MAX_FLAT_PARAMETERS else None


def _aligned(offset: int, alignment: int) -> int:
    return (offset + alignment - 1) // alignment * alignment
