"""A bounded reader of the values that WebAssembly binaries are made of.

Grammar: WebAssembly Core Specification, 5.2 "Values" (bytes, integers in LEB128, names, vectors).
"""

from typing import Final

__all__ = ["Cursor", "MalformedBinary"]

# ceil(32 / 7): what the core specification allows for a u32 (5.2.2). A longer encoding is malformed
# even where its value fits.
_U32_BYTES: Final = 5
# ceil(33 / 7), for the s33 that writes a type index where a type opcode could stand.
_S33_BYTES: Final = 5


class MalformedBinary(ValueError):
    """The bytes are not what the binary format says they should be.

    Attributes:
        offset: where, in bytes from the start of the file.
        reason: what is wrong, as a clause ("the section ends at ...").
    """

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"malformed WebAssembly binary at byte {offset}: {reason}")
        self.offset = offset
        self.reason = reason


class Cursor:
    """A position in `data` that never leaves `[at, end)`.

    Every method raises `MalformedBinary` where the bytes run out or are not of the form asked for.
    """

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end
        if not 0 <= at <= self.end <= len(data):
            raise MalformedBinary(at, f"the range {at}..{self.end} is outside the file")

    @property
    def done(self) -> bool:
        """Whether every byte has been read."""
        return self.at >= self.end

    def malformed(self, reason: str) -> MalformedBinary:
        """The error to raise for what was found at the present position."""
        return MalformedBinary(self.at, reason)

    def byte(self) -> int:
        """One byte."""
        if self.at >= self.end:
            raise self.malformed("the data ends too early")
        value = self.data[self.at]
        self.at += 1
        return value

    def peek(self) -> int:
        """The next byte, which stays unread."""
        value = self.byte()
        self.at -= 1
        return value

    def u32(self) -> int:
        """An unsigned 32-bit integer in LEB128."""
        return self._unsigned(32, _U32_BYTES)

    def u64(self) -> int:
        """An unsigned 64-bit integer in LEB128."""
        return self._unsigned(64, 10)

    def _unsigned(self, bits: int, longest: int) -> int:
        start = self.at
        value = 0
        for shift in range(0, 7 * longest, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >> bits:
                    raise MalformedBinary(start, f"an integer of more than {bits} bits")
                return value
        raise MalformedBinary(start, f"an integer of more than {longest} bytes")

    def s33_index(self) -> int:
        """A type index, written as a non-negative signed 33-bit integer in LEB128."""
        start = self.at
        value = 0
        for shift in range(0, 7 * _S33_BYTES, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte & 0x40 or value >> 32:
                    raise MalformedBinary(start, "not a type index")
                return value
        raise MalformedBinary(start, "a type index of more than five bytes")

    def count(self) -> int:
        """The length of a vector.

        No item is shorter than a byte, so a length that is more than what is left is a lie. Told
        here, it costs nothing; believed, it would be a loop of four thousand million turns.
        """
        start = self.at
        value = self.u32()
        if value > self.end - self.at:
            raise MalformedBinary(start, f"a vector of {value} items, with {self._left()} left")
        return value

    def skip(self, length: int) -> int:
        """Passes over `length` bytes; returns where they began."""
        if length > self.end - self.at:
            raise self.malformed(f"{length} bytes announced, {self._left()} left")
        start = self.at
        self.at += length
        return start

    def name(self) -> str:
        """A name: a vector of bytes that is UTF-8."""
        length = self.count()
        start = self.skip(length)
        try:
            return self.data[start : self.at].decode()
        except UnicodeDecodeError as error:
            raise MalformedBinary(start, "a name that is not UTF-8") from error

    def finish(self) -> None:
        """Checks that nothing is left over."""
        if not self.done:
            raise self.malformed(f"{self._left()} more than the definitions need")

    def _left(self) -> str:
        left = self.end - self.at
        return f"{left} byte{'' if left == 1 else 's'}"
