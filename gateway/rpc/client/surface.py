"""The functions and interfaces that a client has, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.host import wit
from gateway.rpc.client.classes import sides
from gateway.rpc.client.names import (
    CLASS_SCOPE,
    Scope,
    attribute_names,
    class_name,
    constant,
    qualified,
    settle,
    snake,
    words,
)
from gateway.rpc.method import Method
from gateway.wasm.binary.package_docs import InterfaceDocs, PackageDocs

__all__ = ["Call", "ClientInterface", "Surface"]

_CLIENT_SCOPE: Final = CLASS_SCOPE | {"aclose", "close", "httpx"}
"""What the class of the client itself has or needs, where nothing else may be called the same."""


@dataclass(slots=True)
class Call:
    """A method, and what the client calls it.

    Attributes:
        method: the method.
        docs: what the component says about it.
        name: the name of its Python function.
        constant: the name under which the module has its `_Method`.
        error: the name of the exception for its err, empty if it returns none.
    """

    method: Method
    docs: str
    name: str = ""
    constant: str = ""
    error: str = ""


@dataclass(slots=True)
class ClientInterface:
    """An exported interface.

    Attributes:
        name: its full name.
        docs: what the component says about it.
        calls: its functions.
        class_name: what its class is called.
        attribute: where the client has it.
    """

    name: str
    docs: InterfaceDocs
    calls: list[Call]
    class_name: str = ""
    attribute: str = ""


class Surface:
    """What a client offers.

    Args:
        methods: the methods that it calls.
        exports: what the component exports, by full name.
        docs: what the component says about them.
        scope: the module's names, which those of exceptions, classes and constants are added to.

    Attributes:
        root: the functions at the root of the component.
        interfaces: the interfaces that have functions.
        calls: all functions.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        exports: Mapping[str, wit.Item],
        docs: PackageDocs,
        scope: Scope,
    ) -> None:
        self.root = [
            Call(each, docs.function(each.function) or "")
            for each in methods
            if each.interface is None
        ]
        self.interfaces = _interfaces(methods, exports, docs)
        self.calls = [*self.root, *(call for each in self.interfaces for call in each.calls)]
        self._name_calls(scope)
        self._name_interfaces(scope)

    def _name_calls(self, scope: Scope) -> None:
        calls = [
            (call, list(qualified(words(call.method.function), call.method.interface)))
            for call in self.calls
        ]
        fallible = [call for call in calls if sides(call[0].method.type)[1] is not None]
        errors = scope.claim(
            [[f"{class_name(name)}Error" for name in names] for _, names in fallible]
        )
        for (call, _), error in zip(fallible, errors, strict=True):
            call.error = error
        constants = scope.claim([list(map(constant, names)) for _, names in calls])
        for (call, _), chosen in zip(calls, constants, strict=True):
            call.constant = chosen

    def _name_interfaces(self, scope: Scope) -> None:
        paths = [list(qualified((), each.name))[1:] for each in self.interfaces]
        plain = [[class_name(path) for path in names] for names in paths]
        classes = scope.claim([[names[0], f"{names[0]}Interface", *names[1:]] for names in plain])
        root = [[snake(words(call.method.function))] for call in self.root]
        attributes = iter(
            settle(root + [list(map(snake, names)) for names in paths], _CLIENT_SCOPE)
        )
        for call in self.root:
            call.name = next(attributes)
        for each, class_, attribute in zip(self.interfaces, classes, attributes, strict=True):
            each.class_name, each.attribute = class_, attribute
            names = attribute_names(call.method.function for call in each.calls)
            for call, chosen in zip(each.calls, names, strict=True):
                call.name = chosen


def _interfaces(
    methods: Sequence[Method], exports: Mapping[str, wit.Item], docs: PackageDocs
) -> list[ClientInterface]:
    found: dict[str, ClientInterface] = {}
    for method in methods:
        if method.interface is None:
            continue
        if method.interface not in found:
            item = exports[method.interface]
            functions = item.functions if isinstance(item, wit.Interface) else {}
            said = docs.interface(method.interface, functions)
            found[method.interface] = ClientInterface(method.interface, said, [])
        interface = found[method.interface]
        interface.calls.append(Call(method, interface.docs.functions.get(method.function, "")))
    return list(found.values())
