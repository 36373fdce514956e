"""Bytes of a peer, read from their beginning."""

from __future__ import annotations

from typing import Final

__all__ = ["Cursor", "Malformed", "TooLarge"]

U32: Final = (1 << 32) - 1


class Malformed(ValueError):
    """Bytes of a peer are not what they should be; the message says what was expected, and where."""


class TooLarge(Malformed):
    """There are more of them than there may be."""


class Cursor:
    """Where reading is in bytes that are all there.

    Args:
        data: the bytes.

    Attributes:
        at: how many were read.
    """

    __slots__ = ("_data", "at")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def from_start(self) -> Cursor:
        """Another one, in the same bytes, of which nothing is read."""
        return Cursor(self._data)

    @property
    def left(self) -> int:
        """How many there are still."""
        return len(self._data) - self.at

    def malformed(self, expected: str) -> Malformed:
        """What to raise where something else stands."""
        return Malformed(f"expected {expected} before byte {self.at}")

    def byte(self) -> int:
        """The next byte."""
        data, at = self._data, self.at
        if at == len(data):
            raise self.malformed("one more byte")
        self.at = at + 1
        return data[at]

    def take(self, size: int) -> bytes:
        """So many of the next bytes."""
        at = self.at
        if size > len(self._data) - at:
            raise self.malformed(f"{size} more bytes")
        self.at = at + size
        return self._data[at : self.at]

    def unsigned(self, bits: int) -> int:
        """A number of so many bits, in LEB128 (WebAssembly core specification, 5.2.2) of no more bytes."""
        value = self.byte()
        if value < 0x80:
            return value
        value &= 0x7F
        for shift in range(7, bits, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >> bits:
                    break
                return value
        raise self.malformed(f"a number of {bits} bits in LEB128")

    def signed(self, bits: int) -> int:
        """A number with its sign, likewise."""
        value = 0
        for shift in range(0, bits, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte & 0x40:
                    value -= 1 << (shift + 7)
                if -(1 << (bits - 1)) <= value < 1 << (bits - 1):
                    return value
                break
        raise self.malformed(f"a signed number of {bits} bits in LEB128")

    def count(self) -> int:
        """How many bytes or elements follow, each of which is a byte at least."""
        count = self.unsigned(32)
        if count > len(self._data) - self.at:
            raise self.malformed(f"no more elements than the {self.left} bytes that follow")
        return count

    def text(self) -> str:
        """A string."""
        return self.utf_8(self.count())

    def utf_8(self, size: int) -> str:
        """So many bytes of UTF-8."""
        try:
            return self.take(size).decode()
        except UnicodeDecodeError:
            raise self.malformed(f"{size} bytes of UTF-8") from None

    def end(self) -> None:
        """See to it that all was read.

        Raises:
            Malformed: there is more.
        """
        if self.left:
            raise Malformed(f"{self.left} bytes follow after all that was expected")
