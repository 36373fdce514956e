"""The source of the classes that stand for a component's types, and of their codecs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.host import wit
from gateway.rpc.client.classes import Class
from gateway.rpc.client.layout import (
    WIDTH,
    Expression,
    Group,
    assigned,
    comment,
    docstring,
    prefixed,
    quoted,
    subscripted,
    union,
    write,
)
from gateway.rpc.client.names import FIELD_SCOPE, attribute_names, member_names, words
from gateway.rpc.client.python_types import PythonTypes
from gateway.wasm.binary.package_docs import InterfaceDocs, PackageDocs, TypeDocs

__all__ = ["codec", "define", "described", "docs_of"]


def define(each: Class, docs: TypeDocs, types: PythonTypes) -> str:
    """Write a class, and the aliases of it.

    Args:
        each: the class.
        docs: what the component says about the type.
        types: how the types inside it are written. Its aliases are to stand before the class.
    """
    says = described(each, docs)
    match each.type:
        case wit.Record(fields):
            source = _record(each, fields, says, docs.items, types)
        case wit.Variant(cases):
            source = _variant(each, cases, says, docs.items, types)
        case wit.Enum(names):
            source = _enumeration(each.name, "Enum", names, says, docs.items)
        case wit.Flags(names):
            source = _enumeration(each.name, "Flag", names, says, docs.items)
    aliases = [
        assigned(f"{alias}: TypeAlias = ", each.name) for alias in list(each.names.values())[1:]
    ]
    return "\n\n\n".join((source, *aliases))


def described(each: Class, docs: TypeDocs) -> str:
    """What the docstring of a class says."""
    if docs.docs:
        return docs.docs
    name, interface = each.home
    where = f" of `{interface}`" if interface else ""
    called = f"`{name}`{where}" if name else "without a name"
    return f"The {type(each.type).__name__.lower()} {called}."


def docs_of(each: Class, docs: PackageDocs, sources: Sequence[Mapping[str, wit.Item]]) -> TypeDocs:
    """What a component says about a type.

    Args:
        each: the type's class.
        docs: what the component says.
        sources: what it exports, and imports.
    """
    match each.type:
        case wit.Record(pairs) | wit.Variant(pairs):
            items = [item for item, _ in pairs]
        case wit.Enum(names) | wit.Flags(names):
            items = list(names)
    name, interface = each.home
    said = InterfaceDocs()
    if interface is not None:
        home = next(source[interface] for source in sources if interface in source)
        said = docs.interface(interface, home.functions if isinstance(home, wit.Interface) else ())
    return said.types.get(name) or docs.type(name, items)


def _record(
    each: Class,
    fields: Sequence[tuple[str, wit.Type]],
    text: str,
    items: Mapping[str, str],
    types: PythonTypes,
) -> str:
    names = attribute_names((field for field, _ in fields), FIELD_SCOPE)
    entries = []
    lines = []
    for name, (field, ty) in zip(names, fields, strict=True):
        if field in items:
            entries.append(f"{name}: {items[field]}")
        found = words(each.name) + words(field)
        room = WIDTH - len(f"    {name}: ")
        annotation = types.annotation(ty, each.home[1], found, room)
        lines.append(assigned(f"{name}: ", annotation, 4))
    return _dataclass(each.name, text, entries, lines)


def _variant(
    each: Class,
    cases: Sequence[tuple[str, wit.Type | None]],
    text: str,
    items: Mapping[str, str],
    types: PythonTypes,
) -> str:
    sources = []
    for name, (case, ty) in zip(each.cases, cases, strict=True):
        found = words(each.name) + words(case)
        lines = [] if ty is None else [f"    value: {types.annotation(ty, each.home[1], found)}"]
        says = items.get(case, f"The case `{case}` of `{each.name}`.")
        sources.append(_dataclass(name, says, [], lines))
    alias = union(f"{each.name}: TypeAlias = ", each.cases)
    return "\n\n\n".join((*sources, f"{alias}\n{docstring(text, 0)}"))


def _dataclass(name: str, text: str, entries: Sequence[str], fields: Sequence[str]) -> str:
    says = docstring(text, 4, [("Attributes", entries)] if entries else [])
    lines = ["@dataclass(frozen=True, slots=True)", f"class {name}:", says]
    return "\n".join([*lines, "", *fields] if fields else lines)


def _enumeration(
    name: str, base: str, names: Sequence[str], text: str, items: Mapping[str, str]
) -> str:
    lines = [f"class {name}({base}):", docstring(text, 4), ""]
    for bit, (label, chosen) in enumerate(zip(names, member_names(names), strict=True)):
        if label in items:
            lines.append(comment(items[label], 4))
        value = quoted(label) if base == "Enum" else f"1 << {bit}"
        lines.append(assigned(f"{chosen} = ", value, 4))
    return "\n".join(lines)


def codec(each: Class, types: PythonTypes) -> str:
    """Write the codec of a class."""
    match each.type:
        case wit.Record(fields):
            table = [prefixed(f"{quoted(key)}: ", types.codec(ty)) for key, ty in fields]
            made: Expression = Group("_record(", (each.name, Group("{", tuple(table), "}")))
        case wit.Variant(cases):
            table = [
                Group(f"{quoted(key)}: (", (kind, "None" if ty is None else types.codec(ty)))
                for (key, ty), kind in zip(cases, each.cases, strict=True)
            ]
            start = subscripted(f"{each.constant}: _Codec", each.name, " = _variant(")
            return write(Group(start, (Group("{", tuple(table), "}"),)))
        case wit.Enum():
            made = Group("_enum(", (each.name,))
        case wit.Flags(names):
            table = [
                f"{quoted(key)}: {each.name}.{name}"
                for key, name in zip(names, member_names(names), strict=True)
            ]
            made = Group("_flags(", (each.name, Group("{", tuple(table), "}")))
    return write(prefixed(f"{each.constant} = ", made))
