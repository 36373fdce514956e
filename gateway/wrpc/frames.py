"""The stream of one invocation: a version, a header, and frames.

Parameters and results that are no streams and no futures go by the root, the path without an index. What comes by
any other path is refused where there are none among them.

Source: SPEC.md, "Framed stream specification"
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, Protocol

from gateway.wrpc.cursor import Cursor, Malformed, TooLarge
from gateway.wrpc.encode import unsigned, write_text
from gateway.wrpc.extent import Extent
from gateway.wrpc.index import Path

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

MAX_INDEXED_FRAMES: Final = 65536
"""The same where there are streams or futures among the values. Arbitrary: peers in Go send two for an element."""

MAX_DEPTH: Final = 32
"""Numbers of a path. Threat: a peer that announces four thousand millions. That of the peers in Rust; functions
have types some five deep."""

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


MAX_FRAMES_SIZE: Final = 16 * MAX_INDEXED_FRAMES
"""Bytes that so many frames may have besides what they carry: a path, and a length."""


BROKEN: Final = b"\0"
"""A frame that breaks off after its path."""


def invocation(header: Header, params: bytearray) -> bytes:
    """The stream of an invocation.

    Args:
        header: what is invoked.
        params: the frames of its parameters.
    """
    out = bytearray((VERSION,))
    write_text(out, header.instance)
    write_text(out, header.name)
    return bytes(out + params)


def frame(data: bytearray, path: Path = ()) -> bytearray:
    """A frame."""
    out = bytearray()
    unsigned(out, len(path))
    for number in path:
        unsigned(out, number)
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
        size: bytes that its frames have carried so far.
    """

    def __init__(self, source: Source, max_size: int, max_pause: float | None = None) -> None:
        self._source = source
        self._max_size = max_size
        self._max_pause = max_pause
        self._received = bytearray()
        self._frames = 0
        self.ended = False
        self.size = 0

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
            head = await self._head()
            if head is None:
                return bytes(received)
            path, size = head
            if path:
                raise Malformed("a frame has a path, and nothing here is a stream or a future")
            await self._data(received, size)
        if frames == MAX_FRAMES:
            raise Malformed(f"more than {MAX_FRAMES} frames")
        return bytes(received)

    async def indexed(self, extent: Extent) -> None:
        """Read until the values are whole.

        Raises:
            Malformed: the peer has ended its side before, what comes are no frames, or there is more than there
                may be.
            TimeoutError: nothing comes.
        """
        while not extent.is_whole:
            if self._frames == MAX_INDEXED_FRAMES:
                raise Malformed(f"more than {MAX_INDEXED_FRAMES} frames")
            head = await self._head()
            if head is None:
                raise Malformed("the stream ends before all of its values")
            path, size = head
            await self._data(extent.part(path), size)
            await extent.go_on(path)

    async def piece(self, size: int) -> bytes:
        """Some of the next bytes that a frame carries, at most so many.

        Raises:
            Malformed: the stream ends before.
            TimeoutError: nothing comes.
        """
        async with asyncio.timeout(self._max_pause):
            piece = await self._source.read(min(size, 65536))
        if not piece:
            raise Malformed("the stream ends too early")
        self.size += len(piece)
        return piece

    async def _head(self) -> tuple[Path, int] | None:
        """The next frame: its path, and how many bytes it carries. None if the peer has ended its side."""
        head = await self.next_frame()
        if head is not None and head[1] > self._max_size - self.size:
            raise TooLarge(f"more than {self._max_size} bytes")
        return head

    async def next_frame(self) -> tuple[Path, int] | None:
        """The path of the next frame, and how many bytes it carries. None if the peer has ended its side.

        Raises:
            Malformed: it is none.
            TimeoutError: nothing comes.
        """
        async with asyncio.timeout(self._max_pause):
            first = await self._source.read(1)
        if not first:
            self.ended = True
            return None
        self._frames += 1
        if not self._frames % AT_ONCE:
            await asyncio.sleep(0)
        async with asyncio.timeout(self._max_pause):
            depth = await self._unsigned(32, first)
            if depth > MAX_DEPTH:
                raise Malformed(f"a path of more than {MAX_DEPTH} numbers")
            path = tuple([await self._unsigned(32) for _ in range(depth)])
            return path, await self._unsigned(64)

    async def _data(self, received: bytearray, size: int) -> None:
        """Add what the next frame carries."""
        self.size += size
        while size:
            async with asyncio.timeout(self._max_pause):
                piece = await self._source.read(size)
            if not piece:
                raise Malformed("the stream ends too early")
            received += piece
            size -= len(piece)

    async def _name(self) -> str:
        size = await self._unsigned(32)
        if size > MAX_NAME:
            raise Malformed(f"a name of more than {MAX_NAME} bytes")
        return Cursor(await self._take(size)).utf_8(size)

    async def _unsigned(self, bits: int, begun: bytes = b"") -> int:
        number = bytearray(begun)
        while len(number) * 7 < bits and not (number and number[-1] < 0x80):
            number += await self._take(1)
        return Cursor(bytes(number)).unsigned(bits)

    async def _take(self, size: int) -> bytes:
        try:
            return await self._source.readexactly(size)
        except asyncio.IncompleteReadError:
            raise Malformed("the stream ends too early") from None
