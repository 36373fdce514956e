"""The classes of a component's types, made while the gateway runs: those that `gateway client` writes down.

They have the same names, fields and members, and so do the exceptions for what functions return as their err. One
component has the same classes for as long as they are used, whatever is reloaded meanwhile.
"""

from __future__ import annotations

import builtins
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import make_dataclass
from enum import Enum, Flag
from functools import reduce
from operator import or_
from types import SimpleNamespace, new_class
from typing import Any, Final

from gateway.calls.errors import CallError
from gateway.host import wit
from gateway.host.component import Component
from gateway.rpc.client import reserved_names
from gateway.rpc.client.classes import Class, find_classes
from gateway.rpc.client.definitions import described, docs_of
from gateway.rpc.client.names import FIELD_SCOPE, Scope, attribute_names, member_names
from gateway.rpc.client.runtime.values import Err, Ok, Some
from gateway.rpc.client.surface import Surface
from gateway.rpc.method import Method, Methods

__all__ = ["MAX_KEPT", "Types", "types_of"]

MAX_KEPT: Final = 64
"""Components whose classes are kept when nothing of them is served. Threat: a gateway whose components are put
anew all day. Arbitrary: some ten KiB each; values that were made of classes that are gone are refused."""


class Types:
    """The types of one component as classes.

    Args:
        component: the component.

    Attributes:
        namespace: all that has a name: classes, aliases of them, exceptions, and `Ok`, `Err` and `Some`.
    """

    def __init__(self, component: Component) -> None:
        methods = Methods(component.exports)
        sources: tuple[Mapping[str, wit.Item], ...] = (component.exports, component.imports)
        scope = Scope(reserved_names() | frozenset(dir(builtins)))
        found = find_classes(methods.served, sources, scope)
        surface = Surface(methods.served, component.exports, component.docs, scope)
        self._module = component.name
        self._made: dict[wit.Type, Any] = {}
        named: dict[str, Any] = {"Ok": Ok, "Err": Err, "Some": Some, "CallError": CallError}
        for ty, each in found.items():
            says = described(each, docs_of(each, component.docs, sources))
            self._made[ty] = self._make(each, says, named)
            named.update(dict.fromkeys(each.names.values(), self._made[ty]))
        self._errors = {
            call.method: self._error(call.error, call.method)
            for call in surface.calls
            if call.error
        }
        named.update({each.__name__: each for each in self._errors.values()})
        self.namespace = SimpleNamespace(**named)

    def error_of(self, method: Method) -> type[CallError[Any]]:
        """The exception for the err of a method that returns a `result`."""
        return self._errors[method]

    def annotation(self, ty: wit.Type | None) -> Any:
        """What stands for a type in an annotation; None for nothing.

        Raises:
            TypeError: it has no form in Python, as resources have none.
        """
        match ty:
            case None:
                return None
            case wit.Bool():
                return bool
            case wit.Integer():
                return int
            case wit.Float():
                return float
            case wit.Char() | wit.String():
                return str
            case wit.List(wit.Integer(8, False)) | wit.Bytes():
                return bytes
            case wit.List(element):
                return list[self.annotation(element)]  # type: ignore[misc]
            case wit.Tuple(elements):
                return tuple[tuple(map(self.annotation, elements))]  # type: ignore[misc]
            case wit.Option(wit.Option() as payload):
                return Some[self.annotation(payload)] | None  # type: ignore[misc]
            case wit.Option(payload):
                return self.annotation(payload) | None
            case wit.Result(ok, err):
                return Ok[self.annotation(ok)] | Err[self.annotation(err)]  # type: ignore[misc]
            case wit.Record() | wit.Variant() | wit.Enum() | wit.Flags():
                return self._made[ty]
        raise TypeError(f"{ty} has no form in Python")

    def _make(self, each: Class, says: str, named: dict[str, Any]) -> Any:
        kind: Any
        match each.type:
            case wit.Record(pairs):
                names = attribute_names((name for name, _ in pairs), FIELD_SCOPE)
                parts = [self.annotation(part) for _, part in pairs]
                return self._dataclass(each.name, zip(names, parts, strict=True), says)
            case wit.Variant(cases):
                kinds = [
                    self._dataclass(
                        name,
                        [] if part is None else [("value", self.annotation(part))],
                        f"The case `{case}` of `{each.name}`.",
                    )
                    for name, (case, part) in zip(each.cases, cases, strict=True)
                ]
                named.update(zip(each.cases, kinds, strict=True))
                return reduce(or_, kinds)
            case wit.Enum(labels):
                kind = Enum
                members: Any = dict(zip(member_names(labels), labels, strict=True))
            case wit.Flags(labels):
                kind = Flag
                members = {name: 1 << bit for bit, name in enumerate(member_names(labels))}
        made = kind(each.name, members, module=self._module)
        made.__doc__ = says
        return made

    def _dataclass(self, name: str, fields: Iterable[tuple[str, Any]], says: str) -> Any:
        made = make_dataclass(name, fields, frozen=True, slots=True)
        made.__module__ = self._module
        made.__doc__ = says
        return made

    def _error(self, name: str, method: Method) -> type[CallError[Any]]:
        says = f"What `{method.name}` returned as its err."
        return new_class(
            name,
            (CallError,),
            exec_body=lambda space: space.update(__doc__=says, __module__=self._module),
        )


_kept: Final[OrderedDict[str, Types]] = OrderedDict()
_lock: Final = threading.Lock()


def types_of(component: Component) -> Types:
    """The classes of a component: the same for the same content."""
    with _lock:
        types = _kept.get(component.digest)
        if types is None:
            types = _kept[component.digest] = Types(component)
            if len(_kept) > MAX_KEPT:
                _kept.popitem(last=False)
        _kept.move_to_end(component.digest)
        return types
