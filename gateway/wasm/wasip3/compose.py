"""The component around a guest of WASI 0.3 and its adapter."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

from gateway.wasm.binary.component_writer import ComponentWriter
from gateway.wasm.binary.definitions import OuterAlias
from gateway.wasm.binary.extern import (
    ExternName,
    ExternType,
    Sort,
    encode_extern_name,
    encode_extern_type,
)
from gateway.wasm.binary.externs import component_externs
from gateway.wasm.binary.sections import ComponentSection, sections
from gateway.wasm.binary.type_format import encode_type
from gateway.wasm.binary.types import ExportDeclaration, Func, InstanceType, Primitive
from gateway.wasm.byte_blocks.prelude import Prelude, UnbridgeableError, read_prelude
from gateway.wasm.version import LIKE_0_3
from gateway.wasm.wasip3.adapter import BYTES, HOST, RESOURCES, FamilyParts, Parts
from gateway.wasm.wasip3.calls import CALLS, Call
from gateway.wasm.wasip3.family import FAMILIES, Family
from gateway.wasm.wasip3.imported import Imported

__all__ = ["Callers", "NotComposable", "compose", "supplied"]

_POLL: Final = "wasi:io/poll"
_VERSION: Final = rf"(0\.3\.[0-9]+|{re.escape(LIKE_0_3)})"
_HANDLER: Final = re.compile(f"wasi:http/handler@{_VERSION}")
_TYPES: Final = re.compile(f"wasi:http/types@{_VERSION}")

# What the adapter has of interfaces beside `wasi:http/types`: the types that go with it, what the host has, and
# for each function what the adapter calls it.
_SUPPLIED: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...], dict[str, str]]]] = {
    "wasi:clocks/monotonic-clock": (
        ("duration", "mark"),
        ("now", "get-resolution"),
        {"wait-for": "wait-for", "wait-until": "wait-until"},
    ),
    "wasi:http/client": (("request", "response", "error-code"), (), {"send": "send"}),
    "wasi:cli/stdin": (("error-code",), (), {"read-via-stream": "stdin"}),
    "wasi:cli/stdout": (("error-code",), (), {"write-via-stream": "stdout"}),
    "wasi:cli/stderr": (("error-code",), (), {"write-via-stream": "stderr"}),
}
_NOTHING: Final[tuple[tuple[str, ...], tuple[str, ...], dict[str, str]]] = ((), (), {})


_MESSAGES: Final = frozenset(
    f"[static]{message}.{function}"
    for message in ("request", "response")
    for function in ("new", "consume-body")
)


def supplied(interface: str, version: str | None) -> Collection[str]:
    """The functions of an interface that an adapter has, and no host."""
    if version is None or not version.startswith("0.3."):
        return ()
    if family := _family(f"{interface}@{version}"):
        return [function.name for function in family.functions]
    return _MESSAGES if interface == "wasi:http/types" else _SUPPLIED.get(interface, _NOTHING)[2]


class NotComposable(Exception):
    """No component can be built around a guest; the message says why, to follow the name of the file."""


_HOST_OF_CALLS: Final = InstanceType(
    (
        Func((), None),
        ExportDeclaration(ExternName("returned"), ExternType(Sort.FUNC, 0)),
        Func((("count", Primitive.U32),), None),
        ExportDeclaration(ExternName("took"), ExternType(Sort.FUNC, 1)),
    )
)


@dataclass(frozen=True, slots=True)
class Callers:
    """What calls the functions of a guest (`gateway.wasm.wasip3.calls`).

    Attributes:
        functions: these functions.
        named: the names of types that the components are given.
        types: the component that has those types.
        giver: the component that makes streams and futures of arguments.
        taker: the component that makes values of those in results.
    """

    functions: Sequence[Call]
    named: Sequence[str]
    types: bytes
    giver: bytes
    taker: bytes

    @classmethod
    def read(cls, functions: Sequence[Call], named: Sequence[str], binary: bytes) -> Self:
        """Find the components in what `calls_text` was made to."""
        nested = (
            binary[section.start : section.end]
            for section in sections(binary)
            if section.id == ComponentSection.COMPONENT
        )
        return cls(functions, named, *nested)


def compose(
    guest: bytes,
    parts: Parts,
    callers: Callers | None = None,
    imported: Mapping[str, Imported] = MappingProxyType({}),
) -> bytes:
    """A component that does what `guest` does, without streams and futures in what it asks of the host.

    It exports `wasi:http/handler`, if the guest does, whose `handle` takes the request and a `response-outparam`;
    and `CALLS`, if there are any, with a function `f0`, `f1` and so on for each of them.

    Raises:
        MalformedBinary: the guest is damaged.
        NotComposable: it has nothing to compose, or is of a form that no tool writes.
    """
    try:
        prelude = read_prelude(guest)
    except UnbridgeableError:
        raise NotComposable("it has other definitions among its imports") from None
    return _Composition(guest, prelude, parts, callers, imported).build()


class _Composition:
    def __init__(
        self,
        guest: bytes,
        prelude: Prelude,
        parts: Parts,
        callers: Callers | None,
        imported: Mapping[str, Imported],
    ) -> None:
        self.guest = guest
        self.prelude = prelude
        self.parts = parts
        self.callers = callers
        self.imported = imported
        self.handler: ExternName | None
        self.handler, version = _handler(guest)
        # By the name of an import, which instance it is.
        self.instances = {
            imported.definition.name.name: imported.item.index
            for imported in prelude.imports
            if imported.item.sort is Sort.INSTANCE
        }
        # By the name of an import, what adapts it, and in which instance.
        self.families: dict[str, Family] = {}
        for name in sorted(self.instances, key=lambda name: name.endswith(LIKE_0_3)):
            # Of several versions one has an adapter, sooner the one that is no candidate.
            if (family := _family(name)) and family not in self.families.values():
                self.families[name] = family
        self.families |= {name: each.family for name, each in imported.items()}
        self.adapting: dict[str, int] = {}
        self.types_name = f"wasi:http/types@{version or self.imported_version()}"
        if self.handler is not None and self.types_name not in self.instances:
            raise NotComposable(f"it exports a handler and does not import {self.types_name}")
        if self.handler is None and callers is None:
            raise NotComposable(
                "it exports no wasi:http/handler@0.3, nor functions that can be called"
            )

    def imported_version(self) -> str:
        """The version of `wasi:http/types` that a guest without handler imports; one that is known, if none."""
        imported = filter(None, map(_TYPES.fullmatch, self.instances))
        return next((match[1] for match in imported), "0.3.0")

    def build(self) -> bytes:
        self.out = out = ComponentWriter(
            self.prelude.encode(self.plain_types()), self.prelude.counts
        )
        parts = self.parts
        types = self.instances.get(self.types_name)
        if types is None:
            types = self.import_instance(self.types_name, parts.types)
        host = self.import_host(HOST, parts.host, types, (*RESOURCES, "error-code"))
        passing = self.import_instance(BYTES, parts.passing)
        asked = {
            name: self.import_host(
                family.host,
                self.family_parts(name).host,
                self.instances[name],
                family.host_names,
            )
            for name, family in self.families.items()
        }
        counting = 0 if self.callers is None else self.import_instance(CALLS, _HOST_OF_CALLS)
        embedded = (parts.sources, parts.adapter, parts.pump, self.guest)
        sources, adapter, pump, guest = (
            out.embed(ComponentSection.COMPONENT, part, Sort.COMPONENT) for part in embedded
        )
        given = [
            ("types", Sort.INSTANCE, types),
            ("host", Sort.INSTANCE, host),
            ("bytes", Sort.INSTANCE, passing),
        ]
        received = out.instantiate(sources, given)
        self.adapter = out.instantiate(adapter, [*given, ("sources", Sort.INSTANCE, received)])
        last = received
        for name in self.families:
            family = self.family_parts(name)
            shared = [
                ("types", Sort.INSTANCE, self.instances[name]),
                ("host", Sort.INSTANCE, asked[name]),
            ]
            more = [
                ("sources", Sort.INSTANCE, received),
                ("adapter", Sort.INSTANCE, self.adapter),
            ]
            if family.writer is not None:
                writer = out.embed(ComponentSection.COMPONENT, family.writer, Sort.COMPONENT)
                last = out.instantiate(writer, [*shared, ("next", Sort.INSTANCE, last)])
                more.append(("writer", Sort.INSTANCE, last))
            adapting = out.embed(ComponentSection.COMPONENT, family.component, Sort.COMPONENT)
            last = self.adapting[name] = out.instantiate(
                adapting, [*shared, *more, ("next", Sort.INSTANCE, last)]
            )
        pumped = [("adapter", Sort.INSTANCE, self.adapter), ("next", Sort.INSTANCE, last)]
        pumping = out.alias(Sort.FUNC, out.instantiate(pump, [*given, *pumped]), "pump")
        instance = out.instantiate(
            guest, [self.argument(name, sort, at) for name, sort, at in self.imports()]
        )
        pumps = ("pump", Sort.FUNC, pumping)
        if self.handler is not None:
            handler = out.alias(Sort.INSTANCE, instance, self.handler.name)
            handle = out.alias(Sort.FUNC, handler, "handle")
            driver = out.embed(ComponentSection.COMPONENT, parts.driver, Sort.COMPONENT)
            driving = [*given, ("handle", Sort.FUNC, handle), pumps]
            run = out.alias(Sort.FUNC, out.instantiate(driver, driving), "run")
            handler_name = encode_extern_name(self.handler)
            out.export(handler_name, Sort.INSTANCE, out.bag([("handle", Sort.FUNC, run)]))
        if self.callers is not None:
            self.call(self.callers, instance, [pumps, ("calls", Sort.INSTANCE, counting)])
        return out.finish()

    def call(self, callers: Callers, guest: int, given: Sequence[tuple[str, Sort, int]]) -> None:
        """Have the functions of a guest called by others, which are given what they need besides."""
        out = self.out
        types, giver, taker = (
            out.embed(ComponentSection.COMPONENT, part, Sort.COMPONENT)
            for part in (callers.types, callers.giver, callers.taker)
        )
        known = out.instantiate(types, [])
        named = [(name, Sort.TYPE, out.alias(Sort.TYPE, known, name)) for name in callers.named]
        interfaces: dict[str | None, int] = {None: guest}
        functions: list[tuple[str, Sort, int]] = []
        for number, each in enumerate(callers.functions):
            if each.interface is not None and each.interface not in interfaces:
                interfaces[each.interface] = out.alias(Sort.INSTANCE, guest, each.interface)
            function = out.alias(Sort.FUNC, interfaces[each.interface], each.name)
            functions.append((f"f{number}", Sort.FUNC, function))
        giving = out.instantiate(giver, [*named, *functions])
        for number, each in enumerate(callers.functions):
            if each.given:
                name = f"f{number}"
                functions[number] = (name, Sort.FUNC, out.alias(Sort.FUNC, giving, name))
        taking = out.instantiate(taker, [*named, *functions, *given])
        out.export(encode_extern_name(ExternName(CALLS)), Sort.INSTANCE, taking)

    def imports(self) -> list[tuple[str, Sort, int]]:
        return [
            (imported.definition.name.name, imported.item.sort, imported.item.index)
            for imported in self.prelude.imports
        ]

    def plain_types(self) -> dict[int, bytes]:
        """The types of the imports of which the adapter has some, without what it has; by type index."""
        changed: dict[int, InstanceType] = {}
        kept: set[int] = set()
        for name, instance in self.instances.items():
            plain = self.plain_type(name)
            index = self.prelude.instance_type(instance)
            if plain is None or changed.setdefault(index, plain) is not plain:
                kept.add(index)
        if kept & changed.keys():
            raise NotComposable("several of its imports have one type")
        return {index: encode_type(plain) for index, plain in changed.items()}

    def plain_type(self, name: str) -> InstanceType | None:
        interface, _, version = name.partition("@")
        if name == self.types_name:
            return self.parts.types
        if name in self.families:
            return self.family_parts(name).types
        if interface == _POLL and version.startswith("0.2."):
            return self.parts.poll
        if interface not in _SUPPLIED or not version.startswith("0.3."):
            return None
        match interface.partition("/")[0]:
            case "wasi:clocks":
                return self.parts.clock
            case "wasi:http":
                # Its requests and responses are those of the interface that has an adapter.
                return self.parts.client if self.types_name.endswith(f"@{version}") else None
            case _:
                return self.parts.stdio

    def import_host(self, name: str, ty: InstanceType, types: int, names: Collection[str]) -> int:
        """An instance that an adapter has of the host, whose type begins with aliases of an interface's types."""
        renamed = (self.out.alias(Sort.TYPE, types, each) for each in names)
        declarations = [
            OuterAlias(each.sort, each.count, next(renamed))
            if isinstance(each, OuterAlias)
            else each
            for each in ty.declarations
        ]
        return self.import_instance(name, InstanceType(tuple(declarations)))

    def import_instance(self, name: str, ty: InstanceType) -> int:
        index = self.out.add(ComponentSection.TYPE, encode_type(ty), Sort.TYPE)
        extern = encode_extern_type(ExternType(Sort.INSTANCE, index))
        item = encode_extern_name(ExternName(name)) + extern
        return self.out.add(ComponentSection.IMPORT, item, Sort.INSTANCE)

    def argument(self, name: str, sort: Sort, index: int) -> tuple[str, Sort, int]:
        """What an import of the guest is given."""
        if name == self.types_name:
            return name, sort, self.adapter
        if name in self.imported:
            return name, sort, self.renamed(self.imported[name], self.adapting[name])
        if name in self.adapting:
            return name, sort, self.adapting[name]
        if sort is not Sort.INSTANCE or self.plain_type(name) is None:
            return name, sort, index
        if name.startswith(_POLL):
            given = [("poll", Sort.INSTANCE, index)]
            polling = self.out.embed(ComponentSection.COMPONENT, self.parts.polling, Sort.COMPONENT)
            return name, sort, self.out.instantiate(polling, given)
        types, plain, functions = _SUPPLIED[name.partition("@")[0]]
        out = self.out
        home = self.instances[self.types_name] if "response" in types else index
        members = [(each, Sort.TYPE, out.alias(Sort.TYPE, home, each)) for each in types]
        members += [(each, Sort.FUNC, out.alias(Sort.FUNC, index, each)) for each in plain]
        members += [
            (each, Sort.FUNC, out.alias(Sort.FUNC, self.adapter, local))
            for each, local in functions.items()
        ]
        return name, sort, out.bag(members)

    def family_parts(self, name: str) -> FamilyParts:
        """What adapts the interface of an import."""
        found = self.imported.get(name)
        return self.parts.family(self.families[name]) if found is None else found.parts

    def renamed(self, imported: Imported, adapting: int) -> int:
        """The interface of an adapter by the names that the guest has."""
        out = self.out
        types = [(name, Sort.TYPE, own) for name, own in imported.types.items()]
        functions = [(name, Sort.FUNC, own) for name, own in imported.functions.items()]
        functions += [(name, Sort.FUNC, name) for name in imported.plain]
        return out.bag(
            [(name, sort, out.alias(sort, adapting, own)) for name, sort, own in types + functions]
        )


def _family(name: str) -> Family | None:
    interface, _, version = name.partition("@")
    for family in FAMILIES:
        if interface == family.interface and version.startswith("0.3."):
            return family
    return None


def _handler(guest: bytes) -> tuple[ExternName, str] | tuple[None, None]:
    """The name of the export that answers requests, and its version; None if there is none."""
    for name in component_externs(guest).exports:
        if match := _HANDLER.fullmatch(name.name):
            return name, match[1]
    return None, None
