"""From JSON to the values that components take (the table is in `gateway.rpc.json_values`)."""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Callable, Iterable
from functools import partial
from math import inf
from typing import Any, Final

from gateway.host import wit
from gateway.host.pieces import STRETCH, pause
from gateway.host.values import F32_LIMIT, Err, Ok, Some, Variant
from gateway.rpc.encode import MAX_SAFE_INTEGER, base64, no_json
from gateway.rpc.invalid_value import InvalidValue, keys_of, names_of

__all__ = ["Decode", "Parameters", "decoder", "parameters"]

Decode = Callable[[Any], Any]
"""Turns parsed JSON into a value of one type; raises `InvalidValue`."""

Parameters = Callable[[list[Any] | dict[str, Any] | None], list[Any]]
"""Turns the `params` of a request, `None` if it has none, into the arguments of one function, in the order of its
declaration; raises `InvalidValue` with a pointer from `params` on."""

_DECIMAL: Final = {signed: re.compile("-?" * signed + "[0-9]{1,20}") for signed in (False, True)}
"""Of an unsigned integer and of a signed one; as many digits as 2^64 has. Threat: the time to read a decimal grows
with the square of its length."""

_NOT_FINITE: Final = {"NaN": float("nan"), "Infinity": inf, "-Infinity": -inf}


def decoder(ty: wit.Type) -> Decode:
    """Build the closure that decodes values of a type.

    Raises:
        TypeError: the type has no form in JSON, as resources have none.
    """
    match ty:
        case wit.Bool():
            return _decode_bool
        case wit.Integer():
            return _integer(ty)
        case wit.Float():
            return _float(ty)
        case wit.Char():
            return _decode_char
        case wit.String():
            return _decode_string
        case wit.Bytes() | wit.List(element=wit.Integer(bits=8, signed=False)):
            return _decode_bytes
        case wit.List(element):
            return _list(element)
        case wit.Tuple(elements):
            return _items(elements, f"an array of exactly {len(elements)}")
        case wit.Record(fields):
            return _fields(fields)
        case wit.Variant(cases):
            return _cases((name, partial(Variant, name), payload) for name, payload in cases)
        case wit.Enum(names):
            return _enum(names)
        case wit.Flags(names):
            return _flags(names)
        case wit.Option(payload):
            return _option(payload)
        case wit.Result(ok, err):
            return _cases([("ok", Ok, ok), ("err", Err, err)])
        case wit.Own() | wit.Borrow() | wit.Future() | wit.Unsupported():
            raise no_json(ty)


def parameters(function: wit.Function) -> Parameters:
    """Build the closure that decodes the parameters of a function: an array of all, or an object of all by name.

    Raises:
        TypeError: a parameter is of a type that has no form in JSON.
    """
    names = [name for name, _ in function.params]
    match len(names):
        case 0:
            expected = "no parameters"
        case 1:
            expected = f"exactly one parameter, {names_of(names)}"
        case count:
            expected = f"exactly {count} parameters, {names_of(names)}"
    positional = _items([ty for _, ty in function.params], expected)
    named = _fields(function.params)

    def decode_parameters(params: list[Any] | dict[str, Any] | None) -> list[Any]:
        if type(params) is dict:
            return list(named(params).values())
        return list(positional([] if params is None else params))

    return decode_parameters


def _decode_bool(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise InvalidValue("bool, true or false")


def _decode_null(value: Any) -> None:
    if value is not None:
        raise InvalidValue("null, for there is no payload")


def _integer(ty: wit.Integer) -> Decode:
    minimum, maximum = ty.minimum, ty.maximum
    expected = f"{ty}, an integer from {minimum} to {maximum}"
    if ty.bits == 64:
        expected += " as a number or as a string of decimal digits"
    is_decimal = _DECIMAL[ty.signed].fullmatch if ty.bits == 64 else None

    def decode_integer(value: Any) -> int:
        if type(value) is int:
            number = value
        elif type(value) is float and value.is_integer() and abs(value) <= MAX_SAFE_INTEGER:
            # A larger one may have been another number before it was rounded to a float.
            number = int(value)
        elif is_decimal is not None and type(value) is str and is_decimal(value):
            number = int(value)
        else:
            raise InvalidValue(expected)
        if minimum <= number <= maximum:
            return number
        raise InvalidValue(expected)

    return decode_integer


def _float(ty: wit.Float) -> Decode:
    limit = inf if ty.bits == 64 else F32_LIMIT
    expected = f"{ty}, a number in its range or one of {names_of(_NOT_FINITE)}"

    def decode_float(value: Any) -> float:
        if type(value) is float or type(value) is int:
            try:
                number = float(value)
            except OverflowError:
                raise InvalidValue(expected) from None
            if -limit < number < limit:
                return number
        elif type(value) is str and value in _NOT_FINITE:
            return _NOT_FINITE[value]
        raise InvalidValue(expected)

    return decode_float


def _decode_char(value: Any) -> str:
    if type(value) is not str or len(value) != 1 or "\ud800" <= value <= "\udfff":
        raise InvalidValue("char, a string of one Unicode scalar value")
    return value


def _decode_string(value: Any) -> str:
    if type(value) is not str:
        raise InvalidValue("string")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # JSON has escapes for them: "\ud800"
            raise InvalidValue("string without surrogates that are not in pairs") from None
    return value


_decode_u8: Final = _integer(wit.Integer(8, signed=False))


def _decode_bytes(value: Any) -> bytes:
    if type(value) is str:
        try:
            data = a2b_base64(value)
        except ValueError:
            data = None
        # Strict: no characters of other alphabets, no padding where none belongs, no bits set after the last byte
        # (RFC 4648, sections 3.2 to 3.5). Each of these is lost on the way back.
        if data is not None and base64(data) == value:
            return data
    elif type(value) is list:
        return bytes(_decode_each(_decode_u8, value))
    raise InvalidValue(
        "list<u8>, a string in base64 (RFC 4648, section 4, with padding)"
        " or an array of integers from 0 to 255"
    )


def _decode_each(decode: Decode, value: list[Any]) -> list[Any]:
    items: list[Any] = []
    try:
        for first in range(0, len(value), STRETCH):
            some = value[first : first + STRETCH]
            pause(len(some))
            items.extend(map(decode, some))
    except InvalidValue as error:
        error.enter(len(items))
        raise
    return items


def _list(element: wit.Type) -> Decode:
    decode = decoder(element)

    def decode_list(value: Any) -> list[Any]:
        if type(value) is not list:
            raise InvalidValue("an array")
        return _decode_each(decode, value)

    return decode_list


def _items(types: Iterable[wit.Type], expected: str) -> Decode:
    decoders = [decoder(ty) for ty in types]

    def decode_items(value: Any) -> tuple[Any, ...]:
        if type(value) is not list or len(value) != len(decoders):
            raise InvalidValue(expected)
        items: list[Any] = []
        try:
            for decode, item in zip(decoders, value, strict=True):
                items.append(decode(item))
        except InvalidValue as error:
            error.enter(len(items))
            raise
        return tuple(items)

    return decode_items


def _fields(fields: Iterable[tuple[str, wit.Type]]) -> Decode:
    decoders = {name: decoder(ty) for name, ty in fields}
    names = decoders.keys()

    def decode_fields(value: Any) -> dict[str, Any]:
        if type(value) is not dict or value.keys() != names:
            raise InvalidValue(keys_of(names, value))
        decoded = {}
        for name, decode in decoders.items():
            try:
                decoded[name] = decode(value[name])
            except InvalidValue as error:
                error.enter(name)
                raise
        return decoded

    return decode_fields


def _cases(cases: Iterable[tuple[str, Callable[[Any], Any], wit.Type | None]]) -> Decode:
    """Objects of one key: name, what to make of the payload, and its type, for each key that is possible."""
    decoders = {
        name: (make, _decode_null if payload is None else decoder(payload))
        for name, make, payload in cases
    }
    one_of = "" if len(decoders) == 1 else "one of "
    expected = f"an object with exactly one key, {one_of}{names_of(decoders)}"

    def decode_case(value: Any) -> Any:
        if type(value) is not dict or len(value) != 1:
            raise InvalidValue(expected)
        ((name, payload),) = value.items()
        if name not in decoders:
            raise InvalidValue(expected)
        make, decode = decoders[name]
        try:
            return make(decode(payload))
        except InvalidValue as error:
            error.enter(name)
            raise

    return decode_case


def _option(payload: wit.Type) -> Decode:
    # An option of an option: `null` alone would not tell which of the two is absent.
    nested = isinstance(payload, wit.Option)
    decode = _cases([("some", Some, payload)]) if nested else decoder(payload)

    def decode_option(value: Any) -> Any:
        if value is None:
            return None
        try:
            return decode(value)
        except InvalidValue as error:
            error.allow_null()
            raise

    return decode_option


def _enum(names: tuple[str, ...]) -> Decode:
    known = frozenset(names)
    expected = f"one of {names_of(names)}"

    def decode_enum(value: Any) -> str:
        if type(value) is str and value in known:
            return value
        raise InvalidValue(expected)

    return decode_enum


def _flags(names: tuple[str, ...]) -> Decode:
    decode = _enum(names)
    expected = f"an array of some of {names_of(names)}"

    def decode_flags(value: Any) -> frozenset[str]:
        if type(value) is not list:
            raise InvalidValue(expected)
        items = _decode_each(decode, value)
        flags = frozenset(items)
        if len(flags) != len(items):
            again = next(index for index, name in enumerate(items) if name in items[:index])
            raise InvalidValue("every flag at most once", again)
        return flags

    return decode_flags
