"""Sections of a binary written again, with parts of them replaced."""

from collections.abc import Iterable
from typing import NamedTuple

from gateway.wasm.binary import encode
from gateway.wasm.binary.sections import ComponentSection, Section

__all__ = ["Edit", "edited"]


class Edit(NamedTuple):
    """What is to stand in place of a range of the file."""

    start: int
    end: int
    encoded: bytes


def edited(data: bytes, sections: Iterable[Section], edits: Iterable[Edit]) -> bytes:
    """Sections of a file, one after another.

    Args:
        data: the file.
        sections: the sections, in the order of the file.
        edits: each within one of the sections, or outside of them all, where it is left out. They do not overlap.
    """
    view = memoryview(data)
    left = sorted(edits, reverse=True)
    out = bytearray()
    for section in sections:
        name = encode.name(section.name) if section.id == ComponentSection.CUSTOM else b""
        payload = bytearray(name)
        at = section.start
        while left and left[-1].start < section.end:
            edit = left.pop()
            if edit.start >= at:
                payload += view[at : edit.start]
                payload += edit.encoded
                at = edit.end
        payload += view[at : section.end]
        out += bytes([section.id]) + encode.u32(len(payload))
        out += payload
    return bytes(out)
