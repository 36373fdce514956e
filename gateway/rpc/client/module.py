"""The module that `gateway client` writes.

It needs nothing of the gateway: Python 3.11 and httpx. A person who opens it finds what a caller works with first,
types and errors and functions, and how they cross the wire below that. The runtime is written whole, whatever of
it a component needs: what every client has in common is the same text in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from gateway.host import wit
from gateway.rpc.client.classes import sides
from gateway.rpc.client.definitions import codec
from gateway.rpc.client.layout import (
    Expression,
    Group,
    docstring,
    prefixed,
    quoted,
    subscripted,
    write,
)
from gateway.rpc.client.surface import Call, ClientInterface
from gateway.rpc.client.typed_module import TypedModule, heading, runtime, section, taken
from gateway.rpc.method import Methods
from gateway.wasm.binary.package_docs import PackageDocs

__all__ = ["generate", "reserved_names"]

_IMPORTS: Final = """\
from __future__ import annotations

import base64
import itertools
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum, Flag
from typing import Any, Generic, NoReturn, Self, TypeAlias, TypeVar, cast

import httpx"""
"""What the modules of the runtime import, of each other aside."""

_CONNECTED: Final = "        self._connection = _Connection(url, headers, timeout, http)\n"
"""The end of the constructor of the client's class in the runtime."""


def generate(
    methods: Methods,
    exports: Mapping[str, wit.Item],
    docs: PackageDocs,
    *,
    name: str,
    digest: str,
    imports: Mapping[str, wit.Item] | None = None,
    asynchronous: bool = False,
) -> str:
    """Write a Python module that calls a component by way of a gateway.

    The same component gives the same module. It passes `mypy --strict` and is as `ruff format` would leave it.

    Args:
        methods: what can be called.
        exports: what the component exports, by full name.
        docs: what the component says about that.
        name: the component's name.
        digest: the SHA-256 of its file, in hexadecimal.
        imports: what it imports, by full name: types that it only uses from there have their names there.
        asynchronous: whether to write an `AsyncClient` with coroutines in place of a `Client`.

    Returns:
        The source.
    """
    return _Client(methods, (exports, imports or {}), docs, asynchronous).source(name, digest)


def reserved_names(*, asynchronous: bool = True) -> AbstractSet[str]:
    """What means something in a client already, so that no class of a component is called so."""
    kind = "asynchronous" if asynchronous else "blocking"
    return taken(_IMPORTS, "values", "errors", kind, "messages", "codecs")


class _Client:
    def __init__(
        self,
        methods: Methods,
        sources: tuple[Mapping[str, wit.Item], ...],
        docs: PackageDocs,
        asynchronous: bool,
    ) -> None:
        self._docs = docs
        self._asynchronous = asynchronous
        kind = "asynchronous" if asynchronous else "blocking"
        names = reserved_names(asynchronous=asynchronous)
        self._module = TypedModule(methods.served, sources, docs, names, asynchronous=asynchronous)
        self._surface = self._module.surface
        self._client, self._await = ("AsyncClient", "await ") if asynchronous else ("Client", "")
        self._shared, self._connection = runtime(kind).split("\n\n\n")
        types = self._module.types
        self._codecs = [codec(each, types) for each in self._module.classes.values()]

    def source(self, name: str, digest: str) -> str:
        # Methods come before the types are told: they give names to types that are too wide for them.
        client = self._client_class()
        interfaces = [self._interface_class(each) for each in self._surface.interfaces]
        tables = [write(self._method_table(call)) for call in self._surface.calls]
        errors = self._module.errors
        head = "\n".join((heading(name, digest), self._module_docstring(name)))
        blocks = [
            "\n\n".join((head, _IMPORTS, section("Types"))),
            runtime("values"),
            *self._module.definitions,
            section("What it may raise"),
            runtime("errors"),
            *errors,
            section("Functions"),
            *interfaces,
            client,
            section("On the wire"),
            self._connection,
            runtime("messages"),
            runtime("codecs"),
            "\n".join(self._codecs),
            "\n".join(tables),
        ]
        return "\n\n\n".join(filter(None, blocks)) + "\n"

    def _module_docstring(self, name: str) -> str:
        says = [f"Calls the WebAssembly component {name} by way of a gateway that serves it."]
        if self._surface.calls:
            call = self._surface.calls[0]
            owner = next(
                (f".{each.attribute}" for each in self._surface.interfaces if call in each.calls),
                "",
            )
            opening = "async with" if self._asynchronous else "with"
            example = f"{self._await}client{owner}.{call.name}({'...' if call.method.type.params else ''})"
            says.append(f'    {opening} {self._client}("http://...") as client:\n        {example}')
        says.append("It needs Python 3.11 and httpx (https://www.python-httpx.org), nothing else.")
        if self._docs.docs:
            says.append(self._docs.docs)
        return docstring("\n\n".join(says), 0)

    def _interface_class(self, each: ClientInterface) -> str:
        says = docstring(each.docs.docs or f"The interface `{each.name}`.", 4)
        lines = [
            f"class {each.class_name}:",
            says,
            "",
            "    def __init__(self, connection: _Connection) -> None:",
            "        self._connection = connection",
        ]
        for call in each.calls:
            lines += ["", self._function(call)]
        return "\n".join(lines)

    def _client_class(self) -> str:
        """The class of the runtime, with an attribute for each interface and the functions of the root."""
        attributes = [
            f"        self.{each.attribute} = {each.class_name}(self._connection)\n"
            for each in self._surface.interfaces
        ]
        # Last, since what a class has may be called `type`, which annotations after it would then mean.
        functions = [f"\n\n{self._function(call)}" for call in self._surface.root]
        shared = self._shared.replace(_CONNECTED, "".join((_CONNECTED, *attributes)))
        return "".join((shared, *functions))

    def _function(self, call: Call) -> str:
        """The Python function for a method."""
        names, head = self._module.head(call)
        says = call.docs or f"Call `{call.method.name}`."
        raises = [("Raises", [f"{call.error}: it returned err."])] if call.error else []
        body = Group(f"{self._await}self._connection.call(", (call.constant, *names))
        given: Expression = body
        if self._module.result(call) != "None":
            given = prefixed("return ", body)
        return "\n".join((head, docstring(says, 8, raises), write(given, 8)))

    def _method_table(self, call: Call) -> Expression:
        ty, codec_of = call.method.type, self._module.types.codec
        result, fallible = sides(ty)
        params = tuple(prefixed(f"{quoted(name)}: ", codec_of(param)) for name, param in ty.params)
        table: list[Expression] = [
            quoted(call.method.name),
            Group("{", params, "}"),
            codec_of(result),
        ]
        if fallible is not None:
            table.append(Group("(", (call.error, codec_of(fallible.err))))
        start = subscripted(f"{call.constant} = _Method", self._module.result(call), "(")
        return Group(start, tuple(table))
