"""Worlds by chance: WIT that uses types across interfaces in ways that nobody would write by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Final

WORLD: Final = "chance"
"""The name of the world in each document."""

_PRIMITIVES: Final = ("u8", "s16", "u32", "s64", "u64", "f32", "f64", "bool", "char", "string")
_MAX_NESTING: Final = 3


@dataclass
class _Interface:
    """What of an interface another can use.

    Attributes:
        name: Its name.
        types: The names of its types but for resources; also those that it uses itself.
        resources: The names of resources, likewise.
        own: Those of both that it defines.
        lines: Its text.
    """

    name: str
    types: list[str] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def text(self) -> str:
        return "\n".join([f"interface {self.name} {{", *self.lines, "}"])


def document(seed: int) -> str:
    """A WIT document with a world, not all of which are valid: a `use` may contradict another."""
    return _Generator(Random(seed)).document()  # noqa: S311 - not for security


class _Generator:
    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.interfaces: list[_Interface] = []

    def document(self) -> str:
        version = self.chance.choice(["1.2.3", "0.2.4", "0.0.7", "1.0.0-rc.1"])
        for number in range(self.chance.randint(2, 6)):
            self.interfaces.append(self.interface(number))
        texts = [interface.text() for interface in self.interfaces]
        return "\n".join([f"package test:chance@{version};", *texts, self.world()])

    def interface(self, number: int) -> _Interface:
        new = _Interface(f"i{number}")
        for other in self.interfaces:
            if other.own and self.chance.random() < 0.5:
                self.use(new, other)
        for count in range(self.chance.randint(0, 4)):
            self.define(new, f"t{number}x{count}")
        for count in range(self.chance.randint(0, 4)):
            parameters = self.chance.choice([0, 1, 2, 3, 9])
            new.lines.append(f"  f{count}: {self.function(new, parameters)};")
        return new

    def use(self, new: _Interface, other: _Interface) -> None:
        used = []
        for name in self.chance.sample(other.own, self.chance.randint(1, len(other.own))):
            alias = f"{name}-in-{new.name}" if self.chance.random() < 0.3 else name
            used.append(name if alias == name else f"{name} as {alias}")
            (new.resources if name in other.resources else new.types).append(alias)
        new.lines.append(f"  use {other.name}.{{{', '.join(used)}}};")

    def define(self, of: _Interface, name: str) -> None:
        def items(prefix: str, most: int) -> list[str]:
            return [f"{prefix}{at}" for at in range(self.chance.randint(1, most))]

        match self.chance.choice(["record", "variant", "enum", "flags", "alias", "resource"]):
            case "record":
                fields = ", ".join(f"{item}: {self.type(of)}" for item in items("f", 5))
                text = f"record {name} {{ {fields} }}"
            case "variant":
                cases = [
                    f"{item}({self.type(of)})" if self.chance.random() < 0.6 else item
                    for item in items("c", 5)
                ]
                text = f"variant {name} {{ {', '.join(cases)} }}"
            case "enum":
                text = f"enum {name} {{ {', '.join(items('c', 5))} }}"
            case "flags":
                text = f"flags {name} {{ {', '.join(items('c', 20))} }}"
            case "alias":
                text = f"type {name} = {self.type(of, handles=False)};"
            case _:
                of.resources.append(name)
                of.own.append(name)
                of.lines.append(f"  resource {name} {{ {self.members(of)} }}")
                return
        of.types.append(name)
        of.own.append(name)
        of.lines.append(f"  {text}")

    def members(self, of: _Interface) -> str:
        members = [f"constructor(p0: {self.type(of)});"] if self.chance.random() < 0.6 else []
        for at in range(self.chance.randint(0, 3)):
            static = "static " if self.chance.random() < 0.3 else ""
            members.append(f"m{at}: {static}{self.function(of, 2)};")
        return " ".join(members)

    def function(self, of: _Interface, parameters: int) -> str:
        def parameter() -> str:
            if of.resources and self.chance.random() < 0.2:
                return f"borrow<{self.chance.choice(of.resources)}>"
            return self.type(of)

        listed = ", ".join(f"p{at}: {parameter()}" for at in range(parameters))
        result = f" -> {self.type(of)}" if self.chance.random() < 0.7 else ""
        return f"func({listed}){result}"

    def type(self, of: _Interface, nesting: int = 0, *, handles: bool = True) -> str:
        def inner() -> str:
            return self.type(of, nesting + 1, handles=handles)

        if nesting == _MAX_NESTING or self.chance.random() > 0.35:
            names = of.types * 2 + (of.resources if handles else [])
            return self.chance.choice([*_PRIMITIVES, *names])
        match self.chance.choice(["list", "option", "tuple", "result", "error", "empty"]):
            case "list":
                return f"list<{inner()}>"
            case "option":
                return f"option<{inner()}>"
            case "tuple":
                return f"tuple<{', '.join(inner() for _ in range(self.chance.randint(1, 4)))}>"
            case "result":
                return f"result<{inner()}, {inner()}>"
            case "error":
                return f"result<_, {inner()}>"
            case _:
                return "result"

    def world(self) -> str:
        own = _Interface("own")
        for other in self.interfaces:
            if other.own and self.chance.random() < 0.3:
                self.use(own, other)
        lines = [
            f"  {direction} {interface.name};"
            for direction in ("import", "export")
            for interface in self.interfaces
            if self.chance.random() < 0.5
        ]
        for direction in ("import", "export"):
            count = self.chance.randint(0, 2)
            lines += [
                f"  {direction} {direction}{at}: {self.function(own, 1)};" for at in range(count)
            ]
        self.chance.shuffle(lines)
        return "\n".join([f"world {WORLD} {{", *own.lines, *lines, "}"])
