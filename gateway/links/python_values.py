"""Component values between the forms that the host has, and the types of Python that annotations name.

| WIT                       | annotation                                                                |
|---------------------------|---------------------------------------------------------------------------|
| `bool`, integers, floats  | `bool`, `int`, `float`                                                    |
| `char`, `string`          | `str`                                                                     |
| `list<u8>`                | `bytes`                                                                   |
| `list<T>`, `tuple<...>`   | `list[T]` (`Sequence[T]` and the like accepted), `tuple[...]`             |
| `record`                  | a dataclass whose fields are named as `gateway client` names them         |
| `variant`                 | a union of dataclasses, one for each case, in order, each with its name   |
| `enum`                    | an `Enum` whose values are the names in WIT                               |
| `flags`                   | a `Flag` with a member for each, in order                                 |
| `option<T>`               | `T | None`; `Some[T] | None` where T itself is an option                  |
| `result<T, E>`            | `Ok[T] | Err[E]`                                                          |
| `resource`, `borrow<resource>` | its class, or one that this is derived from                          |

They are the types that a generated client has, by structure and not by identity: those of any such module will do.
Where there is no annotation, none is needed for what has a type of Python's own.
"""

from __future__ import annotations

import typing
from collections import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum, Flag
from functools import partial, reduce
from math import inf
from operator import or_
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

from gateway.host import wit
from gateway.host.pieces import STRETCH, pause
from gateway.host.values import F32_LIMIT, Err, Ok, Some, Variant
from gateway.rpc.client.names import (
    FIELD_SCOPE,
    attribute_names,
    class_name,
    member_names,
    words,
)

__all__ = ["Conversion", "Misfit", "ResourceClass", "Resources", "WrongValue", "conversion"]

Convert: TypeAlias = Callable[[Any], Any]


class Misfit(Exception):
    """An annotation is not for values of a type; the message says what would be."""


class WrongValue(Exception):
    """A value is not of the type that it has to be.

    Args:
        expected: what was expected.
        value: what is there.
    """

    def __init__(self, expected: object, value: object) -> None:
        super().__init__(expected)
        self._told = f"expected {expected}, got {type(value).__qualname__}"
        if type(value) is int and abs(value) < 1 << 80:
            self._told += f" {value}"
        self._path: list[str] = []

    def enter(self, segment: str) -> None:
        """Tell that the value stands in another."""
        self._path.append(segment)

    def __str__(self) -> str:
        where = "".join(reversed(self._path)).removeprefix(".")
        return f"{self._told}{' at ' * bool(where)}{where}"


class Conversion(NamedTuple):
    """Of values of one type.

    Attributes:
        typed: makes of a value that was lifted one that the annotation names.
        plain: makes of such a value one that can be lowered. Raises `WrongValue`.
    """

    typed: Convert
    plain: Convert


class ResourceClass(NamedTuple):
    """What stands for a resource.

    Attributes:
        kind: the class of its objects.
        conversion: of these.
    """

    kind: type
    conversion: Conversion


Resources: TypeAlias = Mapping[wit.Resource, ResourceClass]


def conversion(
    ty: wit.Type | None, annotation: Any, resources: Resources = MappingProxyType({})
) -> Conversion:
    """Build what converts values of a type.

    Args:
        ty: the type; None for nothing.
        annotation: the type in Python, as `typing.get_type_hints` gives it; `Any` where there is none.
        resources: what stands for the resources that it is made of.

    Raises:
        Misfit: the annotation is not for such values.
    """
    if annotation in {typing.NoReturn, typing.Never}:
        return Conversion(_as_it_is, _never)
    return _conversion(ty, _alternatives(annotation), resources)


_Annotation: TypeAlias = Sequence[Any]
"""The members of a union; one where it is none."""


def _alternatives(annotation: Any) -> _Annotation:
    annotation = getattr(annotation, "__value__", annotation)  # of a `type` statement
    if typing.get_origin(annotation) in {typing.Union, UnionType}:
        return [each for part in typing.get_args(annotation) for each in _alternatives(part)]
    return [NoneType if annotation is None else annotation]


def _conversion(ty: wit.Type | None, annotation: _Annotation, resources: Resources) -> Conversion:
    match ty:
        case None:
            return _scalar(_unit, "nothing", NoneType, annotation)
        case wit.Bool():
            return _scalar(_bool, ty, bool, annotation)
        case wit.Integer():
            return _scalar(_integer(ty), ty, int, annotation)
        case wit.Float():
            return _scalar(_float(ty), ty, float, annotation)
        case wit.Char():
            return _scalar(_char, ty, str, annotation)
        case wit.String():
            return _scalar(_string, ty, str, annotation)
        case wit.Bytes() | wit.List(element=wit.Integer(bits=8, signed=False)):
            return _scalar(_bytes, ty, bytes, annotation)
        case wit.List(element):
            return _list(ty, element, annotation, resources)
        case wit.Tuple(elements):
            return _tuple(ty, elements, annotation, resources)
        case wit.Record(pairs):
            return _record(ty, pairs, annotation, resources)
        case wit.Variant(cases):
            return _variant(ty, cases, annotation, resources)
        case wit.Enum(names):
            return _enum(ty, names, annotation)
        case wit.Flags(names):
            return _flags(ty, names, annotation)
        case wit.Option(payload):
            return _option(ty, payload, annotation, resources)
        case wit.Result():
            return _result(ty, annotation, resources)
        case wit.Own(resource) | wit.Borrow(resource) if resource in resources:
            return _resource(ty, annotation, resources[resource])
    raise Misfit(f"{ty} has no form in Python")


def _misfit(ty: object, is_what: str, annotation: _Annotation) -> Misfit:
    shown = " | ".join(
        each.__qualname__
        if isinstance(each, type) and not typing.get_args(each)
        else str(each).replace("typing.", "")
        for each in annotation
    )
    missing = list(annotation) == [Any]
    return Misfit(f"{ty} is {is_what}, {'and nothing says which' if missing else f'not {shown}'}")


def _is(annotation: _Annotation, kind: type) -> bool:
    return list(annotation) in ([kind], [Any])


def _as_it_is(value: Any) -> Any:
    return value


def _scalar(plain: Convert, ty: object, kind: type, annotation: _Annotation) -> Conversion:
    """Of what has one form, wherever it is."""
    if not _is(annotation, kind):
        called = "None" if kind is NoneType else kind.__name__
        raise _misfit(ty, called, annotation)
    return Conversion(_as_it_is, plain)


def _never(value: Any) -> NoReturn:
    raise WrongValue("nothing at all", value)


def _unit(value: Any) -> None:
    if value is not None:
        raise WrongValue("None", value)


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise WrongValue("bool", value)
    return value


def _integer(ty: wit.Integer) -> Convert:
    minimum, maximum = ty.minimum, ty.maximum

    def plain(value: Any) -> int:
        if not isinstance(value, int) or type(value) is bool or not minimum <= value <= maximum:
            raise WrongValue(f"{ty}, an integer from {minimum} to {maximum}", value)
        return int.__index__(value)  # of an `IntEnum` too

    return plain


def _float(ty: wit.Float) -> Convert:
    limit = inf if ty.bits == 64 else F32_LIMIT

    def plain(value: Any) -> float:
        if isinstance(value, int | float) and type(value) is not bool:
            try:
                number = float(value)
            except OverflowError:
                raise WrongValue(f"{ty}, a number in its range", value) from None
            if not limit <= abs(number) < inf:
                return number
        raise WrongValue(f"{ty}, a number in its range", value)

    return plain


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise WrongValue("string, a str", value)
    text = str.__str__(value)  # of a `StrEnum` too
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise WrongValue("string, a str without lone surrogates", value) from None
    return text


def _char(value: Any) -> str:
    text = _string(value)
    if len(text) != 1:
        raise WrongValue("char, a str of one character", value)
    return text


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise WrongValue("list<u8>, a bytes object", value)
    return bytes(value)


_LISTS: Final = (list, abc.Sequence, abc.Collection, abc.Iterable)


def _list(
    ty: wit.List, element: wit.Type, annotation: _Annotation, resources: Resources
) -> Conversion:
    of: Any = Any
    if not _is(annotation, list):
        (kind, args) = _generic(annotation)
        if kind not in _LISTS or len(args) != 1:
            raise _misfit(ty, "list[...]", annotation)
        (of,) = args
    inner = conversion(element, of, resources)

    def each(convert: Convert, value: Sequence[Any]) -> list[Any]:
        items: list[Any] = []
        try:
            for first in range(0, len(value), STRETCH):
                some = value[first : first + STRETCH]
                pause(len(some))
                items.extend(map(convert, some))
        except WrongValue as wrong:
            wrong.enter(f"[{len(items)}]")
            raise
        return items

    def plain(value: Any) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise WrongValue("a list", value)
        return each(inner.plain, value)

    if inner.typed is _as_it_is:
        return Conversion(_as_it_is, plain)
    return Conversion(lambda value: each(inner.typed, value), plain)


def _tuple(
    ty: wit.Tuple, elements: Sequence[wit.Type], annotation: _Annotation, resources: Resources
) -> Conversion:
    of: Sequence[Any] = [Any] * len(elements)
    if not _is(annotation, tuple):
        kind, of = _generic(annotation)
        if kind is not tuple or len(of) != len(elements):
            raise _misfit(ty, f"tuple[...] of {len(elements)}", annotation)
    inner = [
        conversion(element, each, resources) for element, each in zip(elements, of, strict=True)
    ]

    def plain(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, tuple) or len(value) != len(inner):
            raise WrongValue(f"a tuple of {len(inner)}", value)
        return tuple(
            _within(f"[{at}]", each.plain, item)
            for at, (each, item) in enumerate(zip(inner, value, strict=True))
        )

    return Conversion(
        lambda value: tuple(each.typed(item) for each, item in zip(inner, value, strict=True)),
        plain,
    )


def _record(
    ty: wit.Record,
    pairs: Sequence[tuple[str, wit.Type]],
    annotation: _Annotation,
    resources: Resources,
) -> Conversion:
    names = attribute_names((name for name, _ in pairs), FIELD_SCOPE)
    kind = _dataclass(annotation, names)
    if kind is None:
        raise _misfit(ty, f"a dataclass with the fields {', '.join(names)}", annotation)
    hints = _hints(kind)
    inner = [
        (key, name, conversion(part, hints[name], resources))
        for (key, part), name in zip(pairs, names, strict=True)
    ]

    def typed(value: Any) -> Any:
        return kind(**{name: each.typed(value[key]) for key, name, each in inner})

    def plain(value: Any) -> dict[str, Any]:
        if not isinstance(value, kind):
            raise WrongValue(kind.__qualname__, value)
        return {
            key: _within(f".{name}", each.plain, getattr(value, name)) for key, name, each in inner
        }

    return Conversion(typed, plain)


def _variant(
    ty: wit.Variant,
    cases: Sequence[tuple[str, wit.Type | None]],
    annotation: _Annotation,
    resources: Resources,
) -> Conversion:
    inner: dict[str, tuple[type[Any], Conversion | None]] = {}
    for (name, part), each in zip(cases, annotation, strict=False):
        kind = _dataclass([each], [] if part is None else ["value"])
        if kind is not None and class_name(words(name)) in kind.__name__:
            payload = None if part is None else conversion(part, _hints(kind)["value"], resources)
            inner[name] = kind, payload
    if len(inner) != len(annotation) or len(inner) != len(cases):
        called = " | ".join(f"...{class_name(words(name))}" for name, _ in cases)
        raise _misfit(ty, f"a union of dataclasses {called}, with a value or none", annotation)
    case_of = {kind: (name, payload) for name, (kind, payload) in inner.items()}

    def typed(value: Variant) -> Any:
        kind, payload = inner[value.case]
        return kind() if payload is None else kind(payload.typed(value.payload))

    def plain(value: Any) -> Variant:
        found = case_of.get(type(value))
        if found is None:
            raise WrongValue(" or ".join(kind.__qualname__ for kind in case_of), value)
        name, payload = found
        return Variant(
            name, None if payload is None else _within(".value", payload.plain, value.value)
        )

    return Conversion(typed, plain)


def _enum(ty: wit.Enum, names: Sequence[str], annotation: _Annotation) -> Conversion:
    kind = _class(annotation, Enum)
    if kind is None or {member.value for member in kind} != set(names):
        raise _misfit(ty, f"an Enum of the values {', '.join(names)}", annotation)

    def plain(value: Any) -> Any:
        if not isinstance(value, kind):
            raise WrongValue(kind.__qualname__, value)
        return value.value

    return Conversion(kind, plain)


def _flags(ty: wit.Flags, names: Sequence[str], annotation: _Annotation) -> Conversion:
    kind = _class(annotation, Flag)
    labels = member_names(names)
    if kind is None or [member.name for member in kind] != labels:
        raise _misfit(ty, f"a Flag of {', '.join(labels)}", annotation)
    bits = dict(zip(names, kind, strict=True))
    none = kind(0)

    def plain(value: Any) -> frozenset[str]:
        if not isinstance(value, kind):
            raise WrongValue(kind.__qualname__, value)
        return frozenset(name for name, bit in bits.items() if bit in value)

    return Conversion(lambda value: reduce(or_, (bits[name] for name in value), none), plain)


def _option(
    ty: wit.Option, payload: wit.Type, annotation: _Annotation, resources: Resources
) -> Conversion:
    present = [each for each in annotation if each is not NoneType]
    nested = isinstance(payload, wit.Option)
    if list(annotation) != [Any] and (len(present) == len(annotation) or not present):
        raise _misfit(ty, "Some[...] | None" if nested else "... | None", annotation)
    inner = (
        _wrapped(Some, ty, payload, present, resources)
        if nested
        else _conversion(payload, present, resources)
    )

    def typed(value: Any) -> Any:
        return None if value is None else inner.typed(value)

    def plain(value: Any) -> Any:
        return None if value is None else inner.plain(value)

    return Conversion(typed, plain)


def _result(ty: wit.Result, annotation: _Annotation, resources: Resources) -> Conversion:
    if len(annotation) != 2:
        raise _misfit(ty, "Ok[...] | Err[...]", annotation)
    ok = _wrapped(Ok, ty, ty.ok, annotation[:1], resources)
    err = _wrapped(Err, ty, ty.err, annotation[1:], resources)
    kind_of_ok, _ = _generic(annotation[:1])
    return Conversion(
        lambda value: (ok if type(value) is Ok else err).typed(value),
        lambda value: (ok if type(value) is kind_of_ok else err).plain(value),
    )


def _wrapped(
    of_host: type[Ok | Err | Some],
    ty: wit.Type,
    payload: wit.Type | None,
    annotation: _Annotation,
    resources: Resources,
) -> Conversion:
    """Of a generic dataclass that holds the value of another type: `Ok`, `Err` or `Some`."""
    name = of_host.__name__
    kind, args = _generic(annotation)
    if _dataclass([kind], ["value"]) is None or kind.__name__ != name:
        raise _misfit(ty, f"with {name}[...]", annotation)
    inner = conversion(payload, args[0] if args else Any, resources)

    def plain(value: Any) -> Any:
        if not isinstance(value, kind):
            raise WrongValue(f"{ty}, with {name}", value)
        return of_host(_within(".value", inner.plain, value.value))

    return Conversion(lambda value: kind(inner.typed(value.value)), plain)


def _resource(
    ty: wit.Own | wit.Borrow, annotation: _Annotation, found: ResourceClass
) -> Conversion:
    if not any(map(partial(_stands_for, found.kind), annotation)) or len(annotation) > 1:
        raise _misfit(ty, found.kind.__name__, annotation)
    return found.conversion


def _stands_for(kind: type, annotation: Any) -> bool:
    """Whether objects of a class are what an annotation says."""
    if annotation in {Any, typing.Self} or isinstance(annotation, typing.TypeVar):
        return True
    named = {base.__name__ for base in kind.__mro__}
    return isinstance(annotation, type) and annotation.__name__ in named


def _within(segment: str, convert: Convert, value: Any) -> Any:
    try:
        return convert(value)
    except WrongValue as wrong:
        wrong.enter(segment)
        raise


def _generic(annotation: _Annotation) -> tuple[Any, Sequence[Any]]:
    """A generic class and its arguments, or a class and none."""
    (each,) = annotation if len(annotation) == 1 else (None,)
    args = typing.get_args(each)
    if args == ((),):  # `Tuple[()]`
        args = ()
    return typing.get_origin(each) or each, args


def _hints(kind: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind)
    except Exception as error:
        raise Misfit(f"the annotations of {kind.__qualname__} cannot be told: {error}") from None


def _class(annotation: _Annotation, base: type) -> Any:
    """The class that it is, of those that have this base; None for none."""
    (kind,) = annotation if len(annotation) == 1 else (None,)
    return kind if isinstance(kind, type) and issubclass(kind, base) else None


def _dataclass(annotation: _Annotation, names: Sequence[str]) -> Any:
    """The dataclass that it is, of those that are made with such fields; None for none."""
    kind = _class(annotation, object)
    if kind is None or not is_dataclass(kind):
        return None
    return kind if {each.name for each in fields(kind) if each.init} == set(names) else None
