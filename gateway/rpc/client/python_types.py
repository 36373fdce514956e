"""Which Python types stand for the types of a component, and how the client says so.

| WIT                        | Python                                                              |
|----------------------------|---------------------------------------------------------------------|
| `bool`, integers, floats   | `bool`, `int`, `float`                                              |
| `char`, `string`           | `str`                                                               |
| `list<u8>`                 | `bytes`                                                             |
| `list<T>`, `tuple<...>`    | `list[T]`, `tuple[...]`                                             |
| `record`                   | a frozen dataclass                                                  |
| `variant`                  | a union of frozen dataclasses, one for each case                    |
| `enum`                     | an `Enum`                                                           |
| `flags`                    | a `Flag`                                                            |
| `option<T>`                | `T | None`; `Some[T] | None` where T itself is an option             |
| `result<T, E>`             | `Ok[T] | Err[E]`, None for a side without type                      |
| `resource`, `borrow<resource>` | its class                                                       |

A `Flag` rather than a set of members of an `Enum`: one value already is a set, `READ | WRITE` is the way to write
two, and a type checker refuses the flags of another type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from gateway.host import wit
from gateway.rpc.client.classes import Class
from gateway.rpc.client.layout import Expression, Group, union
from gateway.rpc.client.names import Scope, Words, class_name

__all__ = ["PythonTypes"]

_WIDE: Final = 48
"""Columns of the widest type that is written out where it is used; what is wider gets a name. Arbitrary: there is
room for a parameter's name next to it."""


class PythonTypes:
    """Writes types, and codecs of them.

    Args:
        classes: the types that have classes.
        scope: the module's names.
        resources: the classes of resources.

    Attributes:
        aliases: the definitions of the aliases that were needed so far.
    """

    def __init__(
        self,
        classes: Mapping[wit.Type, Class],
        scope: Scope,
        resources: Mapping[wit.Resource, str] = MappingProxyType({}),
    ) -> None:
        self._classes = classes
        self._scope = scope
        self._resources = resources
        self._named: dict[tuple[wit.Type, str | None], str] = {}
        self.aliases: list[str] = []

    def annotation(
        self, ty: wit.Type | None, interface: str | None, found: Words, room: int = _WIDE
    ) -> str:
        """Write a type where it is used.

        Args:
            ty: the type; None for nothing.
            interface: where it is used, whose names it is written with.
            found: the words for that, to name a type that is wider than there is room for.
            room: how wide it may be, in columns, if that is less than usual.
        """
        match ty:
            case None:
                return "None"
            case wit.Bool():
                return "bool"
            case wit.Integer():
                return "int"
            case wit.Float():
                return "float"
            case wit.Char() | wit.String():
                return "str"
            case wit.List(wit.Integer(8, False)) | wit.Bytes():
                return "bytes"
            case wit.Record() | wit.Variant() | wit.Enum() | wit.Flags():
                return self._classes[ty].name_in(interface)
            case wit.Own(resource) | wit.Borrow(resource) if resource in self._resources:
                return self._resources[resource]
        if (alias := self._named.get((ty, interface))) is not None:
            return alias
        members = self._compound(ty, interface, found)
        written = " | ".join(map(str, members))
        if len(written) <= min(room, _WIDE):
            return written
        [name] = self._scope.claim([[class_name(found)]])
        self._named[ty, interface] = name
        self.aliases.append(union(f"{name}: TypeAlias = ", members))
        return name

    def _compound(self, ty: wit.Type, interface: str | None, found: Words) -> Sequence[Expression]:
        def inner(part: wit.Type | None) -> str:
            return self.annotation(part, interface, found)

        match ty:
            case wit.List(element):
                return [Group("list[", (inner(element),), "]", comma=False)]
            case wit.Tuple(()):
                return ["tuple[()]"]
            case wit.Tuple(elements):
                comma = len(elements) > 1
                return [Group("tuple[", tuple(map(inner, elements)), "]", comma=comma)]
            case wit.Option(wit.Option() as payload):
                return [f"Some[{inner(payload)}]", "None"]
            case wit.Option(payload):
                return [inner(payload), "None"]
            case wit.Result(ok, err):
                return [f"Ok[{inner(ok)}]", f"Err[{inner(err)}]"]
        raise TypeError(f"{ty} has no form in JSON")

    def codec(self, ty: wit.Type | None) -> Expression:
        """Write the codec of a type."""
        match ty:
            case None:
                return "_UNIT"
            case wit.Bool() | wit.Integer() | wit.Float() | wit.Char() | wit.String():
                return f"_{ty}".upper()
            case wit.List(wit.Integer(8, False)) | wit.Bytes():
                return "_BYTES"
            case wit.List(element):
                return Group("_list(", (self.codec(element),))
            case wit.Tuple(elements):
                return Group("_tuple(", tuple(map(self.codec, elements)))
            case wit.Option(wit.Option() as payload):
                return Group("_nested_option(", (self.codec(payload),))
            case wit.Option(payload):
                return Group("_option(", (self.codec(payload),))
            case wit.Result(ok, err):
                return Group("_result(", (self.codec(ok), self.codec(err)))
            case wit.Record() | wit.Variant() | wit.Enum() | wit.Flags():
                return self._classes[ty].constant
        raise TypeError(f"{ty} has no form in JSON")
