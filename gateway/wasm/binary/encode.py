"""Writing what `cursor` reads: integers, names, vectors and sections."""

from collections.abc import Iterable

__all__ = ["name", "s32", "s33_index", "section", "u32", "vector"]


def u32(value: int) -> bytes:
    """An unsigned 32-bit integer in LEB128, as short as can be."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def s32(value: int) -> bytes:
    """A signed 32-bit integer in LEB128, as short as can be."""
    out = bytearray()
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)


def s33_index(index: int) -> bytes:
    """A type index, where a type opcode could stand: a non-negative signed integer."""
    return s32(index)


def name(text: str) -> bytes:
    """A name: its length in bytes, and UTF-8."""
    encoded = text.encode()
    return u32(len(encoded)) + encoded


def vector(items: Iterable[bytes]) -> bytes:
    """A vector: how many items, and the items."""
    listed = list(items)
    return u32(len(listed)) + b"".join(listed)


def section(section_id: int, payload: bytes) -> bytes:
    """A section: its id, its length and its payload."""
    return bytes([section_id]) + u32(len(payload)) + payload
