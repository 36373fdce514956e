"""The types of functions that are called from outside: what they are with streams and futures, and without."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.wasm.binary.core_types import CoreType
from gateway.wasm.binary.types import (
    Borrow,
    Enumeration,
    Flags,
    FutureOf,
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
    parts,
    remap,
)
from gateway.wasm.canonical_abi import PRIMITIVES, Layout, layout, payload_offset

__all__ = [
    "EXPORTED",
    "IMPORTED",
    "Types",
    "cases_of",
    "members_of",
]

_HANDLE: Final = Layout(4, 4, (CoreType.I32,))
_NAMED: Final = (Record, Variant, Enumeration, Flags)

IMPORTED: Final = "(import {name} (type {own} (eq {inner})))"
"""How a type gets its name that a component is given."""

EXPORTED: Final = "(export {own} {name} (type {inner}))"
"""The same of one that it has for others."""


@dataclass(slots=True)
class Types:
    """The types of all functions, each of which refers to those before it alone.

    Attributes:
        definitions: what they are.
        layouts: how they lie in memory.
        copied: whether they are, or have in them, streams or futures.
    """

    definitions: list[TypeDefinition]
    layouts: list[Layout] = field(default_factory=list)
    copied: list[bool] = field(default_factory=list)
    _carried: dict[int, ValType] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given, self.definitions = self.definitions, []
        for definition in given:
            self.add(definition)

    def add(self, definition: TypeDefinition) -> int:
        """One more type."""
        copied = isinstance(definition, StreamOf | FutureOf)
        found = _HANDLE if copied else layout(definition, self.layout)
        if found is None:
            raise TypeError(f"no value has the type {definition}")
        self.definitions.append(definition)
        self.layouts.append(found)
        members = () if isinstance(definition, Own | Borrow) else parts(definition)
        self.copied.append(copied or any(map(self.is_copied, members)))
        return len(self.definitions) - 1

    def layout(self, ty: ValType) -> Layout:
        """How it lies in memory."""
        return PRIMITIVES[ty] if isinstance(ty, Primitive) else self.layouts[ty]

    def payload_offset(self, cases: Sequence[ValType | None]) -> int:
        """Where the payload lies in memory of what has these cases."""
        return payload_offset(len(cases), [self.layout(ty) for ty in cases if ty is not None])

    def definition(self, ty: ValType) -> TypeDefinition:
        """What it is."""
        return ty if isinstance(ty, Primitive) else self.definitions[ty]

    def is_copied(self, ty: ValType | None) -> bool:
        """Whether it is, or has in it, a stream or a future."""
        return isinstance(ty, int) and self.copied[ty]

    def carried(self, ty: ValType) -> ValType:
        """What whoever calls from outside has in its place."""
        if isinstance(ty, Primitive) or not self.copied[ty]:
            return ty
        if ty not in self._carried:
            match self.definitions[ty]:
                case StreamOf(element) if element is not None:
                    self._carried[ty] = self.add(ListOf(self.carried(element)))
                case FutureOf(payload) if payload is not None:
                    self._carried[ty] = self.carried(payload)
                case definition:
                    self._carried[ty] = self.add(remap(definition, self.carried, lambda it: it))
        return self._carried[ty]

    def text(self, ty: ValType, prefix: str) -> str:
        """How another type refers to it."""
        return ty.name.lower() if isinstance(ty, Primitive) else f"${prefix}{ty}"

    def lines(self, prefix: str, form: str) -> Iterator[str]:
        """All types, of which those that need names get theirs by a form."""
        for index, definition in enumerate(self.definitions):
            body = _body(definition, lambda ty: self.text(ty, prefix))
            named = isinstance(definition, _NAMED)
            inner = f"${prefix}{index}'" if named else f"${prefix}{index}"
            yield f"(type {inner} {body})"
            if named:
                yield form.format(name=f'"t{index}"', own=f"${prefix}{index}", inner=inner)

    @property
    def named(self) -> list[str]:
        """The names of those that have names."""
        return [
            f"t{index}"
            for index, definition in enumerate(self.definitions)
            if isinstance(definition, _NAMED)
        ]


def _body(definition: TypeDefinition, text: Callable[[ValType], str]) -> str:
    def of(ty: ValType | None, form: str = "{}") -> str:
        return "" if ty is None else form.format(text(ty))

    def members(keyword: str, pairs: Iterable[tuple[str, ValType | None]]) -> str:
        return " ".join(f'({keyword} "{name}" {of(ty)})' for name, ty in pairs)

    def names(labels: Iterable[str]) -> str:
        return " ".join(f'"{label}"' for label in labels)

    match definition:
        case Record(fields):
            return f"(record {members('field', fields)})"
        case Variant(cases):
            return f"(variant {members('case', cases)})"
        case Enumeration(labels):
            return f"(enum {names(labels)})"
        case Flags(labels):
            return f"(flags {names(labels)})"
        case ListOf(element):
            return f"(list {of(element)})"
        case TupleOf(elements):
            return f"(tuple {' '.join(map(of, elements))})"
        case OptionOf(payload):
            return f"(option {of(payload)})"
        case ResultOf(ok, error):
            return f"(result {of(ok)} {of(error, '(error {})')})"
        case StreamOf(element):
            return f"(stream {of(element)})"
        case FutureOf(payload):
            return f"(future {of(payload)})"
    raise TypeError(f"no value has the type {definition}")


def cases_of(definition: TypeDefinition) -> list[ValType | None]:
    """The payloads of the cases that it has; of none, where it has no cases."""
    match definition:
        case Variant(cases):
            return [payload for _, payload in cases]
        case OptionOf(payload):
            return [None, payload]
        case ResultOf(ok, error):
            return [ok, error]
        case Enumeration(names):
            return [None for _ in names]
    return []


def members_of(definition: Record | TupleOf) -> list[ValType]:
    """The types of its fields or elements."""
    match definition:
        case Record(fields):
            return [ty for _, ty in fields]
        case TupleOf(elements):
            return list(elements)
