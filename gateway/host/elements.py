"""Streams and futures as the host has them: elements that come over time, and are asked for piece by piece.

In values of WIT they stand where a `stream` or a `future` is. A future is one element.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from gateway.host import wit
from gateway.host.errors import ResultTooLarge
from gateway.host.values import Err, Ok, Some, Variant

__all__ = ["Broken", "Elements", "OnEnd", "Whole", "collected", "over_time", "replacing"]

PIECE: Final = 8192
"""Elements that cross at once (`gateway.host.values.MAX_ELEMENTS`)."""


class Broken(Exception):
    """A stream or a future has no end: who gave its elements is gone, or has failed. The message says why."""


class Elements(ABC):
    """What a stream or a future carries, for the one who has its end."""

    @abstractmethod
    async def read(self) -> Sequence[Any]:
        """Wait for the next elements, and give some; none at the end. Whoever gives them waits for this.

        Raises:
            Broken: there will be no more, and this is no end.
        """

    @abstractmethod
    def close(self) -> None:
        """Want no more. May be called again, and after the end."""


class Whole(Elements):
    """Elements that are all there."""

    def __init__(self, elements: Sequence[Any]) -> None:
        self._elements = elements
        self._at = 0

    async def read(self) -> Sequence[Any]:
        """`Elements.read`."""
        some = self._elements[self._at : self._at + PIECE]
        self._at += len(some)
        return some

    def close(self) -> None:
        """`Elements.close`."""
        self._elements = ()


OnEnd: TypeAlias = Callable[[wit.Stream | wit.Future, Any], Any]
"""Gives what stands in place of a stream or a future, told its type and what has stood there."""


def replacing(ty: wit.Type) -> Callable[[Any, OnEnd], Any] | None:
    """Build the closure that gives a value with others in place of its streams and futures; None if it has none.

    Streams in the elements of others are left to whoever has these.
    """
    if not wit.goes_on(ty):
        return None
    match ty:
        case wit.Stream() | wit.Future():
            return lambda value, on_end: on_end(ty, value)
        case wit.List(element):
            of_element = _part(element)
            return lambda value, on_end: [of_element(each, on_end) for each in value]
        case wit.Tuple(elements):
            parts = list(map(_part, elements))
            return lambda value, on_end: tuple(
                [part(each, on_end) for part, each in zip(parts, value, strict=True)]
            )
        case wit.Record(fields):
            members = [(name, _part(of)) for name, of in fields]
            return lambda value, on_end: {name: of(value[name], on_end) for name, of in members}
        case wit.Variant(cases):
            payloads = {name: _part(of) for name, of in cases}
            return lambda value, on_end: Variant(
                value.case, payloads[value.case](value.payload, on_end)
            )
        case wit.Option(payload):
            return _option(_part(payload), nested=isinstance(payload, wit.Option))
        case wit.Result(ok, err):
            of_ok, of_err = _part(ok), _part(err)
            return lambda value, on_end: (
                Err(of_err(value.value, on_end))
                if type(value) is Err
                else Ok(of_ok(value.value, on_end))
            )
    raise TypeError(f"{ty} has no streams or futures in it")


def _part(ty: wit.Type | None) -> Callable[[Any, OnEnd], Any]:
    found = None if ty is None else replacing(ty)
    return (lambda value, _on_end: value) if found is None else found


def _option(part: Callable[[Any, OnEnd], Any], *, nested: bool) -> Callable[[Any, OnEnd], Any]:
    def replace(value: Any, on_end: OnEnd) -> Any:
        if value is None:
            return None
        return Some(part(value.value, on_end)) if nested else part(value, on_end)

    return replace


def _size(value: Any) -> int:
    """How much a value is, at least 1: elements, and bytes of text."""
    match value:
        case str() | bytes():
            return 1 + len(value)
        case dict():
            return 1 + sum(map(_size, value.values()))
        case list() | tuple():
            return 1 + sum(map(_size, value))
        case Some() | Ok() | Err():
            return 1 + _size(value.value)
    return 1


async def collected(ty: wit.Type, value: Any, max_size: int) -> Any:
    """A value with lists in place of its streams, and payloads in place of its futures, once all of them is there.

    Args:
        ty: its type.
        value: the value.
        max_size: elements and bytes of text that may come of all streams together.

    Raises:
        ResultTooLarge: more come.
        Broken: as of `Elements.read`.
    """
    return await _Collection(max_size).of(ty, value)


class _Collection:
    def __init__(self, max_size: int) -> None:
        self._max = self._left = max_size

    async def of(self, ty: wit.Type, value: Any) -> Any:
        replace = replacing(ty)
        if replace is None:
            return value
        ends: list[tuple[wit.Stream | wit.Future, Elements]] = []
        replace(value, lambda of, end: ends.append((of, end)))
        try:
            came = [await self._all(of, end) for of, end in ends]
        finally:
            for _, end in ends:
                end.close()
        made = iter(came)
        return replace(value, lambda _of, _end: next(made))

    async def _all(self, ty: wit.Stream | wit.Future, end: Elements) -> Any:
        part = ty.payload if isinstance(ty, wit.Future) else ty.element
        came: list[Any] = []
        while some := await end.read():
            self._left -= len(some) if isinstance(some, bytes) else sum(map(_size, some))
            if self._left < 0:
                raise ResultTooLarge(self._max)
            came += some
        if wit.goes_on(part):
            came = [await self.of(part, each) for each in came]
        if isinstance(ty, wit.Future):
            if not came:
                raise Broken("a future has no value")
            return came[0]
        return bytes(came) if part == wit.Integer(8, signed=False) else came


def over_time(ty: wit.Type) -> Callable[[Any], Any] | None:
    """Build the closure that has elements in place of lists and payloads, as a value with streams and futures has.

    None where there are neither in it.
    """
    replace = replacing(ty)
    if replace is None:
        return None

    def whole(of: wit.Stream | wit.Future, value: Any) -> Elements:
        part = of.payload if isinstance(of, wit.Future) else of.element
        elements = [value] if isinstance(of, wit.Future) else value
        inner = over_time(part)
        return Whole(elements if inner is None else list(map(inner, elements)))

    return lambda value: replace(value, whole)
