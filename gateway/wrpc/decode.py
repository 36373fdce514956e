"""From bytes of a peer to the values that components take (component model, Binary.md, "Value Definitions").

A type is as deep as it is written, so no value is deeper than its type.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from gateway.host import wit
from gateway.host.elements import Whole
from gateway.host.pieces import STRETCH, pause
from gateway.host.values import Err, Ok, Some, Variant
from gateway.wrpc.cursor import Cursor
from gateway.wrpc.encode import no_bytes
from gateway.wrpc.handles import OfPeer
from gateway.wrpc.index import IndexedCursor

__all__ = ["Read", "reader", "reader_of_all"]

Read = Callable[[Any], Any]
"""Reads a value of one type from a `Cursor`, an `IndexedCursor` where there are streams or futures in the type.
Raises `gateway.wrpc.cursor.Malformed`."""

_LEADS = ((0x80, 1), (0xE0, 2), (0xF0, 3), (0xF8, 4))
"""Where the first bytes of one, two, three and four bytes of UTF-8 end (RFC 3629, section 3)."""


def reader(ty: wit.Type) -> Read:
    """Build the closure that reads values of a type.

    Raises:
        TypeError: as of `gateway.wrpc.encode.writer`.
    """
    match ty:
        case wit.Bool():
            return _read_bool
        case wit.Integer(bits=8, signed=True):
            return lambda cursor: (cursor.byte() ^ 0x80) - 0x80
        case wit.Integer(bits=8):
            return Cursor.byte
        case wit.Integer(bits, signed):
            read = Cursor.signed if signed else Cursor.unsigned
            return lambda cursor: read(cursor, bits)
        case wit.Float(bits):
            return _float(bits)
        case wit.Char():
            return _read_char
        case wit.String():
            return _read_text
        case wit.Stream():
            return _stream(ty)
        case wit.Future():
            return _future(ty)
        case wit.Bytes() | wit.List(element=wit.Integer(bits=8, signed=False)):
            return _read_bytes
        case wit.List(element):
            elements = _elements(element)
            return lambda cursor: elements(cursor, cursor.count(), [])
        case wit.Tuple(elements):
            return reader_of_all(elements)
        case wit.Record(fields):
            readers = _members(field for _, field in fields)
            named = [(name, read) for (name, _), read in zip(fields, readers, strict=True)]
            return lambda cursor: {name: read(cursor) for name, read in named}
        case wit.Variant(cases):
            return _cases([(partial(Variant, name), payload) for name, payload in cases])
        case wit.Enum(names):
            return _enum(names)
        case wit.Flags(names):
            return _flags(names)
        case wit.Option(payload):
            some = Some if isinstance(payload, wit.Option) else _itself
            return _cases([(_itself, None), (some, payload)])
        case wit.Result(ok, err):
            return _cases([(Ok, ok), (Err, err)])
        case OfPeer(_, handles):
            return handles.read
        case wit.Own() | wit.Borrow() | wit.Unsupported():
            raise no_bytes(ty)


def reader_of_all(types: Iterable[wit.Type]) -> Callable[[Cursor], tuple[Any, ...]]:
    """Build the closure that reads a value of each type: parameters, say.

    Raises:
        TypeError: as of `reader`.
    """
    readers = _members(types)
    return lambda cursor: tuple([read(cursor) for read in readers])


def _itself(value: Any) -> Any:
    return value


def _read_bool(cursor: Cursor) -> bool:
    byte = cursor.byte()
    if byte > 1:
        raise cursor.malformed("bool, 0 or 1,")
    return bool(byte)


def _float(bits: int) -> Read:
    of = struct.Struct("<f" if bits == 32 else "<d")
    unpack, size = of.unpack, of.size
    return lambda cursor: unpack(cursor.take(size))[0]


def _read_char(cursor: Cursor) -> str:
    first = cursor.byte()
    cursor.at -= 1
    size = next((size for end, size in _LEADS if first < end), 1)
    return cursor.utf_8(size)


def _read_text(cursor: Cursor) -> str:
    size = cursor.count()
    pause(1, size)
    return cursor.utf_8(size)


def _read_bytes(cursor: Cursor) -> bytes:
    size = cursor.count()
    pause(1, size)
    return cursor.take(size)


def _members(types: Iterable[wit.Type]) -> list[Read]:
    """What reads each member of something that has numbers for them."""
    return [
        _at(number, reader(ty)) if wit.goes_on(ty) else reader(ty)
        for number, ty in enumerate(types)
    ]


def _at(number: int, read: Read) -> Read:
    def read_at(cursor: IndexedCursor) -> Any:
        path = cursor.path
        cursor.path = (*path, number)
        value = read(cursor)
        cursor.path = path
        return value

    return read_at


def _elements(ty: wit.Type) -> Callable[[Any, int, list[Any]], list[Any]]:
    """What reads as many elements of a type as it is told, to follow some that were read before."""
    read = reader(ty)

    def read_some(cursor: Cursor, count: int, items: list[Any]) -> list[Any]:
        end = len(items) + count
        while (left := end - len(items)) > 0:
            some = min(left, STRETCH)
            pause(some, some)
            items += [read(cursor) for _ in range(some)]
        return items

    def read_numbered(cursor: IndexedCursor, count: int, items: list[Any]) -> list[Any]:
        path = cursor.path
        for number in range(len(items), len(items) + count):
            pause(1, 1)
            cursor.path = (*path, number)
            items.append(read(cursor))
        cursor.path = path
        return items

    return read_numbered if wit.goes_on(ty) else read_some


def _stream(ty: wit.Stream) -> Read:
    element = ty.element
    whole = reader(wit.List(element))
    is_bytes = element == wit.Integer(8, signed=False)
    elements = _elements(element)

    def read_stream(cursor: IndexedCursor) -> Any:
        at = cursor.at
        if cursor.count():
            cursor.at = at
            return whole(cursor) if cursor.arrive is None else Whole(whole(cursor))
        if cursor.arrive is not None:
            return cursor.arrive(cursor.path, ty)
        later = cursor.later()
        if is_bytes:
            return b"".join(iter(lambda: whole(later), b""))
        items: list[Any] = []
        while count := later.count():
            pause(1)
            elements(later, count, items)
        return items

    return read_stream


def _future(ty: wit.Future) -> Read:
    read = reader(ty.payload)

    def read_future(cursor: IndexedCursor) -> Any:
        if cursor.arrive is not None:
            if _read_bool(cursor):
                return Whole([read(cursor)])
            return cursor.arrive(cursor.path, ty)
        return read(cursor if _read_bool(cursor) else cursor.later())

    return read_future


def _nothing(_cursor: Cursor) -> None:
    """Read the payload of a case that has none."""


def _cases(cases: Sequence[tuple[Callable[[Any], Any], wit.Type | None]]) -> Read:
    """Read the number of a case, and its payload: what to make of that, and its type, for each."""
    readers = [(make, _nothing if of is None else reader(of)) for make, of in cases]
    expected = f"one of {len(readers)} cases"

    def read_case(cursor: Cursor) -> Any:
        number = cursor.unsigned(32)
        if number >= len(readers):
            raise cursor.malformed(expected)
        make, read = readers[number]
        return make(read(cursor))

    return read_case


def _enum(names: tuple[str, ...]) -> Read:
    def read_enum(cursor: Cursor) -> str:
        number = cursor.unsigned(32)
        if number >= len(names):
            raise cursor.malformed(f"one of {len(names)} cases")
        return names[number]

    return read_enum


def _flags(names: tuple[str, ...]) -> Read:
    size = -(-len(names) // 8)

    def read_flags(cursor: Cursor) -> frozenset[str]:
        bits = int.from_bytes(cursor.take(size), "little")
        if bits >> len(names):
            raise cursor.malformed(f"no more than {len(names)} flags")
        return frozenset(name for number, name in enumerate(names) if bits >> number & 1)

    return read_flags
