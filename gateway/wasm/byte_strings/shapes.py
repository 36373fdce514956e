"""Value types as a bridge sees them: how they lie in core WebAssembly, and which of their strings are bytes.

A shape is folded from the shapes of a type's parts. The type index space has each part before the
whole, so nothing here recurses and each definition is looked at once, whatever the expanded type may be.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from gateway.wasm.binary.types import (
    Borrow,
    ListOf,
    Own,
    Primitive,
    Record,
    TypeDefinition,
    ValType,
    Variant,
    parts,
)
from gateway.wasm.canonical_abi import PRIMITIVES, Layout, layout

__all__ = ["MAX_RESULT_SIZE", "Shape", "joined_strings", "opaque", "primitive_shape", "shape"]

# The most room that a result may take which is passed through memory, in bytes. A bridge keeps that
# much for it. Arbitrary; `result<list<u8>, stream-error>` takes 12.
MAX_RESULT_SIZE: Final = 4096

# How many strings one type may hold, expanded. Threat: a tuple of two tuples of two tuples, forty
# levels deep. Arbitrary; the largest of WASI 0.2, an `error-code` of `wasi:http`, holds eight.
MAX_STRINGS: Final = 100


@dataclass(frozen=True, slots=True)
class Shape:
    """A value type as a bridge sees it.

    Attributes:
        layout: its core form.
        strings: for each string in the type, expanded and in order, whether it is a `list<u8>` in
            disguise; None for more than `MAX_STRINGS`.
        holds_bytes: whether a `list<u8>` in it can be disguised. One inside a `record` or `variant`
            cannot: those types have names, and the name belongs to the type as it is.
        holds_borrow: whether there is a `borrow` in it.
    """

    layout: Layout
    strings: tuple[bool, ...] | None = ()
    holds_bytes: bool = False
    holds_borrow: bool = False


def primitive_shape(primitive: Primitive) -> Shape:
    """Gives the shape of a primitive type."""
    return Shape(PRIMITIVES[primitive], (False,) if primitive is Primitive.STRING else ())


def shape(definition: TypeDefinition, shape_of: Callable[[ValType], Shape]) -> Shape | None:
    """Folds the shape of a value type from those of its parts; None for what is no value type."""
    its_layout = layout(definition, lambda valtype: shape_of(valtype).layout)
    match definition:
        case _ if its_layout is None:
            return None
        case Primitive():
            return primitive_shape(definition)
        case ListOf(Primitive.U8):
            return Shape(its_layout, (True,), holds_bytes=True)
        case Own() | Borrow():
            return Shape(its_layout, holds_borrow=isinstance(definition, Borrow))
        case _:
            inner = [shape_of(part) for part in parts(definition)]
            whole = Shape(
                its_layout,
                joined_strings(inner),
                any(part.holds_bytes for part in inner),
                any(part.holds_borrow for part in inner),
            )
            return opaque(whole) if isinstance(definition, Record | Variant) else whole


def opaque(inner: Shape) -> Shape:
    """Gives the shape of the same type where no `list<u8>` in it can be disguised."""
    strings = inner.strings and tuple(is_bytes for is_bytes in inner.strings if not is_bytes)
    return replace(inner, strings=strings, holds_bytes=False)


def joined_strings(shapes: Iterable[Shape]) -> tuple[bool, ...] | None:
    """Joins the `strings` of several types, one after another."""
    strings: list[bool] = []
    for each in shapes:
        if each.strings is None or len(strings) + len(each.strings) > MAX_STRINGS:
            return None
        strings.extend(each.strings)
    return tuple(strings)
