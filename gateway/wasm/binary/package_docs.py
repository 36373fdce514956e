"""Documentation of WIT, where a component carries it: the custom section `package-docs`.

WIT's doc comments are no part of a component's types. Tools keep them in a custom section: a byte, 0 or 1, for the
version of its format, and then JSON, an object for one WIT package:

    {"package": "ns:name@1.2.3", "docs": "...",
     "worlds": {"world": {"docs": "...", "funcs": {...}, "types": {...}, "interfaces": {...},
                          "func_exports": {...}, "interface_exports": {...},
                          "interface_export_docs": {"ns:name/interface@1.2.3": "..."}}},
     "interfaces": {"name": {"docs": "...",
                             "funcs": {"name": {"docs": "..."}},
                             "types": {"name": {"docs": "...", "items": {"field or case": "..."}}}}}}

Every member may be absent. In version 0 a function has a string in place of an object, and what a world exports
lies with what it imports. `package` came late, for components that carry the documentation of several packages;
without it the package is whichever the section's writer had at hand.

Tools write the section into WIT packages in binary form. Into a component that can be run, those of today do not
carry it over: it is there where its author appended it.

Documentation is decoration: what is damaged, too large or of another version is passed over in silence.

Format: wit-parser, `src/metadata.rs`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

from gateway.wasm.binary.cursor import MalformedBinary
from gateway.wasm.binary.sections import ComponentSection, walk

__all__ = ["MAX_SIZE", "SECTION_NAME", "InterfaceDocs", "PackageDocs", "TypeDocs", "package_docs"]

SECTION_NAME: Final = "package-docs"

# Threat: JSON of hundreds of megabytes, which takes ten times that in memory. Precedent: the documentation of all
# of WASI 0.2 has some 200 KiB. Unit: bytes, of all sections of a file together.
MAX_SIZE: Final = 1 << 20

# Threat: a file of sections of two bytes each, at a microsecond a section. Precedent: large components have some
# thousands. Unit: sections.
_MAX_SECTIONS: Final = 50_000

_VERSIONS: Final = frozenset({0, 1})


@dataclass(frozen=True, slots=True)
class TypeDocs:
    """What is said about a type.

    Attributes:
        docs: about the type itself.
        items: about its fields, cases or flags, by name.
    """

    docs: str | None = None
    items: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InterfaceDocs:
    """What is said about an interface.

    Attributes:
        docs: about the interface itself.
        functions: about its functions, by name.
        types: about the types that it defines, by name.
    """

    docs: str | None = None
    functions: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, TypeDocs] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _World:
    """Attributes: its own functions and types; interfaces that are defined in it; the exports of others."""

    own: InterfaceDocs
    interfaces: Mapping[str, InterfaceDocs]
    exports: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Package:
    """Attributes: the package's name, where it is told; whether the section lies in the outermost component."""

    name: str | None
    outermost: bool
    docs: str | None
    worlds: tuple[_World, ...]
    interfaces: Mapping[str, InterfaceDocs]


class PackageDocs:
    """What a component says about what it exports, which may be nothing."""

    def __init__(self, packages: Iterable[_Package] = ()) -> None:
        self._packages = tuple(packages)
        outermost = [package for package in self._packages if package.outermost]
        self._worlds = [world for package in outermost for world in package.worlds]
        self.docs: Final = _only(world.own.docs for world in self._worlds) or _only(
            package.docs for package in outermost
        )
        """About the component: its world or, where several are documented, its package."""

    def function(self, name: str) -> str | None:
        """What is said about a function at the root of the component."""
        found = (world.own.functions.get(name) for world in self._worlds)
        return next((docs for docs in found if docs is not None), None)

    def interface(self, name: str, functions: Collection[str]) -> InterfaceDocs:
        """What is said about an exported interface.

        Args:
            name: `ns:package/interface@1.2.3`, or `interface` where the world defines it.
            functions: the functions that it has. Documentation that does not tell its package may be that of a
                namesake: it is taken where it is about these only.
        """
        path, _, version = name.partition("@")
        package_name, _, local = path.rpartition("/")
        if not package_name:
            inline = (world.interfaces.get(local) for world in self._worlds)
            return next((docs for docs in inline if docs is not None), _NOTHING)
        if version:
            package_name += f"@{version}"
        candidates = (
            package.interfaces.get(local, _NOTHING)
            for wanted in (package_name, None)
            for package in self._packages
            if package.name == wanted
        )
        known = set(functions)
        fitting = (docs for docs in candidates if docs.functions.keys() <= known)
        found = next((docs for docs in fitting if docs != _NOTHING), _NOTHING)
        if found.docs is None:
            exported = (world.exports.get(name) for world in self._worlds)
            return replace(found, docs=next((docs for docs in exported if docs is not None), None))
        return found

    def type(self, name: str, items: Collection[str]) -> TypeDocs:
        """What is said about a type of this name, whichever interface defines it.

        For types that an interface uses from another one. A component does not tell which.

        Args:
            name: the type's name.
            items: the fields, cases or flags that it has, by which it is told from its namesakes.
        """
        for package in self._packages:
            homes = [*package.interfaces.values(), *(world.own for world in package.worlds)]
            for home in homes:
                docs = home.types.get(name)
                if docs is not None and docs.items.keys() <= set(items):
                    return docs
        return TypeDocs()


_NOTHING: Final = InterfaceDocs()


def package_docs(data: bytes) -> PackageDocs:
    """Read the documentation that a component carries.

    Components inside it count as well, after it: tools that compose components wrap them. Never raises.
    """
    found: list[tuple[int, _Package]] = []
    left = MAX_SIZE
    with suppress(MalformedBinary):
        for depth, section in islice(walk(data), _MAX_SECTIONS):
            size = section.end - section.start
            if (section.id, section.name) != (ComponentSection.CUSTOM, SECTION_NAME) or size > left:
                continue
            left -= size
            package = _read(data[section.start : section.end], outermost=depth == 0)
            if package is not None:
                found.append((depth, package))
    found.sort(key=lambda entry: entry[0])
    return PackageDocs(package for _, package in found)


def _read(content: bytes, *, outermost: bool) -> _Package | None:
    if not content or content[0] not in _VERSIONS:
        return None
    try:
        root = json.loads(content[1:].decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(root, dict):
        return None
    return _Package(
        _text(root.get("package")),
        outermost,
        _text(root.get("docs")),
        tuple(_world(world) for world in _members(root, "worlds").values()),
        _interfaces(_members(root, "interfaces")),
    )


def _world(value: Any) -> _World:
    own = _interface(value)
    functions = {**own.functions, **_functions(value, "func_exports")}
    interfaces = _members(value, "interfaces") | _members(value, "interface_exports")
    return _World(
        InterfaceDocs(own.docs, functions, own.types),
        _interfaces(interfaces),
        _texts(_members(value, "interface_export_docs")),
    )


def _interfaces(values: Mapping[str, Any]) -> dict[str, InterfaceDocs]:
    interfaces = {name: _interface(value) for name, value in values.items()}
    # One about which nothing is said must not stand in the way of a namesake.
    return {name: docs for name, docs in interfaces.items() if docs != _NOTHING}


def _interface(value: Any) -> InterfaceDocs:
    types = {
        name: TypeDocs(_docs(docs), _texts(_members(docs, "items")))
        for name, docs in _members(value, "types").items()
    }
    said = {name: docs for name, docs in types.items() if docs != TypeDocs()}
    return InterfaceDocs(_docs(value), _functions(value, "funcs"), said)


def _functions(value: Any, member: str) -> dict[str, str]:
    functions = _members(value, member).items()
    return _texts(
        {name: docs if isinstance(docs, str) else _docs(docs) for name, docs in functions}
    )


def _members(value: Any, member: str) -> dict[str, Any]:
    members = value.get(member) if isinstance(value, dict) else None
    return members if isinstance(members, dict) else {}


def _docs(value: Any) -> str | None:
    return _text(value.get("docs")) if isinstance(value, dict) else None


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    texts = {name: _text(value) for name, value in values.items()}
    return {name: text for name, text in texts.items() if text is not None}


def _text(value: Any) -> str | None:
    """A text that has something in it and can be written as UTF-8: JSON has escapes for lone surrogates."""
    if not isinstance(value, str):
        return None
    return value.encode(errors="replace").decode().strip() or None


def _only(texts: Iterable[str | None]) -> str | None:
    told = [text for text in texts if text is not None]
    return told[0] if len(told) == 1 else None
