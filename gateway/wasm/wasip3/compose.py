"""The component around a guest of WASI 0.3 and its adapter."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

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
from gateway.wasm.binary.sections import ComponentSection
from gateway.wasm.binary.type_format import encode_type
from gateway.wasm.binary.types import InstanceType
from gateway.wasm.byte_blocks.prelude import Prelude, UnbridgeableError, read_prelude
from gateway.wasm.wasip3.adapter import BYTES, HOST, RESOURCES, Parts

__all__ = ["NotComposable", "compose", "supplied"]

_POLL: Final = "wasi:io/poll"
_HANDLER: Final = re.compile(r"wasi:http/handler@(0\.3\.[0-9]+)")

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
    return _MESSAGES if interface == "wasi:http/types" else _SUPPLIED.get(interface, _NOTHING)[2]


class NotComposable(Exception):
    """No component can be built around a guest; the message says why, to follow the name of the file."""


def compose(guest: bytes, parts: Parts) -> bytes:
    """A component that answers requests as `guest` does, without streams and futures in what it asks of the host.

    Its only export is `wasi:http/handler`, whose `handle` takes the request and a `response-outparam`.

    Raises:
        MalformedBinary: the guest is damaged.
        NotComposable: it has nothing to compose, or is of a form that no tool writes.
    """
    try:
        prelude = read_prelude(guest)
    except UnbridgeableError:
        raise NotComposable("it has other definitions among its imports") from None
    return _Composition(guest, prelude, parts).build()


class _Composition:
    def __init__(self, guest: bytes, prelude: Prelude, parts: Parts) -> None:
        self.guest = guest
        self.prelude = prelude
        self.parts = parts
        self.handler, version = _handler(guest)
        self.types_name = f"wasi:http/types@{version}"
        # By the name of an import, which instance it is.
        self.instances = {
            imported.definition.name.name: imported.item.index
            for imported in prelude.imports
            if imported.item.sort is Sort.INSTANCE
        }
        if self.types_name not in self.instances:
            raise NotComposable(f"it exports a handler and does not import {self.types_name}")

    def build(self) -> bytes:
        self.out = out = ComponentWriter(
            self.prelude.encode(self.plain_types()), self.prelude.counts
        )
        types = self.instances[self.types_name]
        host, passing = self.import_host(types)
        parts = (self.parts.sources, self.parts.adapter, self.parts.driver, self.guest)
        sources, adapter, driver, guest = (
            out.embed(ComponentSection.COMPONENT, part, Sort.COMPONENT) for part in parts
        )
        given = [
            ("types", Sort.INSTANCE, types),
            ("host", Sort.INSTANCE, host),
            ("bytes", Sort.INSTANCE, passing),
        ]
        received = out.instantiate(sources, given)
        self.adapter = out.instantiate(adapter, [*given, ("sources", Sort.INSTANCE, received)])
        instance = out.instantiate(
            guest, [self.argument(name, sort, at) for name, sort, at in self.imports()]
        )
        handler = out.alias(Sort.INSTANCE, instance, self.handler.name)
        handle = out.alias(Sort.FUNC, handler, "handle")
        pump = out.alias(Sort.FUNC, self.adapter, "pump")
        driving = [*given, ("handle", Sort.FUNC, handle), ("pump", Sort.FUNC, pump)]
        run = out.alias(Sort.FUNC, out.instantiate(driver, driving), "run")
        name = encode_extern_name(self.handler)
        out.export(name, Sort.INSTANCE, out.bag([("handle", Sort.FUNC, run)]))
        return out.finish()

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
        if interface == _POLL and version.startswith("0.2."):
            return self.parts.poll
        if interface not in _SUPPLIED or not version.startswith("0.3."):
            return None
        match interface.partition("/")[0]:
            case "wasi:clocks":
                return self.parts.clock
            case "wasi:http":
                return self.parts.client
            case _:
                return self.parts.stdio

    def import_host(self, types: int) -> tuple[int, int]:
        """The instances that the adapter has of the host: `HOST` and `BYTES`."""
        out = self.out
        named = [out.alias(Sort.TYPE, types, name) for name in (*RESOURCES, "error-code")]
        renamed = iter(named)
        declarations = tuple(
            OuterAlias(each.sort, each.count, next(renamed))
            if isinstance(each, OuterAlias)
            else each
            for each in self.parts.host.declarations
        )
        return (
            self.import_instance(HOST, InstanceType(declarations)),
            self.import_instance(BYTES, self.parts.passing),
        )

    def import_instance(self, name: str, ty: InstanceType) -> int:
        index = self.out.add(ComponentSection.TYPE, encode_type(ty), Sort.TYPE)
        extern = encode_extern_type(ExternType(Sort.INSTANCE, index))
        item = encode_extern_name(ExternName(name)) + extern
        return self.out.add(ComponentSection.IMPORT, item, Sort.INSTANCE)

    def argument(self, name: str, sort: Sort, index: int) -> tuple[str, Sort, int]:
        """What an import of the guest is given."""
        if name == self.types_name:
            return name, sort, self.adapter
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


def _handler(guest: bytes) -> tuple[ExternName, str]:
    """The name of the export that answers requests, and its version."""
    for name in component_externs(guest).exports:
        if match := _HANDLER.fullmatch(name.name):
            return name, match[1]
    raise NotComposable("it exports no wasi:http/handler@0.3")
