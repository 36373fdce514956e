"""JSON as text: read strictly, written compactly.

Strict is RFC 8259 without what it leaves to implementations (sections 4, 6, 8.1 and 9): one encoding, one value
for each name, bounded depth, and numbers that an exact integer or a double can hold. What two readers may
understand in two ways is refused rather than guessed, because a caller cannot see the guess.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from itertools import accumulate
from math import isinf
from typing import Any, Final

from gateway.host.pieces import pause
from gateway.json import long_text as long_json

__all__ = ["LONG", "MAX_DEPTH", "InvalidJson", "dump", "dump_long", "parse"]

MAX_DEPTH: Final = 256
"""Objects and arrays that may stand in one another.

Readers of JSON recurse, so that depth is paid for with stack (CWE-674); CPython's gives up at about 1000. The
engine refuses WIT types of more than 100 levels, a level is at most one object or array, and batch, request and
params are three more: no value of a method is that deep."""

LONG: Final = 16 << 10
"""Bytes of a text that is long: to be read in pieces. Reading less takes a millisecond or two."""

_BRACKETS: Final = b"[]{}"
_SIGNS: Final = bytes.maketrans(_BRACKETS, b"\x01\xff\x01\xff")
"""What a bracket adds to the depth, as a signed byte."""
_NEITHER_BRACKET_NOR_QUOTE: Final = bytes(set(range(256)) - set(_BRACKETS + b'"'))

_QUOTED: Final = 40
"""Characters of a caller's text that a message repeats. Arbitrary: enough to find it again."""


class InvalidJson(ValueError):
    """The text is not JSON, or not strict. The message is meant for the one who sent it."""


def parse(data: bytes) -> Any:
    """The value of a JSON text.

    Integers are exact. Numbers with a fraction or an exponent are doubles (RFC 8259 section 6). Strings may have
    surrogates without their other half, which only escapes can write (section 8.2).

    Args:
        data: the whole text, in UTF-8 without a byte order mark.

    Raises:
        InvalidJson: it is not JSON; not UTF-8; deeper than `MAX_DEPTH`; a name occurs twice in one object; or a
            number is beyond the range of a double or has more digits than Python reads
            (`sys.get_int_max_str_digits`).
    """
    if data.startswith(BOM_UTF8):
        raise InvalidJson("the text begins with a byte order mark: send it without")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidJson(f"byte {error.start}: the text is not UTF-8") from error
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _is_too_deep(data):
        raise InvalidJson(f"objects and arrays are nested in more than {MAX_DEPTH} levels")
    try:
        if len(text) > LONG:
            return long_json.read(text, _DECODER, _object)
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at").removesuffix(" starting")
        what = what[:1].lower() + what[1:]
        raise InvalidJson(f"line {error.lineno}, column {error.colno}: {what}") from error
    except InvalidJson:
        raise
    except ValueError as error:
        # The only one left: CPython bounds the digits of an integer, for its conversion takes quadratic time.
        raise InvalidJson("a number has too many digits") from error


def dump(value: Any) -> bytes:
    """The JSON text of a value, without white space.

    It is ASCII: a string with half a surrogate pair, which a caller may have sent as its id, has an escape but no
    UTF-8.

    Raises:
        ValueError: a float is not finite.
        TypeError: the value is not of JSON's types.
    """
    return _ENCODER.encode(value).encode("ascii")


def dump_long(value: Any, *, max_size: int | None = None) -> bytes:
    """The same for a value of any size, in pieces (`gateway.host.pieces`).

    Raises:
        gateway.host.errors.ResultTooLarge: it has more than `max_size` bytes.
    """
    return long_json.write(value, _ENCODER, max_size=max_size)


def _is_too_deep(data: bytes) -> bool:
    # Up to the first error in the text, where reading ends, these are its strings: what is between
    # quotes once the escaped backslashes and then the escaped quotes are gone.
    unescaped = data.replace(rb"\\", b"").replace(rb"\"", b"")
    signs = unescaped.translate(_SIGNS, _NEITHER_BRACKET_NOR_QUOTE)
    depth, quotes = 0, 0
    for first in range(0, len(signs), LONG):
        pause(LONG >> 3)
        pieces = signs[first : first + LONG].split(b'"')
        outside_of_strings = b"".join(pieces[quotes % 2 :: 2])
        quotes += len(pieces) - 1
        changes = memoryview(outside_of_strings).cast("b")
        if max(accumulate(changes, initial=depth)) > MAX_DEPTH:
            return True
        depth += sum(changes)
    return False


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        seen: set[str] = set()
        for name, _ in members:
            if name in seen:
                raise InvalidJson(f"the name {_quote(name)} occurs twice in one object")
            seen.add(name)
    return found


def _real(literal: str) -> float:
    value = float(literal)
    if isinf(value):
        raise InvalidJson(f"the number {_shorten(literal)} is beyond the range of a double")
    return value


def _constant(literal: str) -> float:
    raise InvalidJson(f'{literal} is not JSON: write it as a string, "{literal}"')


def _quote(text: str) -> str:
    return json.dumps(_shorten(text))


def _shorten(text: str) -> str:
    return text if len(text) <= _QUOTED else text[:_QUOTED] + "..."


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_real, parse_constant=_constant
)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))
