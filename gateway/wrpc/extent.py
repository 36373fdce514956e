"""How far values reach in bytes that come bit by bit: whether all of them is there.

A peer may leave its side open when it has said all. (Those in Go do where there are streams, until memory is
collected.) So the values themselves tell whether they are whole. Each byte is looked at once, however few come at
a time; what they mean is read when all are there (`gateway.wrpc.decode`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, Protocol, TypeAlias

from gateway.host import wit
from gateway.host.elements import PIECE
from gateway.host.pieces import STRETCH
from gateway.wrpc.cursor import Malformed, TooLarge
from gateway.wrpc.encode import no_bytes
from gateway.wrpc.handles import OfPeer
from gateway.wrpc.index import IndexedCursor, Path

__all__ = ["MAX_INDEXED", "Extent", "Pieces", "RootExtent"]

MAX_INDEXED: Final = 1024
"""Streams and futures of one side of an invocation that go by paths of their own. Threat: a peer that sends a byte
by each of millions. Arbitrary: functions have a few, and a stream of streams some hundreds."""

_MAX_NUMBER: Final = 10
"""Bytes of a number in LEB128."""

_LEADS: Final = ((0xC0, 1), (0xE0, 2), (0xF0, 3), (0x100, 4))
"""Where the first bytes of one, two, three and four bytes of UTF-8 end, or of what is none."""


class _Part:
    """What came by one path.

    Attributes:
        data: that.
        extent: what it is of.
        own: that path.
        path: the path to the value that is looked at.
        at: where that goes on, which may be past the end of what has come.
        steps: what looks at it; None before the values have told of it.
    """

    __slots__ = ("at", "data", "extent", "own", "path", "steps")

    def __init__(self, extent: _Ends, path: Path) -> None:
        self.data = bytearray()
        self.extent = extent
        self.own = self.path = path
        self.at = 0
        self.steps: _Steps | None = None


_Steps: TypeAlias = Generator[bool, None, Any]
"""Looks at a value. Gives False where it takes more bytes to go on, and True where others should have a turn."""

_Skip: TypeAlias = Callable[[_Part], _Steps]
"""Looks at a value of one type. Whether it is one is seen when it is read."""


class _Ends(Protocol):
    """What is told of values that go by paths of their own."""

    def breathes(self) -> bool:
        """Whether others should have a turn before the next element, or list of a stream, is looked at."""

    def later(self, part: _Part, skip: _Skip, /) -> _Steps:
        """Look at one."""


class Extent:
    """How far the values of one side of an invocation reach.

    Args:
        types: theirs.
    """

    def __init__(self, types: Sequence[wit.Type]) -> None:
        self._parts: dict[Path, _Part] = {}
        self._open = 0
        self._looked_at = 0
        self._due: list[_Part] = []
        self._begin(self._part(()), _sequence(types))

    @property
    def is_whole(self) -> bool:
        """Whether all of them are there."""
        return not self._open

    def part(self, path: Path) -> bytearray:
        """Where what comes by a path is added, before `go_on`.

        Raises:
            TooLarge: there are more paths than there may be.
        """
        return self._part(path).data

    async def go_on(self, path: Path) -> None:
        """Look at what has come by a path.

        Raises:
            TooLarge: the values tell of more paths than there may be.
            Malformed: more has come than belongs there.
        """
        self._due.append(self._parts[path])
        while self._due:
            part = self._due.pop()
            if part.steps is None:
                continue
            for breathes in part.steps:
                if not breathes:
                    break
                await asyncio.sleep(0)
            else:
                self._check_end(part)

    def cursor(self) -> IndexedCursor:
        """What has come, to be read.

        Raises:
            Malformed: something has come by a path that the values do not have.
        """
        for path, part in self._parts.items():
            if part.steps is None:
                raise Malformed(f"there is no stream and no future at {list(path)}")
        indexed = {path: bytes(part.data[: part.at]) for path, part in self._parts.items()}
        return IndexedCursor(indexed.pop(()), indexed)

    def breathes(self) -> bool:
        """Whether others should have a turn before the next element, or list of a stream, is looked at."""
        self._looked_at += 1
        return not self._looked_at % STRETCH

    def later(self, part: _Part, skip: _Skip, /) -> _Steps:
        """Look at a value that goes by its own path: here, if this is what comes by that."""
        if part.path == part.own:
            yield from skip(part)
            return
        other = self._part(part.path)
        if other.steps is not None:
            raise Malformed(f"there are two values at {list(part.path)}")
        self._begin(other, skip)
        self._due.append(other)

    def _part(self, path: Path) -> _Part:
        part = self._parts.get(path)
        if part is None:
            if len(self._parts) > MAX_INDEXED:
                raise TooLarge(f"more than {MAX_INDEXED} streams and futures")
            part = self._parts[path] = _Part(self, path)
        return part

    def _begin(self, part: _Part, skip: _Skip) -> None:
        self._open += 1

        def steps() -> _Steps:
            yield from skip(part)
            self._open -= 1

        part.steps = steps()

    def _check_end(self, part: _Part) -> None:
        # Peers in Go end streams twice.
        more = len(part.data) - part.at
        if more and (not part.own or more > 1 or part.data[-1]):
            raise Malformed(f"{more} bytes follow after all that was expected")


class RootExtent(Extent):
    """How far the values of one side reach without their streams and futures, which come over time."""

    @property
    def is_whole(self) -> bool:
        """Whether all of that is there."""
        return not self._open

    def came(self, data: bytes) -> None:
        """More of it has come."""
        part = self._parts[()]
        part.data += data
        steps = part.steps
        if steps is not None and all(steps):  # it gives False where it takes more bytes
            self._check_end(part)
            part.steps = None

    def data(self) -> bytes:
        """What has come."""
        part = self._parts[()]
        return bytes(part.data[: part.at])

    def later(self, _part: _Part, _skip: _Skip, /) -> _Steps:
        """Look no further: it comes by its own path."""
        yield from ()


class Pieces:
    """The elements of a stream, or the one of a future, as they come by their own path.

    Args:
        path: that path.
        ty: its type.

    Attributes:
        whole: those that are whole: their bytes, the number of the first, and how many they are.
        whole_size: the bytes of these.
        steps: looks at what has come.
    """

    def __init__(self, path: Path, ty: wit.Stream | wit.Future) -> None:
        self.whole: deque[tuple[bytes, int, int]] = deque()
        self.whole_size = 0
        self._part = _Part(self, path)
        self._looked_at = 0
        if isinstance(ty, wit.Future):
            self.steps = self._one(_skip(ty.payload))
        elif _size(ty.element) == 1:
            self.steps = self._bytes()
        else:
            self.steps = self._elements(_skip(ty.element))

    @property
    def data(self) -> bytearray:
        """What has come that is no whole element yet."""
        return self._part.data

    def take(self) -> tuple[bytes, int, int]:
        """The first of those that are whole."""
        some = self.whole.popleft()
        self.whole_size -= len(some[0])
        return some

    def clear(self) -> None:
        """Want none of them."""
        self.whole.clear()
        self.whole_size = 0

    def breathes(self) -> bool:
        """`Extent.breathes`."""
        self._looked_at += 1
        return not self._looked_at % STRETCH

    def later(self, _part: _Part, _skip: _Skip, /) -> _Steps:
        """Look no further: it comes by its own path."""
        yield from ()

    def _one(self, skip: _Skip) -> _Steps:
        yield from skip(self._part)
        self._cut(self._part.at, 0, 1)

    def _bytes(self) -> _Steps:
        part = self._part
        while left := (yield from _number(part)):
            del part.data[: part.at]
            part.at = 0
            while left:
                some = min(left, len(part.data), PIECE)
                if some:
                    self._cut(some, 0, some)
                    left -= some
                else:
                    yield False

    def _elements(self, skip: _Skip) -> _Steps:
        part, first = self._part, 0
        own = part.own
        while count := (yield from _number(part)):
            del part.data[: part.at]
            part.at = ready = 0
            for number in range(first, first + count):
                if self.breathes():
                    yield True
                part.path, begin = (*own, number), part.at
                for breathes in skip(part):
                    if not breathes and ready:
                        self._cut(begin, number - ready, ready)
                        begin = ready = 0
                    yield breathes
                ready += 1
                if ready == PIECE:
                    self._cut(part.at, number + 1 - ready, ready)
                    ready = 0
            if ready:
                self._cut(part.at, first + count - ready, ready)
            part.path, first = own, first + count

    def _cut(self, size: int, first: int, count: int) -> None:
        part = self._part
        self.whole.append((bytes(part.data[:size]), first, count))
        self.whole_size += size
        del part.data[:size]
        part.at = max(0, part.at - size)


# --- values ------------------------------------------------------------------------------------------------------


def _skip(ty: wit.Type) -> _Skip:
    """What looks at a value of a type.

    Raises:
        TypeError: as of `gateway.wrpc.encode.writer`.
    """
    size = _size(ty)
    if size is not None:
        return lambda part: _bytes(part, size)
    match ty:
        case wit.Integer() | wit.Enum():
            return _number
        case wit.Char():
            return _char
        case wit.String() | wit.Bytes() | OfPeer():
            return _text
        case wit.Stream(element):
            return _stream(element)
        case wit.List(element):
            return _list(element)
        case wit.Tuple(elements):
            return _sequence(elements)
        case wit.Record(fields):
            return _sequence([field for _, field in fields])
        case wit.Variant(cases):
            return _cases([payload for _, payload in cases])
        case wit.Option(payload):
            return _cases([None, payload])
        case wit.Result(ok, err):
            return _cases([ok, err])
        case wit.Future(payload):
            return _future(payload)
    raise no_bytes(ty)


def _size(ty: wit.Type) -> int | None:
    """How many bytes each value of a type has, if all have as many."""
    match ty:
        case wit.Bool() | wit.Integer(bits=8):
            return 1
        case wit.Float(bits):
            return bits // 8
        case wit.Flags(names):
            return -(-len(names) // 8)
    return None


def _bytes(part: _Part, size: int) -> _Steps:
    part.at += size
    while part.at > len(part.data):
        yield False


def _number(part: _Part) -> Generator[bool, None, int]:
    value = 0
    for place in range(_MAX_NUMBER):
        while part.at == len(part.data):
            yield False
        byte = part.data[part.at]
        part.at += 1
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value
    raise Malformed(f"expected a number in LEB128 before byte {part.at}")


def _char(part: _Part) -> _Steps:
    while part.at == len(part.data):
        yield False
    first = part.data[part.at]
    yield from _bytes(part, next(size for end, size in _LEADS if first < end))


def _text(part: _Part) -> _Steps:
    size = yield from _number(part)
    yield from _bytes(part, size)


def _cases(payloads: Sequence[wit.Type | None]) -> _Skip:
    skips = [None if payload is None else _skip(payload) for payload in payloads]

    def skip(part: _Part) -> _Steps:
        number = yield from _number(part)
        if number >= len(skips):
            raise Malformed(f"expected one of {len(skips)} cases before byte {part.at}")
        if (payload := skips[number]) is not None:
            yield from payload(part)

    return skip


def _sequence(types: Sequence[wit.Type]) -> _Skip:
    skips = list(map(_skip, types))

    def skip(part: _Part) -> _Steps:
        path = part.path
        for number, each in enumerate(skips):
            part.path = (*path, number)
            yield from each(part)
        part.path = path

    return skip


def _elements(ty: wit.Type) -> Callable[[_Part, int, int], _Steps]:
    """What looks at elements of a type: as many as it is told, the first of which is of some number."""
    size = _size(ty)
    skip = _skip(ty)

    def several(part: _Part, count: int, first: int) -> _Steps:
        if size is not None:
            yield from _bytes(part, count * size)
            return
        path = part.path
        for number in range(count):
            if part.extent.breathes():
                yield True
            part.path = (*path, first + number)
            yield from skip(part)
        part.path = path

    return several


def _list(element: wit.Type) -> _Skip:
    elements = _elements(element)

    def skip(part: _Part) -> _Steps:
        count = yield from _number(part)
        yield from elements(part, count, 0)

    return skip


def _stream(element: wit.Type) -> _Skip:
    elements = _elements(element)

    def skip(part: _Part) -> _Steps:
        count = yield from _number(part)
        if count:
            yield from elements(part, count, 0)
        else:
            yield from part.extent.later(part, lists)

    def lists(part: _Part) -> _Steps:
        first = 0
        while count := (yield from _number(part)):
            if part.extent.breathes():
                yield True
            yield from elements(part, count, first)
            first += count

    return skip


def _future(payload: wit.Type) -> _Skip:
    value = _skip(payload)

    def skip(part: _Part) -> _Steps:
        is_ready = yield from _number(part)
        if is_ready:
            yield from value(part)
        else:
            yield from part.extent.later(part, value)

    return skip
