"""`incoming-value`: an object, or a range of one, that a guest reads."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.bindings.blobstore.grant import Opened
from gateway.bindings.io import (
    Closed,
    Failing,
    InputStream,
    LastOperationFailed,
    Waiters,
    Wakers,
)
from gateway.capabilities.backend import BackendError
from gateway.capabilities.blobstore import Reader
from gateway.capabilities.operations import Operation
from gateway.host.table import Resource

__all__ = ["IncomingValue", "Range", "ValueInputStream"]

MAX_SYNC: Final = 2 << 20
"""Bytes that `incoming-value-consume-sync` returns at most. Threat: a guest that asks for a gigabyte at once,
which is in memory several times on its way. As much as an argument may have."""

_NOTHING: Final = memoryview(b"")


class Range:
    """A range of an object, of which one block after the other is read.

    Args:
        opened: the object's place.
        what: the operation that has opened it.
        reader: reads it.
        start: where the range begins.
        end: where it ends; the byte there is no part of it.
    """

    __slots__ = ("_end", "_offset", "_opened", "_reader", "_what")

    def __init__(
        self, opened: Opened, what: Operation, reader: Reader, start: int, end: int
    ) -> None:
        self._opened = opened
        self._what = what
        self._reader = reader
        self._offset = start
        self._end = max(start, end)

    @property
    def left(self) -> int:
        """How many bytes have not been read."""
        return self._end - self._offset

    async def next(self) -> bytes:
        """The next block; empty at the end.

        Raises:
            BackendError: the store cannot be used.
        """
        reader = self._reader
        size = min(reader.block, self.left)
        if not size:
            return b""
        data = await self._opened.go_on(self._what, reader.read, self._offset, size)
        self._offset += len(data)
        return data

    def close(self) -> None:
        """Let go of the object."""
        self._reader.close()
        self._opened.release()


class IncomingValue(Resource):
    """`incoming-value`.

    Args:
        content: what it has.

    Attributes:
        size: its bytes.
    """

    __slots__ = ("_content", "size")

    def __init__(self, content: Range) -> None:
        self._content = content
        self.size = content.left

    async def whole(self) -> bytes:
        """All of it; it is closed then.

        Raises:
            BackendError: the store cannot be used, or it is too much.
        """
        try:
            if self.size > MAX_SYNC:
                raise BackendError(
                    f"the value has {self.size} bytes, of which at most {MAX_SYNC} are returned at once: use "
                    "incoming-value-consume-async"
                )
            blocks = []
            while block := await self._content.next():
                blocks.append(block)
            return b"".join(blocks)
        finally:
            self._content.close()

    def stream(self) -> ValueInputStream:
        """A stream of it, which has it from now on."""
        return ValueInputStream(self._content)

    def drop(self) -> None:
        """Let go of the object."""
        self._content.close()


class ValueInputStream(Failing, InputStream):
    """The stream of `incoming-value-consume-async`. It has one block for the guest, and reads the next meanwhile.

    Args:
        content: what it reads.
    """

    __slots__ = ("_block", "_content", "_end", "_next", "_reading", "_waiters")

    def __init__(self, content: Range) -> None:
        super().__init__()
        self._content = content
        self._block = _NOTHING
        self._next = b""
        self._end = None
        self._reading: asyncio.Task[None] | None = None
        self._waiters = Waiters()

    def read(self, size: int) -> bytes:
        """What is there, up to `size` bytes."""
        self._go_on()
        if not self._block:
            if self._reading is None:
                self._raise_end()
            return b""
        data = bytes(self._block[:size])
        self._block = self._block[size:]
        return data

    def ready(self) -> bool:
        """Whether there is something to read, the end included."""
        self._go_on()
        return bool(self._block) or self._reading is None

    def _woken_by(self) -> Wakers:
        return (self._waiters,)

    def drop(self) -> None:
        """Stop reading, and let go of the object."""
        if self._reading is not None:
            self._reading.cancel()
        self._block = _NOTHING
        self._next = b""
        self._content.close()

    def _go_on(self) -> None:
        """Have a block at hand, and another under way."""
        if not self._block and self._next:
            self._block, self._next = memoryview(self._next), b""
        if self._reading is None and not self._next and self._end is None:
            if not self._content.left:
                self._end = Closed()
                return
            self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            self._next = await self._content.next()
        except BackendError as error:
            self._end = LastOperationFailed(error.message)
        finally:
            self._reading = None
            self._waiters.wake()
