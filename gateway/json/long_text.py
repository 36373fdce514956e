"""JSON texts of any size, read and written in pieces (`gateway.host.pieces`).

`json` does all of a text in one call, which holds the interpreter for as long as it takes: some 50 ms for a
megabyte of small values. Here it is given a stretch at a time. What is read is the same: a stretch that is cut
at a comma and closed with a bracket is a text only if the comma stood between two elements of that array, or two
members of that object. An array or object that ends within the stretch is read as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from gateway.host.errors import ResultTooLarge
from gateway.host.pieces import STRETCH, pause

__all__ = ["read", "write"]

_CHARACTERS: Final = 32 << 10
"""The longest stretch that is tried. Where that fails, shorter ones are, half as long each time: so a text that is
all nesting is not tried over and over, for a place is within one of each length at most."""

_LEAST: Final = 256
"""The shortest. That much may be tried at any place: it takes no longer than a few steps of Python."""

_HALVES: Final = (_CHARACTERS // _LEAST).bit_length()

_MOST_NODES: Final = 2048
"""Values that are written in one call."""

_NO_WHITESPACE: Final = re.compile(r"[^ \t\n\r]")
_CONTAINERS: Final = frozenset((list, tuple, dict))

Scan = Callable[[str, int], tuple[Any, int]]


def read(text: str, decoder: json.JSONDecoder, make_object: Callable[[list[Any]], Any]) -> Any:
    """The value of a text.

    Args:
        text: no deeper than the stack is.
        decoder: what reads its parts.
        make_object: what the decoder makes of the members of an object.

    Raises:
        json.JSONDecodeError: it is not JSON.
        ValueError: the decoder refuses a part of it.
    """
    reader = _Reader(text, decoder, make_object)
    value, at = reader.value(reader.skip(0))
    at = reader.skip(at)
    if at != len(text):
        raise json.JSONDecodeError("Extra data", text, at)
    return value


class _Reader:
    def __init__(
        self, text: str, decoder: json.JSONDecoder, make_object: Callable[[list[Any]], Any]
    ) -> None:
        self._text = text
        self._decode = decoder.decode
        self._scan: Scan = decoder.scan_once  # type: ignore[attr-defined]
        self._make_object = make_object
        # Up to where stretches of each length have failed, the longest first.
        self._failed = {_CHARACTERS >> halved: 0 for halved in range(_HALVES)}

    def skip(self, at: int) -> int:
        """Where whitespace ends."""
        while at < len(self._text):
            found = _NO_WHITESPACE.search(self._text, at, at + _CHARACTERS)
            if found is not None:
                return found.start()
            pause(STRETCH)
            at += _CHARACTERS
        return len(self._text)

    def value(self, at: int) -> tuple[Any, int]:
        """The value that begins there, and where it ends."""
        pause(1)
        first = self._text[at : at + 1]
        if first in {"[", "{"}:
            whole = self._whole(at)
            if whole is not None:
                return whole
            return (self._array if first == "[" else self._object)(self.skip(at + 1))
        try:
            return self._scan(self._text, at)
        except StopIteration as stop:
            raise json.JSONDecodeError("Expecting value", self._text, stop.value) from None

    def _stretch(self, at: int) -> int:
        """How much to try at a place."""
        return next((size for size, until in self._failed.items() if until <= at), _LEAST)

    def _whole(self, at: int) -> tuple[Any, int] | None:
        """The array or object that begins there, None if it does not end within the stretch, or is refused."""
        stretch = self._stretch(at)
        try:
            value, size = self._scan(self._text[at : at + stretch], 0)
        except (StopIteration, ValueError):
            # What is refused may be half of a number, and the whole of it right.
            pause(stretch >> 7)
            self._failed[stretch] = at + stretch
            return None
        pause(size >> 7)
        return value, at + size

    def _array(self, at: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        if self._text[at : at + 1] == "]":
            return items, at + 1
        while True:
            some, at = self._part("[", at, "]")
            if some is None:
                item, at = self.value(at)
                items.append(item)
            else:
                items += some
            at, ended = self._delimiter(at, "]")
            if ended:
                return items, at

    def _object(self, at: int) -> tuple[dict[str, Any], int]:
        members: dict[str, Any] = {}
        if self._text[at : at + 1] == "}":
            return members, at + 1
        while True:
            some, at = self._part("{", at, "}")
            if some is None:
                name, at = self._name(at)
                value, at = self.value(at)
                some = {name: value}
            if not members.keys().isdisjoint(some):
                self._make_object([*members.items(), *some.items()])  # which refuses it
            members.update(some)
            at, ended = self._delimiter(at, "}")
            if ended:
                return members, at

    def _name(self, at: int) -> tuple[str, int]:
        """The name of a member, and where its value begins."""
        text = self._text
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError(
                "Expecting property name enclosed in double quotes", text, at
            )
        name, at = self._scan(text, at)
        at = self.skip(at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
        return name, self.skip(at + 1)

    def _part(self, opening: str, at: int, closing: str) -> tuple[Any, int]:
        """The next elements or members, and where they end; None and the same place if they are not found."""
        stretch = self._stretch(at)
        cut = self._cut(at, stretch)
        if not cut:
            return None, at
        pause(stretch >> 7)
        try:
            some = self._decode(f"{opening}{self._text[at:cut]}{closing}")
        except json.JSONDecodeError:
            some = None
        if some:
            return some, cut
        self._failed[stretch] = at + stretch
        return None, at

    def _cut(self, at: int, stretch: int) -> int:
        """A comma that is likely to stand between two of them, as far away as possible; 0 if none is near."""
        text, end = self._text, at + stretch
        if text.find("[", at, end) < 0 and text.find("{", at, end) < 0:
            return max(text.rfind(",", at, end), 0)
        match text[at : at + 1]:
            case "{":
                return text.rfind("},", at, end) + 1
            case "[":
                return text.rfind("],", at, end) + 1
        return max(text.rfind("},", at, end), text.rfind("],", at, end)) + 1

    def _delimiter(self, at: int, closing: str) -> tuple[int, bool]:
        """Where the next element begins, or what is after all of them; and whether that is so."""
        at = self.skip(at)
        found = self._text[at : at + 1]
        if found == closing:
            return at + 1, True
        if found != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", self._text, at)
        return self.skip(at + 1), False


def write(value: Any, encoder: json.JSONEncoder, *, max_size: int | None = None) -> bytes:
    """The text of a value, in ASCII.

    Args:
        value: the value, in JSON's types.
        encoder: what writes its parts, in ASCII and without whitespace.
        max_size: how many bytes it may have.

    Raises:
        ResultTooLarge: it has more.
        ValueError: a float is not finite.
        TypeError: the value is not of JSON's types.
    """
    writer = _Writer(encoder, max_size)
    writer.value(value)
    return b"".join(writer.parts)


class _Writer:
    def __init__(self, encoder: json.JSONEncoder, max_size: int | None) -> None:
        self.parts: list[bytes] = []
        self._encode = encoder.encode
        self._max_size = max_size
        self._size = 0

    def value(self, value: Any) -> None:
        """Add a value."""
        pause(1)
        if isinstance(value, str):
            self._string(value)
        elif type(value) not in _CONTAINERS or _nodes(value, _MOST_NODES) > 0:
            self._add(self._encode(value))
        elif isinstance(value, dict):
            self._object(value)
        else:
            self._array(value)

    def _add(self, text: str) -> None:
        pause(1 + (len(text) >> 6))
        self._size += len(text)
        if self._max_size is not None and self._size > self._max_size:
            raise ResultTooLarge(self._max_size)
        self.parts.append(text.encode("ascii"))

    def _string(self, value: str) -> None:
        # Escapes are of one character each, whatever stands beside it.
        self._add('"')
        for first in range(0, len(value), _CHARACTERS):
            self._add(self._encode(value[first : first + _CHARACTERS])[1:-1])
        self._add('"')

    def _object(self, value: dict[str, Any]) -> None:
        before = "{"
        for name, member in value.items():
            self._add(before)
            self.value(name)
            self._add(":")
            self.value(member)
            before = ","
        self._add("}")

    def _array(self, value: list[Any]) -> None:
        before = "["
        for first in range(0, len(value), STRETCH):
            some = value[first : first + STRETCH]
            if _nodes(some, _MOST_NODES) > 0:
                self._add(before + self._encode(some)[1:-1])
                before = ","
                continue
            for item in some:
                self._add(before)
                self.value(item)
                before = ","
        self._add("]")


def _nodes(value: Any, most: int) -> int:
    """How many of so many values are left when all of those in a value are counted; none, if there are more.

    A long string counts for many.
    """
    if isinstance(value, str):
        return most - 1 - (len(value) >> 4)
    if type(value) not in _CONTAINERS:
        return most - 1
    most -= len(value) + 1
    for item in value.values() if isinstance(value, dict) else value:
        if most <= 0:
            break
        if isinstance(item, str) or type(item) in _CONTAINERS:
            most = _nodes(item, most)
    return most
