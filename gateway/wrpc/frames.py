"""The stream of one invocation: a version, a header, and frames.

Parameters and results that are no streams and no futures go by the root, the path without an index. What comes by
any other is refused.

Source: SPEC.md, "Framed stream specification"
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, Protocol

from gateway.wrpc.cursor import Cursor, Malformed, TooLarge
from gateway.wrpc.encode import unsigned, write_text

__all__ = [
    "BROKEN",
    "MAX_FRAMES_SIZE",
    "MAX_NAME",
    "Header",
    "Incoming",
    "Source",
    "frame",
    "invocation",
]

VERSION: Final = 0

MAX_NAME: Final = 1024
"""Bytes of an interface's name, and of a function's. Threat: a peer that announces four gigabytes of name.
Arbitrary: names have some 50."""

MAX_FRAMES: Final = 4096
"""Frames of one stream. Threat: a frame for each byte, which takes the longer to read the smaller they are.
Arbitrary: peers send a value in one, or a few where it is large."""


AT_ONCE: Final = 64
"""Frames that are read before others have their turn, where they are all there; each takes some 30 us."""


class Header(NamedTuple):
    """What is invoked.

    Attributes:
        instance: the full name of the interface; empty for a function at the root of a component.
        name: the function.
    """

    instance: str
    name: str


MAX_FRAMES_SIZE: Final = 11 * MAX_FRAMES
"""Bytes that so many frames may have besides what they carry: a path, and a length."""


BROKEN: Final = b"\0"
"""A frame that breaks off after its path."""


def invocation(header: Header, params: bytearray) -> bytes:
    """The stream of an invocation."""
    out = bytearray((VERSION,))
    write_text(out, header.instance)
    write_text(out, header.name)
    return bytes(out + frame(params))


def frame(data: bytearray) -> bytearray:
    """A frame of the root."""
    out = bytearray((0,))
    unsigned(out, len(data))
    return out + data


class Source(Protocol):
    """Where bytes of a peer come from, as from an `asyncio.StreamReader`."""

    async def read(self, n: int, /) -> bytes:
        """Some of the next bytes, at most so many; none at the end."""

    async def readexactly(self, n: int, /) -> bytes:
        """So many of them. Raises `asyncio.IncompleteReadError` where they end before."""


class Incoming:
    """The stream of a peer, read piece by piece: never more of it in memory than it may have.

    Args:
        source: where it comes from.
        max_size: bytes that its frames may carry.
        max_pause: seconds in which nothing of a frame comes; None for as long as it takes.

    Attributes:
        ended: whether the peer is known to have ended its side.
    """

    def __init__(self, source: Source, max_size: int, max_pause: float | None = None) -> None:
        self._source = source
        self._max_size = max_size
        self._max_pause = max_pause
        self._received = bytearray()
        self._frames = 0
        self.ended = False

    async def header(self) -> Header:
        """The header.

        Raises:
            Malformed: it is none.
        """
        version = (await self._take(1))[0]
        if version != VERSION:
            raise Malformed(f"version {version}, and {VERSION} is the only one")
        return Header(await self._name(), await self._name())

    async def root(self, *, frames: int = MAX_FRAMES) -> bytes:
        """All that has come by the root when the peer has ended its side, or has sent so many frames.

        Raises:
            Malformed: what comes are no frames, or there is more than there may be.
            TimeoutError: nothing comes.
        """
        received = self._received
        while self._frames < frames:
            async with asyncio.timeout(self._max_pause):
                first = await self._source.read(1)
            if not first:
                self.ended = True
                return bytes(received)
            self._frames += 1
            if not self._frames % AT_ONCE:
                await asyncio.sleep(0)
            if first != b"\0":
                raise Malformed("a frame has a path, and nothing here is a stream or a future")
            async with asyncio.timeout(self._max_pause):
                size = await self._unsigned(64)
            if size > self._max_size - len(received):
                raise TooLarge(f"more than {self._max_size} bytes")
            while size:
                async with asyncio.timeout(self._max_pause):
                    piece = await self._source.read(size)
                if not piece:
                    raise Malformed("the stream ends too early")
                received += piece
                size -= len(piece)
        if frames == MAX_FRAMES:
            raise Malformed(f"more than {MAX_FRAMES} frames")
        return bytes(received)

    async def _name(self) -> str:
        size = await self._unsigned(32)
        if size > MAX_NAME:
            raise Malformed(f"a name of more than {MAX_NAME} bytes")
        return Cursor(await self._take(size)).utf_8(size)

    async def _unsigned(self, bits: int) -> int:
        number = bytearray()
        while len(number) * 7 < bits:
            number += await self._take(1)
            if number[-1] < 0x80:
                break
        return Cursor(bytes(number)).unsigned(bits)

    async def _take(self, size: int) -> bytes:
        try:
            return await self._source.readexactly(size)
        except asyncio.IncompleteReadError:
            raise Malformed("the stream ends too early") from None
