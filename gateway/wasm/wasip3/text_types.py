"""Types in text form, as the interfaces of WASI 0.3 are written here: their words, and the types that they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

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
)
from gateway.wasm.canonical_abi import Layout
from gateway.wasm.wasip3.call_types import Types

__all__ = ["TextTypes", "Type", "as_text", "words"]

Type: TypeAlias = Any
"""A WIT type in text form, as lists of words: `["option", "string"]`, or one word."""

_TOKEN: Final = re.compile(r'[()]|"[^"]*"|[^\s()]+')
_PRIMITIVES: Final = {each.name.lower(): each for each in Primitive}

_ANY: Final = 0
"""The resource of a handle, which lies in memory as that of any other."""


def words(text: str) -> list[Any]:
    """A text as nested lists of its words."""
    stack: list[list[Any]] = [[]]
    for word in _TOKEN.findall(text):
        if word == "(":
            stack.append([])
        elif word == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(word)
    return stack[0]


def as_text(value: Type) -> str:
    """The words of a text, put together again."""
    return value if isinstance(value, str) else f"({' '.join(map(as_text, value))})"


class TextTypes:
    """The types that a text defines as `(type $name ...)`, alone or in an export.

    Args:
        text: the text.

    Attributes:
        types: those that were asked for so far.
    """

    def __init__(self, text: str) -> None:
        self.types = Types([])
        self._named = _named(text)
        self._known: dict[str, int] = {}

    def of(self, ty: Type) -> ValType:
        """A type, by its words."""
        if isinstance(ty, str):
            primitive = _PRIMITIVES.get(ty)
            return self.of(self._named[ty]) if primitive is None else primitive
        text = as_text(ty)
        if text not in self._known:
            self._known[text] = self.types.add(self._definition(ty))
        return self._known[text]

    def body(self, name: str) -> Type:
        """What a name stands for."""
        found = self._named[f"${name}"]
        while isinstance(found, str) and found in self._named:
            found = self._named[found]
        return found

    def layout(self, ty: Type) -> Layout:
        """How it lies in memory, and which core values it is passed as."""
        return self.types.layout(self.of(ty))

    def flat(self, ty: Type) -> list[str]:
        """Those core values, of a type that has sixteen at most."""
        return [each.name.lower() for each in self.layout(ty).flat or ()]

    def _definition(self, ty: Type) -> TypeDefinition:
        match ty:
            case ["record", *fields]:
                return Record(tuple((name, self.of(of)) for _, name, of in fields))
            case ["variant", *cases]:
                return Variant(
                    tuple((name, self.of(of[0]) if of else None) for _, name, *of in cases)
                )
            case ["tuple", *elements]:
                return TupleOf(tuple(map(self.of, elements)))
            case ["option", payload]:
                return OptionOf(self.of(payload))
            case ["result", *payloads]:
                error = [it[1] for it in payloads if it[0] == "error"]
                ok = [it for it in payloads if it[0] != "error"]
                return ResultOf(
                    self.of(ok[0]) if ok else None, self.of(error[0]) if error else None
                )
            case ["list", element]:
                return ListOf(self.of(element))
            case ["enum", *names]:
                return Enumeration(tuple(names))
            case ["flags", *names]:
                return Flags(tuple(names))
            case ["own", _]:
                return Own(_ANY)
            case ["borrow", _]:
                return Borrow(_ANY)
            case ["stream", *element]:
                return StreamOf(self.of(element[0]) if element else None)
            case ["future", *payload]:
                return FutureOf(self.of(payload[0]) if payload else None)
        raise TypeError(f"no value has the type {as_text(ty)}")


def _named(text: str) -> Mapping[str, Type]:
    types: dict[str, Type] = {}
    for item in words(text):
        found = item if item[0] == "type" else item[2] if item[0] == "export" else []
        if found[:1] == ["type"]:
            types[found[1]] = found[2][1] if found[2][0] == "eq" else found[2]
    return types
