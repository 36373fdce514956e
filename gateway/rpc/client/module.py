"""The module that `gateway client` writes.

It needs nothing of the gateway: Python 3.11 and httpx. A person who opens it finds what a caller works with first,
types and errors and functions, and how they cross the wire below that. The runtime is written whole, whatever of
it a component needs: what every client has in common is the same text in all of them.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from gateway import __version__
from gateway.host import wit
from gateway.rpc.client.classes import find_classes, sides
from gateway.rpc.client.definitions import codec, define, docs_of
from gateway.rpc.client.layout import (
    WIDTH,
    Expression,
    Group,
    comment,
    docstring,
    prefixed,
    quoted,
    subscripted,
    write,
)
from gateway.rpc.client.names import Scope, settle, snake, words
from gateway.rpc.client.python_types import PythonTypes
from gateway.rpc.client.surface import Call, ClientInterface, Surface
from gateway.rpc.method import Methods
from gateway.wasm.binary.package_docs import PackageDocs

__all__ = ["generate"]

_RUNTIME: Final = files("gateway.rpc.client.runtime")

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
    kind = "asynchronous" if asynchronous else "blocking"
    return _Module(methods, (exports, imports or {}), docs, kind).source(name, digest)


class _Module:
    def __init__(
        self,
        methods: Methods,
        sources: tuple[Mapping[str, wit.Item], ...],
        docs: PackageDocs,
        kind: str,
    ) -> None:
        self._docs = docs
        self._kind = kind
        self._client = "Client" if kind == "blocking" else "AsyncClient"
        self._shared, self._connection = _runtime(kind).split("\n\n\n")
        self._def, self._await = ("def", "") if kind == "blocking" else ("async def", "await ")
        scope = Scope(_names(kind) | frozenset(dir(builtins)))
        classes = find_classes(methods.served, sources, scope)
        self._surface = Surface(methods, sources[0], docs, scope)
        self._types = PythonTypes(classes, scope)
        # One list: what a class needs an alias for is added to it before the class is.
        self._definitions = self._types.aliases
        for each in classes.values():
            source = define(each, docs_of(each, docs, sources), self._types)
            self._definitions.append(source)
        self._codecs = [codec(each, self._types) for each in classes.values()]

    def source(self, name: str, digest: str) -> str:
        # Methods come before the types are told: they give names to types that are too wide for them.
        client = self._client_class()
        interfaces = [self._interface_class(each) for each in self._surface.interfaces]
        tables = [write(self._method_table(call)) for call in self._surface.calls]
        errors = [self._error_class(call) for call in self._surface.calls if call.error]
        head = "\n".join((self._header(name, digest), self._module_docstring(name)))
        blocks = [
            "\n\n".join((head, _IMPORTS, _section("Types"))),
            _runtime("values"),
            *self._definitions,
            _section("What it may raise"),
            _runtime("errors"),
            *errors,
            _section("Functions"),
            *interfaces,
            client,
            _section("On the wire"),
            self._connection,
            _runtime("messages"),
            _runtime("codecs"),
            "\n".join(self._codecs),
            "\n".join(tables),
        ]
        return "\n\n\n".join(filter(None, blocks)) + "\n"

    def _header(self, name: str, digest: str) -> str:
        told = f"Generated by component-gateway {__version__} from {name}, do not edit."
        return f"{comment(told, 0)}\n{comment(f'sha256 {digest}', 0)}"

    def _module_docstring(self, name: str) -> str:
        says = [f"Calls the WebAssembly component {name} by way of a gateway that serves it."]
        if self._surface.calls:
            call = self._surface.calls[0]
            owner = next(
                (f".{each.attribute}" for each in self._surface.interfaces if call in each.calls),
                "",
            )
            opening = "with" if self._kind == "blocking" else "async with"
            example = f"{self._await}client{owner}.{call.name}({'...' if call.method.type.params else ''})"
            says.append(f'    {opening} {self._client}("http://...") as client:\n        {example}')
        says.append("It needs Python 3.11 and httpx (https://www.python-httpx.org), nothing else.")
        if self._docs.docs:
            says.append(self._docs.docs)
        return docstring("\n\n".join(says), 0)

    def _error_class(self, call: Call) -> str:
        _, fallible = sides(call.method.type)
        err = None if fallible is None else fallible.err
        room = WIDTH - len(f"class {call.error}(CallError[]):")
        value = self._annotation(err, call, "failure", room)
        says = docstring(f"What `{call.method.name}` returned as its err.", 4)
        return f"class {call.error}(CallError[{value}]):\n{says}"

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
        ty = call.method.type
        names = settle([[snake(words(name))] for name, _ in ty.params], frozenset({"self"}))
        params = [
            f"{chosen}: {self._annotation(param, call, name, WIDTH - len(f'{chosen}: ,') - 8)}"
            for chosen, (name, param) in zip(names, ty.params, strict=True)
        ]
        result = self._result(call)
        signature = Group(f"{self._def} {call.name}(", ("self", *params), f") -> {result}:")
        says = call.docs or f"Call `{call.method.name}`."
        raises = [("Raises", [f"{call.error}: it returned err."])] if call.error else []
        body = Group(f"{self._await}self._connection.call(", (call.constant, *names))
        given: Expression = body if result == "None" else prefixed("return ", body)
        return "\n".join((write(signature, 4), docstring(says, 8, raises), write(given, 8)))

    def _result(self, call: Call) -> str:
        room = WIDTH - len(f"{call.constant} = _Method[](")
        return self._annotation(sides(call.method.type)[0], call, "result", room)

    def _annotation(self, ty: wit.Type | None, call: Call, role: str, room: int) -> str:
        found = words(call.method.function) + words(role)
        return self._types.annotation(ty, call.method.interface, found, room)

    def _method_table(self, call: Call) -> Expression:
        ty = call.method.type
        result, fallible = sides(ty)
        params = tuple(
            prefixed(f"{quoted(name)}: ", self._types.codec(param)) for name, param in ty.params
        )
        table: list[Expression] = [
            quoted(call.method.name),
            Group("{", params, "}"),
            self._types.codec(result),
        ]
        if fallible is not None:
            table.append(Group("(", (call.error, self._types.codec(fallible.err))))
        start = subscripted(f"{call.constant} = _Method", self._result(call), "(")
        return Group(start, tuple(table))


def _section(title: str) -> str:
    return f"# --- {title} ".ljust(79, "-")


@cache
def _runtime(module: str) -> str:
    """The source of a module of the runtime, after its imports."""
    source = _RUNTIME.joinpath(f"{module}.py").read_text("utf-8")
    body = ast.parse(source).body
    end = max(
        node.end_lineno or 0 for node in body if isinstance(node, ast.Import | ast.ImportFrom)
    )
    return "\n".join(source.splitlines()[end:]).strip()


@cache
def _names(kind: str) -> frozenset[str]:
    """What the names of a module mean already."""
    modules = (_runtime(module) for module in ("values", "errors", kind, "messages", "codecs"))
    return frozenset(compile("\n".join((_IMPORTS, *modules)), kind, "exec").co_names)
