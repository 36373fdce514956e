"""The resources among the arguments of a function: which of several targets has given them, say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gateway.host import wit
from gateway.host.values import Err

__all__ = ["resource_arguments"]


def resource_arguments(ty: wit.Function) -> Callable[[Sequence[Any]], Iterator[object]]:
    """What gives the resources among the arguments of a function, in their order."""
    having = [(at, param) for at, (_, param) in enumerate(ty.params) if _has(param)]

    def among(args: Sequence[Any]) -> Iterator[object]:
        for at, param in having:
            yield from _among(param, args[at])

    return among


def _has(ty: wit.Type) -> bool:
    return any(isinstance(leaf, wit.Own | wit.Borrow) for leaf in wit.leaves(ty))


def _among(ty: wit.Type | None, value: Any) -> Iterator[object]:
    match ty:
        case wit.Own() | wit.Borrow():
            yield value
        case wit.List(element) if _has(element):
            for each in value:
                yield from _among(element, each)
        case wit.Option(payload) if value is not None:
            nested = isinstance(payload, wit.Option)
            yield from _among(payload, value.value if nested else value)
        case wit.Tuple(elements):
            for element, each in zip(elements, value, strict=True):
                yield from _among(element, each)
        case wit.Record(fields):
            for name, field in fields:
                yield from _among(field, value[name])
        case wit.Variant(cases):
            case, payload_value = value
            yield from _among(dict(cases)[case], payload_value)
        case wit.Result(ok, err):
            yield from _among(err if type(value) is Err else ok, value.value)
