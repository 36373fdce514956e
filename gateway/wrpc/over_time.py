"""One invocation whose streams and futures go on while it does, both ways, over one stream of frames.

What is sent goes out as it comes, and waits for the peer to take it. What comes is kept until it is wanted, up to
a bound. Then nothing more is read of the peer, so a stream that nobody takes holds up the others of its call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from gateway.host import wit
from gateway.host.elements import Broken, Elements
from gateway.wrpc.cursor import Malformed, TooLarge
from gateway.wrpc.decode import reader
from gateway.wrpc.encode import unsigned, writer
from gateway.wrpc.extent import MAX_INDEXED, Pieces, RootExtent
from gateway.wrpc.frames import Incoming, frame
from gateway.wrpc.index import IndexedCursor, Outgoing, Path

__all__ = ["Arrivals", "Pending", "send"]

Pending = tuple[Path, wit.Stream | wit.Future, Elements]
"""What goes by a path of its own: the path, its type, and where it comes from."""

_U8: Final = wit.Integer(8, signed=False)


async def send(pending: Sequence[Pending], write: Callable[[bytes], Awaitable[None]]) -> None:
    """Send what goes by paths of its own, all at once, as it comes.

    Args:
        pending: that.
        write: sends a frame, and waits until there is room for another.

    Raises:
        Broken: some of it has no end.
        OSError: the peer is gone.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for each in pending:
                group.create_task(_send(each, write, group))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    finally:
        for _, _, elements in pending:
            elements.close()


async def _send(
    pending: Pending, write: Callable[[bytes], Awaitable[None]], group: asyncio.TaskGroup
) -> None:
    path, ty, elements = pending
    stream = isinstance(ty, wit.Stream)
    part = ty.element if isinstance(ty, wit.Stream) else ty.payload
    write_part, is_bytes = writer(part), part == _U8
    sent = 0
    try:
        while some := await elements.read():
            out = Outgoing(path)
            if stream:
                unsigned(out, len(some))
            if is_bytes and stream:
                out += bytes(some)
            else:
                for number, each in enumerate(some, sent):
                    if stream:
                        out.path = (*path, number)
                    write_part(out, each)
            sent += len(some)
            await write(bytes(frame(out, path)))
            for more in out.pending:
                group.create_task(_send(more, write, group))
            if not stream:
                return
        if not stream:
            raise Broken("a future has no value")
        await write(bytes(frame(bytearray(b"\0"), path)))
    finally:
        elements.close()


class Arrivals:
    """What comes of the values of one side of an invocation.

    Args:
        types: theirs.
        stream: the peer's stream.
        max_size: bytes that may be there before anybody wants them.
    """

    def __init__(self, types: Sequence[wit.Type], stream: Incoming, max_size: int) -> None:
        self._root = RootExtent(types)
        self._stream = stream
        self._max_size = max_size
        self._arriving: dict[Path, Arriving] = {}
        self._early: dict[Path, bytearray] = {}
        self._changed = asyncio.Event()
        self._unwanted = asyncio.Event()
        self._failure: Broken | None = None

    async def root(self) -> IndexedCursor:
        """Wait for the values but for their streams and futures, and give what they are read of.

        Raises:
            Malformed: it is something else.
            TimeoutError: nothing comes.
        """
        while not self._root.is_whole:
            if not await self._next():
                raise Malformed("the stream ends before all of its values")
        return IndexedCursor(self._root.data(), {}, (), self._arrive)

    async def go_on(self) -> None:
        """Take what comes until all of it has come, or nobody wants any of it."""
        taking = asyncio.create_task(self._take())
        unwanted = asyncio.create_task(self._unwanted.wait())
        try:
            await asyncio.wait({taking, unwanted}, return_when=asyncio.FIRST_COMPLETED)
            if taking.done():
                taking.result()
        except (Malformed, OSError) as error:
            self.fail(Broken(str(error) or type(error).__name__))
        finally:
            taking.cancel()
            unwanted.cancel()

    async def _take(self) -> None:
        while self._is_wanted:
            if self._stream.size >= self._max_size:
                self._changed.clear()
                await self._changed.wait()
            elif not await self._next():
                raise Malformed("the stream ends before all of its values")

    @property
    def _is_wanted(self) -> bool:
        return any(not each.over for each in self._arriving.values())

    @property
    def is_empty(self) -> bool:
        """Whether the peer has ended its side and sent nothing."""
        return self._stream.ended and not self._stream.size

    def fail(self, why: Broken) -> None:
        """Nothing more comes."""
        self._failure = why
        for each in self._arriving.values():
            each.fail(why)

    async def _next(self) -> bool:
        head = await self._stream.next_frame()
        if head is None:
            return False
        path, left = head
        while left:
            piece = await self._stream.piece(left)
            left -= len(piece)
            await self._came(path, piece)
        return True

    async def _came(self, path: Path, data: bytes) -> None:
        if not path:
            self._bounded()
            self._root.came(data)
        elif (arriving := self._arriving.get(path)) is not None:
            self._stream.size -= await arriving.came(data)
            if len(arriving.data) > self._max_size:
                raise TooLarge(f"an element of more than {self._max_size} bytes")
        elif len(self._early) + len(self._arriving) > MAX_INDEXED:
            raise TooLarge(f"more than {MAX_INDEXED} streams and futures")
        else:
            self._bounded()
            self._early.setdefault(path, bytearray()).extend(data)

    def _bounded(self) -> None:
        if self._stream.size > self._max_size:
            raise TooLarge(f"more than {self._max_size} bytes")

    def _arrive(self, path: Path, ty: wit.Stream | wit.Future) -> Elements:
        if path in self._arriving:  # what it is in was read again
            return self._arriving[path]
        if len(self._arriving) >= MAX_INDEXED:
            raise TooLarge(f"more than {MAX_INDEXED} streams and futures")
        arriving = self._arriving[path] = Arriving(path, ty, self._arrive, self._took)
        if (early := self._early.pop(path, None)) is not None:
            self._stream.size -= arriving.came_at_once(bytes(early))
        if self._failure is not None:
            arriving.fail(self._failure)
        return arriving

    def _took(self, size: int) -> None:
        self._stream.size -= size
        self._changed.set()
        if not self._is_wanted:
            self._unwanted.set()


class Arriving(Elements):
    """A stream or a future of a peer.

    Attributes:
        over: whether nothing more comes of it, or is wanted.
    """

    def __init__(
        self,
        path: Path,
        ty: wit.Stream | wit.Future,
        arrive: Callable[[Path, wit.Stream | wit.Future], Elements],
        took: Callable[[int], None],
    ) -> None:
        self.over = False
        part = ty.payload if isinstance(ty, wit.Future) else ty.element
        self._pieces = Pieces(path, ty)
        self._read = reader(part)
        self._is_bytes = part == _U8 and isinstance(ty, wit.Stream)
        self._is_stream = isinstance(ty, wit.Stream)
        self._path = path
        self._arrive = arrive
        self._took = took
        self._kept = 0
        self._came = asyncio.Event()
        self._failure: Broken | None = None
        self._closed = self._ended = False

    @property
    def data(self) -> bytearray:
        """What has come that is no whole element yet."""
        return self._pieces.data

    async def came(self, data: bytes) -> int:
        """More has come; gives how many bytes of it nobody keeps."""
        self._add(data)
        for breathes in self._pieces.steps:
            if not breathes:
                break
            await asyncio.sleep(0)
        else:
            self._end()
        return self._dropped(data)

    def came_at_once(self, data: bytes) -> int:
        """The same of what has come already."""
        self._add(data)
        if all(self._pieces.steps):
            self._end()
        return self._dropped(data)

    def _add(self, data: bytes) -> None:
        if self._ended:
            if data.strip(b"\0"):  # peers in Go end streams twice
                raise Malformed(f"bytes follow after the end of {list(self._path)}")
        else:
            self.data.extend(data)

    def _end(self) -> None:
        self.over = self._ended = True
        self.data.clear()

    def _dropped(self, data: bytes) -> int:
        if self._closed:
            self._pieces.clear()
        self._came.set()
        before = self._kept
        self._kept = len(self.data) + self._pieces.whole_size
        return len(data) - (self._kept - before)

    def fail(self, why: Broken) -> None:
        """Nothing more comes of it."""
        if not self.over:
            self._failure = why
            self._came.set()

    async def read(self) -> Sequence[Any]:
        """`Elements.read`."""
        while not self._pieces.whole:
            if self.over or self._closed:
                return ()
            if self._failure is not None:
                raise self._failure
            self._came.clear()
            await self._came.wait()
        data, first, count = self._pieces.take()
        self._kept -= len(data)
        self._took(len(data))
        if self._is_bytes:
            return data
        cursor = IndexedCursor(data, {}, self._path, self._arrive)
        some = []
        try:
            for number in range(first, first + count):
                cursor.path = (*self._path, number) if self._is_stream else self._path
                some.append(self._read(cursor))
        except Malformed as malformed:
            raise Broken(str(malformed)) from None
        return some

    def close(self) -> None:
        """`Elements.close`."""
        if not self._closed:
            self._closed = self.over = True
            self._pieces.clear()
            kept, self._kept = self._kept - len(self.data), len(self.data)
            self._took(kept)
