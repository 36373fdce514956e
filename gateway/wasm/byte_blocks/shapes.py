"""Value types as a bridge sees them: how they lie in core WebAssembly, and which of their pairs are bytes.

A shape is folded from the shapes of a type's parts. The type index space has each part before the
whole, so nothing here recurses and each definition is looked at once, whatever the expanded type may be.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from gateway.wasm.binary.types import (
    Borrow,
    ListOf,
    Own,
    Primitive,
    TupleOf,
    TypeDefinition,
    ValType,
    parts,
)
from gateway.wasm.canonical_abi import PRIMITIVES, Layout, layout

__all__ = [
    "BYTES",
    "DISGUISE",
    "MAX_RESULT_SIZE",
    "Pair",
    "Shape",
    "joined_pairs",
    "opaque",
    "primitive_shape",
    "shape",
]

BYTES: Final = ListOf(Primitive.U8)
# What crosses in place of `BYTES`: where the bytes lie in the bridge's memory, and how many there
# are. In core WebAssembly, flat and in memory, the two have one form.
DISGUISE: Final = TupleOf((Primitive.U32, Primitive.U32))

# The most room that a result may take which is passed through memory, in bytes. A bridge keeps that
# much for it. Arbitrary; `result<list<u8>, stream-error>` takes 12.
MAX_RESULT_SIZE: Final = 4096

# How many pairs one type may hold, expanded. Threat: a tuple of two tuples of two tuples, forty
# levels deep. Arbitrary; the largest of what the gateway provides holds two.
MAX_PAIRS: Final = 100


class Pair(Enum):
    """What a `tuple<u32, u32>` is in the type of a function as the host has it.

    All but the first are an address and a length.
    """

    ITSELF = auto()
    BYTES = auto()
    """`list<u8>` for the guest, and in the bridge's memory for the host."""
    GUEST_BYTES = auto()
    """Such a tuple for the guest too, which passes it what is in its own memory."""
    STAGED_BYTES = auto()
    """Ditto, which gets what is in the memory of `delivery.py`."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A value type as a bridge sees it.

    Attributes:
        layout: its core form.
        pairs: what each `tuple<u32, u32>` is that the host has in the type, expanded and in order; None for more
            than `MAX_PAIRS`.
        holds_borrow: whether there is a `borrow` in it.
        is_u32: whether it is `u32`, by whatever name.
    """

    layout: Layout
    pairs: tuple[Pair, ...] | None = ()
    holds_borrow: bool = False
    is_u32: bool = False

    @property
    def holds_bytes(self) -> bool:
        """Whether there are bytes in it that pass the bridge's memory; also if it holds too much to tell."""
        return self.pairs is None or Pair.BYTES in self.pairs


def primitive_shape(primitive: Primitive) -> Shape:
    """Gives the shape of a primitive type."""
    return Shape(PRIMITIVES[primitive], is_u32=primitive is Primitive.U32)


def shape(definition: TypeDefinition, shape_of: Callable[[ValType], Shape]) -> Shape | None:
    """Folds the shape of a value type from those of its parts; None for what is no value type."""
    its_layout = layout(definition, lambda valtype: shape_of(valtype).layout)
    if its_layout is None:
        return None
    match definition:
        case Primitive():
            return primitive_shape(definition)
        case ListOf(Primitive.U8):
            return Shape(its_layout, (Pair.BYTES,))
        case Own() | Borrow():
            return Shape(its_layout, holds_borrow=isinstance(definition, Borrow))
    inner = [shape_of(part) for part in parts(definition)]
    pairs = joined_pairs(inner)
    if isinstance(definition, TupleOf) and [one.is_u32 for one in inner] == [True, True]:
        pairs = (Pair.ITSELF,)
    return Shape(its_layout, pairs, any(part.holds_borrow for part in inner))


def opaque(inner: Shape) -> Shape:
    """Gives the shape of the same type where no `list<u8>` in it is disguised."""
    pairs = inner.pairs and tuple(pair for pair in inner.pairs if pair is Pair.ITSELF)
    return replace(inner, pairs=pairs)


def joined_pairs(shapes: Iterable[Shape]) -> tuple[Pair, ...] | None:
    """Joins the `pairs` of several types, one after another."""
    pairs: list[Pair] = []
    for each in shapes:
        if each.pairs is None or len(pairs) + len(each.pairs) > MAX_PAIRS:
            return None
        pairs.extend(each.pairs)
    return tuple(pairs)
