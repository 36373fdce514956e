"""What a token vouches for: a component or core module without the sections that hold tokens.

The digest of it is in the token, so it must come out the same everywhere. It is over the bytes of the file
written anew: without sections that are named `jwt` or `wasmcloud_jwt`, at any depth; and with every section's
length in as few bytes as can be, those of nested components and modules after the same was done inside them.
All other bytes stay as they are, and count: those of other custom sections too.

Source: wasmCloud's wascap crate, `wasm.rs`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from gateway.wasm.binary import MAX_NESTING, Cursor, MalformedBinary, encode
from gateway.wasm.binary.sections import (
    COMPONENT_PREAMBLE,
    MODULE_PREAMBLE,
    PREAMBLE_SIZE,
    ComponentSection,
)
from gateway.wasm.claims.errors import UnreadableBinary

__all__ = ["LEGACY_TOKEN_SECTION", "MAX_SECTIONS", "TOKEN_SECTION", "Content"]

TOKEN_SECTION: Final = "wasmcloud_jwt"  # noqa: S105  (the name of a section)
LEGACY_TOKEN_SECTION: Final = "jwt"  # noqa: S105

MAX_SECTIONS: Final = 100_000
"""How many sections a file may have, nested ones included. Threat: half a gigabyte of empty sections is two
hundred million of them, minutes of reading. Arbitrary; large components have some thousands."""

_TOKEN_SECTIONS: Final = frozenset({TOKEN_SECTION, LEGACY_TOKEN_SECTION})
_NESTING: Final = frozenset({ComponentSection.CORE_MODULE, ComponentSection.COMPONENT})

_Piece = bytes | memoryview


class Content:
    """A component or core module without its tokens."""

    def __init__(self, binary: bytes) -> None:
        """Take the tokens out.

        Args:
            binary: a component or core module in binary form.

        Raises:
            UnreadableBinary: its sections cannot be told apart.
        """
        try:
            self._pieces = _Stripper(binary).strip(0, len(binary), depth=0).pieces
        except MalformedBinary as error:
            raise UnreadableBinary(
                f"no component or core module that claims could be read from: {error}. Build or copy it again."
            ) from error

    @cached_property
    def digest(self) -> str:
        """Its SHA-256, in upper-case hexadecimal."""
        digest = hashlib.sha256()
        for piece in self._pieces:
            digest.update(piece)
        return digest.hexdigest().upper()

    def __bytes__(self) -> bytes:
        return b"".join(self._pieces)


@dataclass(frozen=True, slots=True)
class _Stripped:
    """The pieces that are left of a component or core module, and the sum of their sizes in bytes."""

    pieces: list[_Piece]
    size: int


class _Stripper:
    """Takes token sections out. What is nested is looked at once and not copied, whatever its depth."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._view = memoryview(data)
        self._left = MAX_SECTIONS

    def strip(self, start: int, end: int, *, depth: int) -> _Stripped:
        if depth > MAX_NESTING:
            raise MalformedBinary(start, f"nested more than {MAX_NESTING} levels deep")
        component = self._data.startswith(COMPONENT_PREAMBLE, start, end)
        if not component and not self._data.startswith(MODULE_PREAMBLE, start, end):
            raise MalformedBinary(start, "neither a component nor a core module starts here")
        pieces: list[_Piece] = [self._view[start : start + PREAMBLE_SIZE]]
        size = PREAMBLE_SIZE
        for section_id, payload, payload_end in self._kept(start + PREAMBLE_SIZE, end):
            if component and section_id in _NESTING:
                inner = self.strip(payload, payload_end, depth=depth + 1)
            else:
                inner = _Stripped([self._view[payload:payload_end]], payload_end - payload)
            head = bytes([section_id]) + encode.u32(inner.size)
            pieces.append(head)
            pieces += inner.pieces
            size += len(head) + inner.size
        return _Stripped(pieces, size)

    def _kept(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """The id of each section that stays, and where its payload starts and ends.

        Unlike what `gateway.wasm.binary.sections` gives, the payload of a custom section has its name in it.
        """
        cursor = Cursor(self._data, start, end)
        while not cursor.done:
            self._left -= 1
            if self._left < 0:
                raise cursor.malformed(f"more than {MAX_SECTIONS} sections")
            section_id = cursor.byte()
            length = cursor.u32()
            payload = cursor.skip(length)
            if section_id == ComponentSection.CUSTOM:
                name = Cursor(self._data, payload, cursor.at).name()
                if name in _TOKEN_SECTIONS:
                    continue
            yield section_id, payload, cursor.at
