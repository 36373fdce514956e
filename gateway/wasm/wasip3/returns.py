"""Core code that hands a value on which the host has written to memory.

A function that the host has returns what is large through memory. A task does not: `task.return` takes the core
values of it, up to sixteen. So they are loaded one by one, those of the case at hand where there are cases.

Source: Component Model, `CanonicalABI.md`, "Loading" and "Flattening".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

__all__ = ["Layout", "Type", "as_text", "read_types", "returning", "words"]

Type: TypeAlias = Any
"""A WIT type in text form, as lists of words: `["option", "string"]`, or one word."""

_TOKEN: Final = re.compile(r'[()]|"[^"]*"|[^\s()]+')
_ALIGNED: Final = {"u8": 1, "s8": 1, "bool": 1, "u16": 2, "s16": 2, "u64": 8, "s64": 8}
_LOADS: Final = {
    ("i32", 1): "i32.load8_u",
    ("i32", 2): "i32.load16_u",
    ("i32", 4): "i32.load",
    ("i64", 8): "i64.load",
}


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


def read_types(text: str) -> Mapping[str, Type]:
    """The types that a text defines as `(type $name ...)`, alone or in an export."""
    types: dict[str, Type] = {}
    for item in words(text):
        found = item if item[0] == "type" else item[2] if item[0] == "export" else []
        if found[:1] == ["type"]:
            types[found[1]] = found[2][1] if found[2][0] == "eq" else found[2]
    return types


class Layout:
    """The canonical ABI of the types of one text."""

    def __init__(self, types: Mapping[str, Type]) -> None:
        self.types = types

    def parts(self, ty: Type) -> tuple[str, list[Type | None]]:
        """What it is made of: one after the other ("all"), one of several ("one"), or a single core value ("")."""
        while isinstance(ty, str) and ty in self.types:
            ty = self.types[ty]
        match ty:
            case ["record" | "tuple" as kind, *fields]:
                return "all", [field[2] if kind == "record" else field for field in fields]
            case ["variant", *cases]:
                return "one", [case[2] if len(case) > 2 else None for case in cases]
            case ["option", payload]:
                return "one", [None, payload]
            case ["result", *payloads]:
                error = [it[1] for it in payloads if isinstance(it, list) and it[0] == "error"]
                ok = [it for it in payloads if not isinstance(it, list) or it[0] != "error"]
                return "one", [ok[0] if ok else None, error[0] if error else None]
            case "string" | ["list", _]:
                return "all", ["u32", "u32"]
            case ["enum", *_]:
                return "", ["u8"]
            case ["flags", *names]:
                return "", ["u8" if len(names) <= 8 else "u16" if len(names) <= 16 else "u32"]
            case [*_]:
                return "", ["u32"]
            case _:
                return "", [ty]

    def flat(self, ty: Type) -> list[str]:
        """The core values that it is passed as, each `i32` or `i64`."""
        kind, parts = self.parts(ty)
        if kind == "":
            return ["i64" if parts[0] in {"u64", "s64"} else "i32"]
        flats = [[] if part is None else self.flat(part) for part in parts]
        if kind == "all":
            return [each for part in flats for each in part]
        joined: list[str] = []
        for part in flats:
            for index, each in enumerate(part):
                if index == len(joined):
                    joined.append(each)
                elif joined[index] != each:
                    joined[index] = "i64"
        return ["i32", *joined]

    def size(self, ty: Type | None) -> tuple[int, int]:
        """Its size and its alignment, in bytes."""
        if ty is None:
            return 0, 1
        kind, parts = self.parts(ty)
        if kind == "":
            size = _ALIGNED.get(str(parts[0]), 4)
            return size, size
        sizes = [self.size(part) for part in parts]
        align = max([1, *(each for _, each in sizes)])
        if kind == "all":
            end = 0
            for each, alignment in sizes:
                end = _up(end, alignment) + each
            return _up(end, align), align
        return _up(_up(1, align) + max(size for size, _ in sizes), align), align

    def loads(self, ty: Type, at: int, first: int, into: Sequence[str]) -> Iterator[str]:
        """Code that loads the core values of what is at `$at` + `at` into locals, from number `first` on."""
        kind, parts = self.parts(ty)
        if kind == "":
            yield self._load(self.flat(ty)[0], self.size(ty)[0], at, first, into)
        elif kind == "all":
            for part in parts:
                size, align = self.size(part)
                at = _up(at, align)
                yield from self.loads(part, at, first, into)
                at += size
                first += len(self.flat(part))
        else:
            yield self._load("i32", 1, at, first, into)
            payloads = at + _up(1, self.size(ty)[1])
            wide = into[first]
            for index, part in enumerate(parts):
                if part is not None:
                    code = " ".join(self.loads(part, payloads, first + 1, into))
                    chosen = f"({wide}.eq (local.get $v{first}) ({wide}.const {index}))"
                    yield f"(if {chosen} (then {code}))"

    @staticmethod
    def _load(flat: str, size: int, at: int, local: int, into: Sequence[str]) -> str:
        load = f"({_LOADS[flat, size]} offset={at} (local.get $at))"
        if into[local] != flat:
            load = f"(i64.extend_i32_u {load})"
        return f"(local.set $v{local} {load})"


def _up(offset: int, align: int) -> int:
    return -(-offset // align) * align


def returning(name: str, ty: str, types: Mapping[str, Type]) -> str:
    """A core function `$return-NAME`, which has a task return what is at an address: by `$task-return-NAME`."""
    layout, value = Layout(types), words(ty)[0]
    into = layout.flat(value)
    locals_ = " ".join(f"(local $v{index} {each})" for index, each in enumerate(into))
    values = " ".join(f"(local.get $v{index})" for index in range(len(into)))
    loads = "\n".join(layout.loads(value, 0, 0, into))
    return f"(func $return-{name} (param $at i32) {locals_}\n{loads}\n(call $task-return-{name} {values}))"
