"""From the values of components to bytes (component model, Binary.md, "Value Definitions")."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

from gateway.host import wit
from gateway.host.elements import Elements
from gateway.host.pieces import STRETCH, pause
from gateway.host.values import Err, Ok, Variant
from gateway.wrpc.handles import OfPeer
from gateway.wrpc.index import Outgoing

__all__ = ["Write", "no_bytes", "unsigned", "write_text", "writer", "writer_of_all"]

Write = Callable[[Any, Any], None]
"""Appends a value of one type, as `gateway.host.values` lifts it, to a `bytearray`, an `Outgoing` where there are
streams or futures in the type."""


def writer(ty: wit.Type) -> Write:
    """Build the closure that writes values of a type.

    Raises:
        TypeError: its values are no bytes, as those of resources of the gateway's own are none.
    """
    match ty:
        case wit.Bool():
            return bytearray.append
        case wit.Integer(bits=8):
            return _write_byte
        case wit.Integer(signed=True):
            return _signed
        case wit.Integer():
            return unsigned
        case wit.Float(bits):
            return _float(bits)
        case wit.Char():
            return lambda out, value: out.extend(value.encode())
        case wit.String():
            return write_text
        case wit.Stream():
            return _stream(ty)
        case wit.Future():
            return _future(ty)
        case wit.Bytes() | wit.List(element=wit.Integer(bits=8, signed=False)):
            return _write_bytes
        case wit.List(element):
            return _list(element)
        case wit.Tuple(elements):
            return writer_of_all(elements)
        case wit.Record(fields):
            writers = _members(field for _, field in fields)
            return _fields(
                [(name, write) for (name, _), write in zip(fields, writers, strict=True)]
            )
        case wit.Variant(cases):
            return _variant(cases)
        case wit.Enum(names):
            numbers = {name: number for number, name in enumerate(names)}
            return lambda out, value: unsigned(out, numbers[value])
        case wit.Flags(names):
            return _flags(names)
        case wit.Option(payload):
            return _option(payload)
        case wit.Result(ok, err):
            return _result(ok, err)
        case OfPeer(_, handles):
            return lambda out, value: _write_bytes(out, handles.bytes_of(value))
        case wit.Own() | wit.Borrow() | wit.Unsupported():
            raise no_bytes(ty)


def writer_of_all(types: Iterable[wit.Type]) -> Write:
    """Build the closure that writes a sequence of values, one of each type: parameters, say.

    Raises:
        TypeError: as of `writer`.
    """
    writers = _members(types)

    def write_all(out: bytearray, values: Any) -> None:
        for write, value in zip(writers, values, strict=True):
            write(out, value)

    return write_all


def no_bytes(ty: wit.Type) -> TypeError:
    """What to raise for a type whose values are not carried."""
    return TypeError(f"values of type {ty} are not carried by wRPC here")


def unsigned(out: bytearray, value: int) -> None:
    """Append a number in LEB128."""
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def write_text(out: bytearray, value: str) -> None:
    """Append a string."""
    _write_bytes(out, value.encode())


def _write_byte(out: bytearray, value: int) -> None:
    out.append(value & 0xFF)


def _write_bytes(out: bytearray, value: bytes) -> None:
    pause(1, len(value))
    unsigned(out, len(value))
    out += value


def _signed(out: bytearray, value: int) -> None:
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)


def _float(bits: int) -> Write:
    pack = struct.Struct("<f" if bits == 32 else "<d").pack
    return lambda out, value: out.extend(pack(value))


def _members(types: Iterable[wit.Type]) -> list[Write]:
    """What writes each member of something that has numbers for them."""
    return [
        _at(number, writer(ty)) if wit.goes_on(ty) else writer(ty)
        for number, ty in enumerate(types)
    ]


def _at(number: int, write: Write) -> Write:
    def write_at(out: Outgoing, value: Any) -> None:
        path = out.path
        out.path = (*path, number)
        write(out, value)
        out.path = path

    return write_at


def _list(element: wit.Type) -> Write:
    write = writer(element)

    def write_list(out: bytearray, value: list[Any]) -> None:
        unsigned(out, len(value))
        for first in range(0, len(value), STRETCH):
            some = value[first : first + STRETCH]
            pause(len(some), len(some))
            for item in some:
                write(out, item)

    def write_numbered(out: Outgoing, value: list[Any]) -> None:
        unsigned(out, len(value))
        pause(len(value), len(value))
        path = out.path
        for number, item in enumerate(value):
            out.path = (*path, number)
            write(out, item)
        out.path = path

    return write_numbered if wit.goes_on(element) else write_list


def _stream(ty: wit.Stream) -> Write:
    write = writer(wit.List(ty.element))

    def write_stream(out: Outgoing, value: Any) -> None:
        out.append(0)
        if isinstance(value, Elements):
            out.pending.append((out.path, ty, value))
            return
        later = out.later()
        write(later, value)
        if value:
            later.append(0)

    return write_stream


def _future(ty: wit.Future) -> Write:
    write = writer(ty.payload)

    def write_future(out: Outgoing, value: Any) -> None:
        if isinstance(value, Elements):
            out.append(0)
            out.pending.append((out.path, ty, value))
            return
        out.append(1)
        write(out, value)

    return write_future


def _fields(writers: list[tuple[str, Write]]) -> Write:
    def write_fields(out: bytearray, value: dict[str, Any]) -> None:
        for name, write in writers:
            write(out, value[name])

    return write_fields


def _nothing(out: bytearray, value: Any) -> None:
    """Write the payload of a case that has none."""


def _payload(ty: wit.Type | None) -> Write:
    return _nothing if ty is None else writer(ty)


def _variant(cases: tuple[tuple[str, wit.Type | None], ...]) -> Write:
    writers = {name: (number, _payload(of)) for number, (name, of) in enumerate(cases)}

    def write_variant(out: bytearray, value: Variant) -> None:
        case, payload = value
        number, write = writers[case]
        unsigned(out, number)
        write(out, payload)

    return write_variant


def _flags(names: tuple[str, ...]) -> Write:
    size = -(-len(names) // 8)

    def write_flags(out: bytearray, value: frozenset[str]) -> None:
        bits = sum(1 << number for number, name in enumerate(names) if name in value)
        out += bits.to_bytes(size, "little")

    return write_flags


def _option(payload: wit.Type) -> Write:
    write, nested = writer(payload), isinstance(payload, wit.Option)

    def write_option(out: bytearray, value: Any) -> None:
        out.append(value is not None)
        if value is not None:
            write(out, value.value if nested else value)

    return write_option


def _result(ok: wit.Type | None, err: wit.Type | None) -> Write:
    write_ok, write_err = _payload(ok), _payload(err)

    def write_result(out: bytearray, value: Ok | Err) -> None:
        failed = type(value) is Err
        out.append(failed)
        (write_err if failed else write_ok)(out, value.value)

    return write_result
