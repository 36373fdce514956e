"""Inputs made of others: without knowing what they mean, and reproducibly."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

__all__ = ["Mutator"]

_TELLING: Final = (
    *(b"\x00", b"\x7f", b"\x80", b"\xff", b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x7f"),
    *(b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b"\t"),
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b";", b"=", b"-", b"0", b"-1", b"1e999"),
    *(
        b"9" * 30,
        b"\xc3\xa9",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x80\xae",
        b"%00",
        b"../",
    ),
)
"""Bytes that parsers treat specially: ends of lines, brackets, the edges of LEB128 numbers, broken UTF-8."""

_MOST_STEPS: Final = 6


class Mutator:
    """Makes inputs.

    Args:
        seed: the same seed makes the same inputs.
        inputs: what they are made of.
        max_size: the longest that is made, in bytes.
    """

    def __init__(self, seed: int, inputs: Sequence[bytes], max_size: int) -> None:
        self._random = Random(seed)  # noqa: S311 - a sequence that can be repeated
        self._inputs = list(inputs) or [b""]
        self._max_size = max_size

    def next(self) -> bytes:
        """One more input."""
        random = self._random
        data = bytearray(random.choice(self._inputs))
        for _ in range(random.randint(1, _MOST_STEPS)):
            random.choice(_STEPS)(self, data)
        return bytes(data[: self._max_size])

    def _range(self, data: bytearray) -> slice:
        start = self._random.randint(0, len(data))
        # Mostly short ones; now and then half of the input.
        most = self._random.choice((1, 4, 16, len(data) // 2 + 1))
        return slice(start, start + self._random.randint(0, most))

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)

    def _replace(self, data: bytearray) -> None:
        data[self._range(data)] = self._random.randbytes(self._random.randint(0, 8))

    def _insert(self, data: bytearray) -> None:
        at = self._random.randint(0, len(data))
        data[at:at] = self._random.choice(_TELLING)

    def _overwrite(self, data: bytearray) -> None:
        telling = self._random.choice(_TELLING)
        at = self._random.randint(0, len(data))
        data[at : at + len(telling)] = telling

    def _delete(self, data: bytearray) -> None:
        del data[self._range(data)]

    def _repeat(self, data: bytearray) -> None:
        part = self._range(data)
        piece = bytes(data[part])
        if piece:
            room = max(self._max_size - len(data), 0) // len(piece)
            times = min(self._random.choice((1, 2, 10, 1000, 100_000)), room)
            data[part.stop : part.stop] = piece * times

    def _splice(self, data: bytearray) -> None:
        other = bytearray(self._random.choice(self._inputs))
        data[self._range(data)] = other[self._range(other)]


_STEPS: Final = (
    *(Mutator._flip, Mutator._replace, Mutator._insert, Mutator._overwrite),
    *(Mutator._delete, Mutator._repeat, Mutator._splice),
)
