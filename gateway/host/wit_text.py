"""Interfaces as WIT has them, with the names that they give to types.

Source: https://component-model.bytecodealliance.org/design/wit.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gateway.host import wit

__all__ = ["Definitions", "block", "interface_lines", "names_of"]


class Definitions:
    """What was defined so far, and where.

    Attributes:
        resources: the interface that has a resource, and its name there.
        types: the interface that defines a type of some name and form. Types have no identity: what has
            both of one that was defined before is taken for that one.
    """

    def __init__(self) -> None:
        self.resources: dict[wit.Resource, tuple[str, str]] = {}
        self.types: dict[tuple[str, wit.Type], str] = {}


def interface_lines(
    name: str,
    interface: wit.Interface,
    seen: Definitions,
    notes: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """What an interface holds, a line each, sorted as people write it: what it uses, types, resources, functions.

    Args:
        name: its full name.
        interface: the interface.
        seen: what interfaces before it have defined; what this one does is added.
        notes: comments, by the full names of functions.
    """
    return _Interface(name, interface, seen, notes or {}).lines()


def names_of(interface: wit.Interface) -> dict[wit.Type, str]:
    """What the types of an interface are called there that are written by name: those that are no others."""
    names: dict[wit.Type, str] = {}
    for local, ty in interface.types.items():
        if isinstance(ty, wit.Named):
            names.setdefault(ty, local)
    return names


class _Interface:
    """An interface, sorted as people write it: what it uses, types, resources with their functions, functions."""

    def __init__(
        self, name: str, interface: wit.Interface, seen: Definitions, notes: Mapping[str, str]
    ) -> None:
        self._name = name
        self._seen = seen
        self._names: dict[wit.Type, str] = {}
        self._uses: dict[str, list[str]] = {}
        self._aliases: list[str] = []
        self._definitions: list[str] = []
        self._resources: dict[str, list[str]] = {}
        self._functions: list[str] = []

        # A resource that has several names here goes by the one that its functions have.
        owners = {wit.split_function(function)[1] for function in interface.functions}
        for local, resource in interface.resources.items():
            if local in owners:
                seen.resources.setdefault(resource, (name, local))
        for local, resource in interface.resources.items():
            self._add_resource(local, resource)
        for local, ty in interface.types.items():
            self._add_type(local, ty)
        for full_name, function in interface.functions.items():
            self._add_function(full_name, function, notes.get(full_name, ""))
        self._functions += [f"{local}: {kind};" for local, kind in interface.others.items()]

    def lines(self) -> Iterator[str]:
        for home, names in self._uses.items():
            yield f"use {home}.{{{', '.join(names)}}};"
        yield from self._aliases
        yield from self._definitions
        for name, functions in self._resources.items():
            yield from block(f"resource {name}", functions)
        yield from self._functions

    def _add_resource(self, local: str, resource: wit.Resource) -> None:
        home, original = self._seen.resources.setdefault(resource, (self._name, local))
        if home == self._name and original != local:
            self._aliases.append(f"type {local} = {original};")
            return
        if home == self._name:
            self._resources[local] = []
        else:
            renamed = local if local == original else f"{original} as {local}"
            self._uses.setdefault(home, []).append(renamed)
        self._names.setdefault(wit.Own(resource), local)
        self._names.setdefault(wit.Borrow(resource), f"borrow<{local}>")

    def _add_type(self, local: str, ty: wit.Type) -> None:
        if not isinstance(ty, wit.Named):
            # WIT has it without a name too, and one for `string` would hide what it is where it is used.
            self._aliases.append(f"type {local} = {wit.text(ty, self._names)};")
            return
        home = self._seen.types.setdefault((local, ty), self._name)
        if ty in self._names:
            self._aliases.append(f"type {local} = {self._names[ty]};")
        elif home != self._name:
            self._uses.setdefault(home, []).append(local)
        else:
            self._definitions += _definition(local, ty, self._names)
        self._names.setdefault(ty, local)

    def _add_function(self, full_name: str, function: wit.Function, note: str) -> None:
        kind, owner, name = wit.split_function(full_name)
        lines = self._functions if owner is None else self._resources.setdefault(owner, [])
        lines.append(f"{_function(kind, name, function, self._names)};{note}")


def _function(kind: str, name: str, function: wit.Function, names: Mapping[wit.Type, str]) -> str:
    match kind:
        case "constructor":
            result = None if isinstance(function.result, wit.Own) else function.result
            written = wit.text(wit.Function(function.params, result), names)
            return f"constructor{written.removeprefix('func')}"
        case "method":
            return f"{name}: {wit.text(wit.Function(function.params[1:], function.result), names)}"
        case "static":
            return f"{name}: static {wit.text(function, names)}"
    return f"{name}: {wit.text(function, names)}"


def _definition(
    name: str,
    ty: wit.Named,
    names: Mapping[wit.Type, str],
) -> Iterator[str]:
    match ty:
        case wit.Record(fields):
            keyword = "record"
            parts = [f"{field}: {wit.text(of, names)}" for field, of in fields]
        case wit.Variant(cases):
            keyword = "variant"
            parts = [
                case if payload is None else f"{case}({wit.text(payload, names)})"
                for case, payload in cases
            ]
        case wit.Enum(members):
            keyword, parts = "enum", list(members)
        case wit.Flags(members):
            keyword, parts = "flags", list(members)
    yield from block(f"{keyword} {name}", (f"{part}," for part in parts))


def block(head: str, lines: Iterable[str], note: str = "") -> Iterator[str]:
    """Lines with what they stand in, or that alone where there are none.

    Args:
        head: what stands before the brace.
        lines: what stands within.
        note: a comment on the first line.
    """
    indented = [f"  {line}" for line in lines]
    if indented:
        yield f"{head} {{{note}"
        yield from indented
        yield "}"
    else:
        yield f"{head};{note}"
