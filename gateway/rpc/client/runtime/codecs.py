"""How a generated client writes values in JSON, and reads them from it."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum, Flag
from typing import Any, Generic, NoReturn, TypeAlias, TypeVar, cast

from gateway.rpc.client.runtime.errors import InvalidResponse
from gateway.rpc.client.runtime.values import _E, _T, Err, Ok, Some

_Json: TypeAlias = Any
_EnumT = TypeVar("_EnumT", bound=Enum)
_FlagT = TypeVar("_FlagT", bound=Flag)


@dataclass(frozen=True, slots=True)
class _Codec(Generic[_T]):
    """How values of one type are written in JSON, and read from a place in it."""

    encode: Callable[[_T], Any]
    decode: Callable[[_Json, str], _T]


def _refuse(at: str, expected: str, value: Any) -> NoReturn:
    shown = repr(value)
    if len(shown) > 80:
        shown = f"{shown[:77]}..."
    raise InvalidResponse(f"at {at}: expected {expected}, got {shown}")


def _is(kind: type[_T], expected: str) -> _Codec[_T]:
    """What JSON has a type for."""

    def decode(value: _Json, at: str) -> _T:
        if type(value) is not kind:
            _refuse(at, expected, value)
        return value

    return _Codec(lambda value: value, decode)


_UNIT: _Codec[None] = _is(type(None), "null")
_BOOL = _is(bool, "true or false")
_STRING = _is(str, "a string")

# Beyond it a reader that takes numbers for `float` loses digits (RFC 8259, section 6).
_MAX_SAFE_INTEGER = 2**53 - 1


def _integer(minimum: int, maximum: int) -> _Codec[int]:
    """A number; where it would lose digits, they are a string."""

    def encode(value: int) -> int | str:
        return value if abs(value) <= _MAX_SAFE_INTEGER else str(value)

    def decode(value: _Json, at: str) -> int:
        number = value
        if type(value) is str and maximum > _MAX_SAFE_INTEGER:
            number = int(value) if re.fullmatch("-?[0-9]{1,20}", value) else None
        if type(number) is not int or not minimum <= number <= maximum:
            _refuse(at, f"an integer from {minimum} to {maximum}", value)
        return number

    return _Codec(encode, decode)


_U8 = _integer(0, 2**8 - 1)
_U16 = _integer(0, 2**16 - 1)
_U32 = _integer(0, 2**32 - 1)
_U64 = _integer(0, 2**64 - 1)
_S8 = _integer(-(2**7), 2**7 - 1)
_S16 = _integer(-(2**15), 2**15 - 1)
_S32 = _integer(-(2**31), 2**31 - 1)
_S64 = _integer(-(2**63), 2**63 - 1)

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _float(limit: float) -> _Codec[float]:
    """A number below the limit, or a string for what JSON has no number for."""

    def encode(value: float) -> float | str:
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return value

    def decode(value: _Json, at: str) -> float:
        if type(value) is str and value in _NOT_FINITE:
            return _NOT_FINITE[value]
        number = value
        if type(value) is int and value.bit_length() < 1024:
            number = float(value)
        if type(number) is not float or not abs(number) < limit:
            _refuse(at, "a number in range", value)
        return number

    return _Codec(encode, decode)


# The smallest number that rounds to infinity.
_F32 = _float(float.fromhex("0x1.ffffffp127"))
_F64 = _float(math.inf)


def _decode_char(value: _Json, at: str) -> str:
    if type(value) is not str or len(value) != 1:
        _refuse(at, "a string of one character", value)
    return value


_CHAR: _Codec[str] = _Codec(lambda value: value, _decode_char)


def _decode_bytes(value: _Json, at: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        _refuse(at, "a string in base64", value)


_BYTES = _Codec(lambda value: base64.b64encode(value).decode(), _decode_bytes)


def _list(element: _Codec[_T]) -> _Codec[list[_T]]:
    """An array."""

    def encode(value: list[_T]) -> list[Any]:
        return [element.encode(item) for item in value]

    def decode(value: _Json, at: str) -> list[_T]:
        if type(value) is not list:
            _refuse(at, "an array", value)
        return [element.decode(item, f"{at}/{i}") for i, item in enumerate(value)]

    return _Codec(encode, decode)


def _tuple(*elements: _Codec[Any]) -> _Codec[Any]:
    """An array of exactly as many."""

    def encode(value: tuple[Any, ...]) -> list[Any]:
        pairs = zip(elements, value, strict=True)
        return [element.encode(item) for element, item in pairs]

    def decode(value: _Json, at: str) -> tuple[Any, ...]:
        if type(value) is not list or len(value) != len(elements):
            _refuse(at, f"an array of {len(elements)}", value)
        pairs = enumerate(zip(elements, value, strict=True))
        return tuple(element.decode(item, f"{at}/{i}") for i, (element, item) in pairs)

    return _Codec(encode, decode)


def _record(kind: type[_T], members: Mapping[str, _Codec[Any]]) -> _Codec[_T]:
    """An object with exactly these keys, for the fields of a dataclass in order."""
    names = [field.name for field in fields(cast("Any", kind))]

    def encode(value: _T) -> dict[str, Any]:
        pairs = zip(names, members.items(), strict=True)
        return {key: codec.encode(getattr(value, name)) for name, (key, codec) in pairs}

    def decode(value: _Json, at: str) -> _T:
        if type(value) is not dict or value.keys() != members.keys():
            _refuse(at, f"an object with {', '.join(members) or 'no keys'}", value)
        items = members.items()
        return kind(*(codec.decode(value[key], f"{at}/{key}") for key, codec in items))

    return _Codec(encode, decode)


def _variant(cases: Mapping[str, tuple[type[Any], _Codec[Any] | None]]) -> _Codec[Any]:
    """An object of one key, the name of the case; null if it has no payload."""
    case_of = {kind: key for key, (kind, _) in cases.items()}

    def encode(value: Any) -> dict[str, Any]:
        key = case_of[type(value)]
        payload = cases[key][1]
        return {key: None if payload is None else payload.encode(value.value)}

    def decode(value: _Json, at: str) -> Any:
        keys = list(value) if type(value) is dict else []
        if len(keys) != 1 or keys[0] not in cases:
            _refuse(at, f"an object with one of {', '.join(cases)}", value)
        key, item = keys[0], value[keys[0]]
        kind, payload = cases[key]
        if payload is not None:
            return kind(payload.decode(item, f"{at}/{key}"))
        if item is not None:
            _refuse(f"{at}/{key}", "null", item)
        return kind()

    return _Codec(encode, decode)


def _enum(kind: type[_EnumT]) -> _Codec[_EnumT]:
    """A string."""

    def encode(value: _EnumT) -> Any:
        return value.value

    def decode(value: _Json, at: str) -> _EnumT:
        try:
            return kind(value)
        except ValueError:
            _refuse(at, f"one of {', '.join(member.value for member in kind)}", value)

    return _Codec(encode, decode)


def _flags(kind: type[_FlagT], members: Mapping[str, _FlagT]) -> _Codec[_FlagT]:
    """An array of names."""
    expected = f"one of {', '.join(members)}, each at most once"

    def encode(value: _FlagT) -> list[str]:
        return [name for name, member in members.items() if member in value]

    def decode(value: _Json, at: str) -> _FlagT:
        flags = kind(0)
        for index, name in enumerate(_STRINGS.decode(value, at)):
            if name not in members or members[name] in flags:
                _refuse(f"{at}/{index}", expected, name)
            flags |= members[name]
        return flags

    return _Codec(encode, decode)


_STRINGS = _list(_STRING)


def _option(payload: _Codec[_T]) -> _Codec[_T | None]:
    """Null, or the value."""

    def encode(value: _T | None) -> Any:
        return None if value is None else payload.encode(value)

    def decode(value: _Json, at: str) -> _T | None:
        return None if value is None else payload.decode(value, at)

    return _Codec(encode, decode)


def _nested_option(payload: _Codec[_T]) -> _Codec[Some[_T] | None]:
    """Null, or an object that tells a value that may be null from no value."""

    def encode(value: Some[_T] | None) -> Any:
        return None if value is None else {"some": payload.encode(value.value)}

    def decode(value: _Json, at: str) -> Some[_T] | None:
        if value is None:
            return None
        if type(value) is not dict or value.keys() != {"some"}:
            _refuse(at, "null or an object with some", value)
        return Some(payload.decode(value["some"], f"{at}/some"))

    return _Codec(encode, decode)


def _result(ok: _Codec[_T], err: _Codec[_E]) -> _Codec[Ok[_T] | Err[_E]]:
    """An object with the one or the other."""

    def encode(value: Ok[_T] | Err[_E]) -> dict[str, Any]:
        match value:
            case Ok():
                return {"ok": ok.encode(value.value)}
            case Err():
                return {"err": err.encode(value.value)}

    def decode(value: _Json, at: str) -> Ok[_T] | Err[_E]:
        if type(value) is dict and value.keys() == {"ok"}:
            return Ok(ok.decode(value["ok"], f"{at}/ok"))
        if type(value) is dict and value.keys() == {"err"}:
            return Err(err.decode(value["err"], f"{at}/err"))
        _refuse(at, "an object with ok or err", value)

    return _Codec(encode, decode)
