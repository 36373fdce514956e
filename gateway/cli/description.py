"""What `gateway inspect` prints: a component's digest, size, imports and exports, in the words of WIT.

Source: https://component-model.bytecodealliance.org/design/wit.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from time import time
from typing import Final

from gateway.bindings import provided
from gateway.host import wit
from gateway.host.component import Component, Source
from gateway.rpc.method import Methods
from gateway.serving.handlers import MESSAGE_HANDLER, WATCHER
from gateway.serving.service import HANDLER, INCOMING_HANDLER
from gateway.wasm.claims import Policy, examine, summary
from gateway.wasm.wasip3 import supplied

__all__ = ["describe"]

_TRAPS: Final = "  // nothing provides this without a link: calling it traps"
_REFUSED: Final = "  // nothing can provide this: the component is not served"


def describe(path: Path) -> str:
    """Describe the component in a file.

    It is compiled for that, which takes seconds if it is large, and nothing is kept.

    Raises:
        gateway.host.errors.ComponentError: the file holds no component that can be loaded.
    """
    source = Source(path)
    component = Component.alone(source, name=path.name)
    lines = [
        f"component {path}",
        f"  sha256  {component.digest}",
        f"  size    {component.size} bytes",
    ]
    claims = summary(examine(source.original, Policy(), time()))
    lines += (f"  {label:<6}  {text}" for label, text in claims)
    seen = _Seen()
    for name, item in component.imports.items():
        lines += [
            "",
            *_item(f"import {wit.extern_text(name, item)}", name, item, seen, _notes(name, item)),
        ]
    for name, item in component.exports.items():
        lines += ["", *_item(f"export {wit.extern_text(name, item)}", name, item, seen, {})]
    methods = Methods(component.exports)
    if source.concurrent and component.find_export(HANDLER) is not None:
        lines += ["", f"It is of WASI 0.3: its {HANDLER} answers HTTP requests."]
    elif component.find_export(INCOMING_HANDLER) is None:
        lines += ["", f"It exports no {INCOMING_HANDLER}, so it cannot answer HTTP requests."]
    if component.find_export(MESSAGE_HANDLER) is not None:
        lines += ["", "It handles messages: those of the subscriptions in messaging."]
    if component.find_export(WATCHER) is not None:
        lines += ["", "It is told of changes in stores: those that have watch = true in keyvalue."]
    if methods.served:
        lines += ["", "Called by JSON-RPC as"]
        lines += (f"  {method.short or method.name}" for method in methods.served)
    if methods.left_out:
        lines += ["", "Not served by JSON-RPC"]
        lines += (f"  {export.name}: {export.reason}" for export in methods.left_out)
    return "\n".join(lines)


def _notes(name: str, item: wit.Item) -> dict[str, str]:
    """What is said of an import: of its functions that nothing provides, or of all of it."""
    interface = provided().interface(wit.interface_name(name, item))
    if interface is None or not isinstance(item, wit.Interface):
        return {name: _TRAPS}
    here = {*interface.functions, *supplied(interface.name, interface.version)}
    notes = dict.fromkeys(item.functions.keys() - here, _TRAPS)
    return notes if interface.key is None else {**notes, name: f"  // granted by {interface.key}"}


class _Seen:
    """What was defined so far, and where.

    Attributes:
        resources: the interface that has a resource, and its name there.
        types: the interface that defines a type of some name and form. Types have no identity: what has
            both of one that was defined before is taken for that one.
    """

    def __init__(self) -> None:
        self.resources: dict[wit.Resource, tuple[str, str]] = {}
        self.types: dict[tuple[str, wit.Type], str] = {}


def _item(
    head: str, name: str, item: wit.Item, seen: _Seen, notes: Mapping[str, str]
) -> Iterator[str]:
    note = notes.get(name, "")
    match item:
        case wit.Interface():
            yield from _block(head, _Interface(name, item, seen, notes).lines(), note)
        case wit.Resource():
            yield f"{head}: resource;{note}"
        case wit.Function():
            yield f"{head}: {item};{note}"
        case str():
            yield f"{head}: {item};{note and _REFUSED}"
        case _:
            yield f"{head}: type {item};"


class _Interface:
    """An interface, sorted as people write it: what it uses, types, resources with their functions, functions."""

    def __init__(
        self, name: str, interface: wit.Interface, seen: _Seen, notes: Mapping[str, str]
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
        owners = {_split(function)[1] for function in interface.functions}
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
            yield from _block(f"resource {name}", functions)
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
        if not isinstance(ty, wit.Record | wit.Variant | wit.Enum | wit.Flags):
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
        kind, owner, name = _split(full_name)
        lines = self._functions if owner is None else self._resources.setdefault(owner, [])
        lines.append(f"{_function(kind, name, function, self._names)};{note}")


def _split(full_name: str) -> tuple[str, str | None, str]:
    """A function's kind, the resource that it belongs to, and its name there: "[method]fields.get", say.

    Source: the component model's Explainer.md, "Import and Export Definitions", `plainname`.
    """
    kind, bracket, rest = full_name.removeprefix("[").partition("]")
    if not bracket:
        return "", None, full_name
    owner, _, name = rest.partition(".")
    return kind, owner, name


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
    ty: wit.Record | wit.Variant | wit.Enum | wit.Flags,
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
    yield from _block(f"{keyword} {name}", (f"{part}," for part in parts))


def _block(head: str, lines: Iterable[str], note: str = "") -> Iterator[str]:
    indented = [f"  {line}" for line in lines]
    if indented:
        yield f"{head} {{{note}"
        yield from indented
        yield "}"
    else:
        yield f"{head};{note}"
