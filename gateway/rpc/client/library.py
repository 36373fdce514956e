"""The definitions that generated clients share, and what each of them needs.

A client has those of `gateway.rpc.client.runtime` that it uses and no others: a small component has a small
client, and all of it is code that was checked and tested as it stands.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from gateway.rpc.client.layout import WIDTH, Group, write

__all__ = ["Definition", "Library", "library", "names_in"]

_RUNTIME: Final = "gateway.rpc.client.runtime"

_OTHER_IMPORTS: Final = {
    "Enum": "enum",
    "Flag": "enum",
    "TypeAlias": "typing",
    "auto": "enum",
    "dataclass": "dataclasses",
}
"""What only the generated part of a client imports, and from where."""

_THIRD_PARTY: Final = frozenset({"httpx"})


@dataclass(frozen=True, slots=True)
class Definition:
    """A class, a function or a constant.

    Attributes:
        module: the module of the library that has it.
        source: its source.
        uses: the names in it.
        compact: whether it may stand next to others without empty lines.
    """

    module: str
    source: str
    uses: frozenset[str]
    compact: bool


class Library:
    """The definitions of some modules.

    Args:
        sources: the source of each module.

    Attributes:
        names: the names of all definitions and imports.
    """

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._definitions: dict[str, Definition] = {}
        self._imports = dict(_OTHER_IMPORTS)
        for module, source in sources.items():
            for node in ast.parse(source).body:
                self._read(module, source.splitlines(), node)
        self.names = self._definitions.keys() | self._imports.keys()

    def _read(self, module: str, lines: list[str], node: ast.stmt) -> None:
        match node:
            case ast.Import():
                self._imports |= dict.fromkeys((alias.name for alias in node.names), "")
                return
            case ast.ImportFrom(module=str(origin)):
                if not origin.startswith(_RUNTIME):
                    self._imports |= dict.fromkeys((alias.name for alias in node.names), origin)
                return
            case ast.ClassDef() | ast.FunctionDef():
                name, compact = node.name, False
                start = min([node.lineno, *(part.lineno for part in node.decorator_list)])
            case ast.Assign(targets=[ast.Name(name)]) | ast.AnnAssign(target=ast.Name(name)):
                start, compact = node.lineno, True
            case _:
                return
        while lines[start - 2].startswith("#"):
            start -= 1
        source = "\n".join(lines[start - 1 : node.end_lineno])
        self._definitions[name] = Definition(module, source, names_in(node), compact)

    def needed(self, names: Iterable[str]) -> set[str]:
        """The names of the library that are needed to use some of them."""
        found: set[str] = set()
        pending = set(names) & self.names
        while pending:
            name = pending.pop()
            found.add(name)
            if name in self._definitions:
                pending |= (self._definitions[name].uses & self.names) - found
        return found

    def definitions(self, names: Collection[str], *modules: str) -> Iterator[Definition]:
        """Those of the names that these modules define, in their order."""
        for name, definition in self._definitions.items():
            if name in names and definition.module in modules:
                yield definition

    def imports(self, names: Collection[str]) -> str:
        """The imports of those of the names that are imported."""
        wanted = {name: origin for name, origin in self._imports.items() if name in names}
        groups = [["from __future__ import annotations"], [], []]
        for name in sorted(name for name, origin in wanted.items() if not origin):
            groups[2 if name in _THIRD_PARTY else 1].append(f"import {name}")
        for origin in sorted(set(wanted.values()) - {"", "__future__"}):
            imported = [name for name in wanted if wanted[name] == origin]
            groups[1].append(_import_from(origin, sorted(imported, key=_import_order)))
        return "\n\n".join("\n".join(group) for group in groups if group)


@cache
def library(client: str) -> Library:
    """The library of clients of one kind, `blocking` or `asynchronous`."""
    folder = files(_RUNTIME)
    modules = ("values", "errors", "codecs", "messages", client)
    return Library({name: folder.joinpath(f"{name}.py").read_text("utf-8") for name in modules})


def names_in(node: ast.AST) -> frozenset[str]:
    """Every name of the module that is used in a part of it, and some of functions' own variables."""
    names = {
        part.id
        for part in _outside(node)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)
    }
    return frozenset(names)


def _outside(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node without the uses of parameters, which may be called as anything else is."""
    yield node
    for child in ast.iter_child_nodes(node):
        inside = _outside(child)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and child in node.body:
            own = {
                argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)
            }
            yield from (p for p in inside if not (isinstance(p, ast.Name) and p.id in own))
        else:
            yield from inside


def _import_from(origin: str, names: list[str]) -> str:
    line = f"from {origin} import {', '.join(names)}"
    return line if len(line) <= WIDTH else write(Group(f"from {origin} import (", tuple(names)))


def _import_order(name: str) -> tuple[int, str]:
    """Constants, classes, functions; what isort and ruff have."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name
