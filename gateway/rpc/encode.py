"""From the values that components return to JSON (the table is in `gateway.rpc.json_values`)."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable
from math import isfinite, isnan
from typing import Any, Final

from gateway.host import wit
from gateway.host.pieces import STRETCH, pause
from gateway.host.values import Err, Ok, Variant

__all__ = ["MAX_SAFE_INTEGER", "Encode", "base64", "encoder", "no_json"]

Encode = Callable[[Any], Any]
"""Turns a value of one type into what `json.dumps` takes."""

MAX_SAFE_INTEGER: Final = (1 << 53) - 1
"""The largest integer that a reader who takes numbers for `f64`, as JavaScript does, can tell from its neighbours
(RFC 8259, section 6)."""


def encoder(ty: wit.Type) -> Encode:
    """Build the closure that encodes values of a type.

    Raises:
        TypeError: the type has no form in JSON, as resources have none.
    """
    match ty:
        case wit.Bool() | wit.Char() | wit.String() | wit.Enum():
            return _as_it_is
        case wit.Integer(bits):
            return _encode_wide_integer if bits == 64 else _as_it_is
        case wit.Float():
            return _encode_float
        case wit.Bytes() | wit.List(element=wit.Integer(bits=8, signed=False)):
            return base64
        case wit.List(element):
            return _encode_list(element)
        case wit.Tuple(elements):
            return _encode_tuple(elements)
        case wit.Record(fields):
            return _encode_record(fields)
        case wit.Variant(cases):
            return _encode_variant(cases)
        case wit.Flags(names):
            return lambda value: [name for name in names if name in value]
        case wit.Option(payload):
            return _encode_option(payload)
        case wit.Result(ok, err):
            return _encode_result(ok, err)
        case wit.Own() | wit.Borrow() | wit.Future() | wit.Unsupported():
            raise no_json(ty)


def no_json(ty: wit.Type) -> TypeError:
    """What to raise for a type that has no form in JSON."""
    return TypeError(f"values of type {ty} have no form in JSON")


def _as_it_is(value: Any) -> Any:
    return value


def _encode_wide_integer(value: int) -> int | str:
    return value if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER else str(value)


def _encode_float(value: float) -> float | str:
    if isfinite(value):
        return value
    if isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def base64(value: bytes) -> str:
    """The canonical base64 of bytes, padded (RFC 4648, section 4)."""
    return b2a_base64(value, newline=False).decode("ascii")


def _encode_list(element: wit.Type) -> Encode:
    encode = encoder(element)
    if encode is _as_it_is:
        return _as_it_is

    def encode_list(value: list[Any]) -> list[Any]:
        items: list[Any] = []
        for first in range(0, len(value), STRETCH):
            some = value[first : first + STRETCH]
            pause(len(some))
            items += [encode(item) for item in some]
        return items

    return encode_list


def _encode_tuple(elements: tuple[wit.Type, ...]) -> Encode:
    encoders = [encoder(element) for element in elements]
    return lambda value: [encode(item) for encode, item in zip(encoders, value, strict=True)]


def _encode_record(fields: tuple[tuple[str, wit.Type], ...]) -> Encode:
    encoders = [(name, encoder(field)) for name, field in fields]
    return lambda value: {name: encode(value[name]) for name, encode in encoders}


def _encode_payload(ty: wit.Type | None) -> Encode:
    return _as_it_is if ty is None else encoder(ty)


def _encode_variant(cases: tuple[tuple[str, wit.Type | None], ...]) -> Encode:
    encoders = {name: _encode_payload(payload) for name, payload in cases}

    def encode_variant(value: Variant) -> dict[str, Any]:
        case, payload = value
        return {case: encoders[case](payload)}

    return encode_variant


def _encode_option(payload: wit.Type) -> Encode:
    encode = encoder(payload)
    if isinstance(payload, wit.Option):
        return lambda value: None if value is None else {"some": encode(value.value)}
    return lambda value: None if value is None else encode(value)


def _encode_result(ok: wit.Type | None, err: wit.Type | None) -> Encode:
    encode_ok, encode_err = _encode_payload(ok), _encode_payload(err)

    def encode_result(value: Ok | Err) -> dict[str, Any]:
        if type(value) is Ok:
            return {"ok": encode_ok(value.value)}
        return {"err": encode_err(value.value)}

    return encode_result
