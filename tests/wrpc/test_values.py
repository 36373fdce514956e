"""Values as bytes: the rows of the component model's table one by one, and any value of any type both ways."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.host import wit
from gateway.host.pieces import Postponed, at_once
from gateway.host.values import Err, Ok, Some, Variant
from gateway.wrpc.cursor import Cursor, Malformed
from gateway.wrpc.decode import reader, reader_of_all
from gateway.wrpc.encode import writer, writer_of_all
from tests.wit_strategies import INTEGERS, TYPES, exact, types_with_values

U8, S8, U16, S16, U32, S32, U64, S64 = (
    wit.Integer(bits, signed=signed) for bits in (8, 16, 32, 64) for signed in (False, True)
)
SHAPE = wit.Variant((("point", None), ("circle", U8), ("label", wit.String())))
NINE = wit.Flags(tuple("abcdefghi"))

BOTH_WAYS: list[tuple[wit.Type, Any, bytes]] = [
    (wit.Bool(), False, b"\0"),
    (wit.Bool(), True, b"\1"),
    (U8, 255, b"\xff"),
    (S8, -1, b"\xff"),
    (S8, 127, b"\x7f"),
    (U16, 127, b"\x7f"),
    (U16, 128, b"\x80\x01"),
    (U32, 624485, b"\xe5\x8e\x26"),
    (U32, 2**32 - 1, b"\xff\xff\xff\xff\x0f"),
    (U64, 2**64 - 1, b"\xff" * 9 + b"\x01"),
    (S16, 63, b"\x3f"),
    (S16, 64, b"\xc0\x00"),
    (S32, -123456, b"\xc0\xbb\x78"),
    (S64, -1, b"\x7f"),
    (S64, -(2**63), b"\x80" * 9 + b"\x7f"),
    (wit.Float(32), 1.5, b"\0\0\xc0\x3f"),
    (wit.Float(64), -0.0, b"\0" * 7 + b"\x80"),
    *((wit.Char(), char, char.encode()) for char in ("a", "\0", "ß", "\ue000", "\U0010ffff")),
    (wit.String(), "", b"\0"),
    (wit.String(), "größer", b"\x08gr\xc3\xb6\xc3\x9fer"),
    (wit.Bytes(), b"\0\1", b"\x02\0\1"),
    (wit.List(U8), b"\0\1", b"\x02\0\1"),
    (wit.List(U16), [1, 128], b"\x02\x01\x80\x01"),
    (wit.Tuple((U8, wit.Bool())), (7, True), b"\x07\1"),
    (wit.Record((("y", U8), ("x", wit.String()))), {"y": 7, "x": "a"}, b"\x07\x01a"),
    (SHAPE, Variant("point", None), b"\0"),
    (SHAPE, Variant("circle", 7), b"\x01\x07"),
    (wit.Enum(("red", "green")), "green", b"\1"),
    (NINE, frozenset(), b"\0\0"),
    (NINE, frozenset("ai"), b"\x01\x01"),
    (wit.Option(U8), None, b"\0"),
    (wit.Option(U8), 7, b"\x01\x07"),
    (wit.Option(wit.Option(U8)), Some(None), b"\x01\0"),
    (wit.Result(U8, wit.String()), Ok(7), b"\0\x07"),
    (wit.Result(U8, wit.String()), Err("no"), b"\x01\x02no"),
    (wit.Result(None, None), Err(), b"\x01"),
]

MALFORMED: list[tuple[wit.Type, bytes]] = [
    *((ty, b"") for ty in (wit.Bool(), U8, U64, wit.Float(32), wit.Char(), wit.String(), NINE)),
    (wit.Bool(), b"\2"),
    (U16, b"\x80\x80\x04"),
    (U16, b"\x80\x80\x80\0"),
    (U32, b"\xff\xff\xff\xff\x10"),
    (U64, b"\xff" * 9 + b"\x02"),
    (U64, b"\x80" * 10 + b"\0"),
    (S16, b"\x80\x80\x02"),
    (S64, b"\x80" * 10 + b"\0"),
    (wit.Float(64), b"\0" * 7),
    (wit.Char(), b"\xff"),
    (wit.Char(), b"\x80"),
    (wit.Char(), b"\xc0\x80"),
    (wit.Char(), "\ud800".encode(errors="surrogatepass")),
    (wit.Char(), "ß".encode()[:1]),
    (wit.String(), b"\x02a"),
    (wit.String(), b"\x01\xff"),
    (wit.String(), b"\xff\xff\xff\xff\x0f"),
    (wit.Bytes(), b"\xff\xff\xff\xff\x0f"),
    (wit.List(wit.Bool()), b"\xff\xff\xff\xff\x0f"),
    (wit.List(wit.Bool()), b"\x02\x01"),
    (wit.Enum(("red", "green")), b"\2"),
    (SHAPE, b"\3"),
    (SHAPE, b"\1"),
    (NINE, b"\0\2"),
    (wit.Option(U8), b"\2"),
    (wit.Result(None, None), b"\2"),
    (U8, b"\0\0"),
]


def encoded(ty: wit.Type, value: Any) -> bytes:
    out = bytearray()
    writer(ty)(out, value)
    return bytes(out)


def decoded(ty: wit.Type, data: bytes) -> Any:
    cursor = Cursor(data)
    value = reader(ty)(cursor)
    cursor.end()
    return value


def named(value: object) -> str:
    """The same in every process that collects the tests, as the order of a set's strings is not."""
    return str(sorted(value) if isinstance(value, frozenset) else value)


@pytest.mark.parametrize(("ty", "value", "data"), BOTH_WAYS, ids=named)
def test_a_value_is_these_bytes(ty: wit.Type, value: Any, data: bytes) -> None:
    assert encoded(ty, value) == data
    assert exact(decoded(ty, data)) == exact(value)


@pytest.mark.parametrize(("ty", "data"), MALFORMED, ids=str)
def test_what_is_no_value_is_refused(ty: wit.Type, data: bytes) -> None:
    with pytest.raises(Malformed):
        decoded(ty, data)


def test_numbers_may_be_longer_than_they_need() -> None:
    assert decoded(U32, b"\x81\x80\x00") == 1
    assert decoded(S32, b"\xff\x7f") == -1


def test_a_number_that_is_none_stays_so() -> None:
    for bits in (32, 64):
        assert math.isnan(decoded(wit.Float(bits), encoded(wit.Float(bits), math.nan)))
    assert encoded(wit.Float(32), math.nan) == struct.pack("<f", math.nan)


@given(types_with_values())
def test_any_value_comes_back_as_it_went(case: tuple[wit.Type, list[tuple[Any]]]) -> None:
    ty, values = case
    for (value,) in values:
        assert exact(decoded(ty, encoded(ty, value))) == exact(value)
    out = bytearray()
    writer_of_all([ty] * len(values))(out, [value for (value,) in values])
    cursor = Cursor(bytes(out))
    assert exact(list(reader_of_all([ty] * len(values))(cursor))) == exact([v for (v,) in values])
    cursor.end()


@given(TYPES, st.binary(max_size=64))
def test_any_bytes_are_a_value_or_refused(ty: wit.Type, data: bytes) -> None:
    try:
        value = decoded(ty, data)
    except Malformed:
        return
    assert exact(decoded(ty, encoded(ty, value))) == exact(value)


@pytest.mark.parametrize("ty", INTEGERS, ids=str)
def test_integers_have_their_range(ty: wit.Integer) -> None:
    for value in (ty.minimum, ty.maximum):
        assert decoded(ty, encoded(ty, value)) == value
    if ty.bits == 8:
        return
    for value in (ty.minimum - 1,) * ty.signed + (ty.maximum + 1,):
        with pytest.raises(Malformed):
            decoded(ty, encoded(wit.Integer(128, signed=ty.signed), value))


@pytest.mark.parametrize(
    "ty", [wit.Own(wit.Resource("r", imported=True)), wit.Unsupported("stream")]
)
def test_resources_and_streams_are_not_carried(ty: wit.Type) -> None:
    for make in (reader, writer):
        with pytest.raises(TypeError, match="not carried"):
            make(wit.List(ty))


def test_long_lists_are_made_and_read_in_pieces() -> None:
    ty, value = wit.List(U16), [7] * 10_000
    with pytest.raises(Postponed):
        at_once(lambda: encoded(ty, value))
    with pytest.raises(Postponed):
        at_once(lambda: decoded(ty, encoded(ty, value)))
