"""`outgoing-value`: an object that a guest writes, and what stores it meanwhile."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from gateway.bindings.blobstore.grant import BlobstoreCtx, GrantedSpace, Opened
from gateway.bindings.io import (
    Closed,
    Failing,
    LastOperationFailed,
    OutputStream,
    Waiters,
    Wakers,
)
from gateway.capabilities.backend import BackendError
from gateway.capabilities.blobstore import Writer
from gateway.capabilities.operations import Operation
from gateway.host.table import Resource

__all__ = ["OutgoingValue", "ValueOutputStream"]

PERMIT: Final = 64 << 10
"""Bytes that one `check-write` permits at most. The same number as in wasmCloud."""

CAPACITY: Final = 256 << 10
"""Bytes that wait for the store. Arbitrary; as many as are read at once."""

_TOO_EARLY: Final = (
    "more was written than waits in memory before write-data says where to: call that first"
)


class OutgoingValue(Resource):
    """`outgoing-value`.

    Args:
        ctx: the invocation's.

    Attributes:
        has_body: whether its stream was taken.
        stored: whether `write-data` has said where it is stored.
        writers: wait for room in it.
    """

    __slots__ = (
        "_chunks",
        "_consumers",
        "_ctx",
        "_ended",
        "_failure",
        "_size",
        "_task",
        "has_body",
        "writers",
    )

    def __init__(self, ctx: BlobstoreCtx) -> None:
        self._ctx = ctx
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._consumers = Waiters()
        self._task: asyncio.Task[None] | None = None
        self._failure: str | None = None
        self._ended = False
        self.has_body = False
        self.writers = Waiters()

    @property
    def stored(self) -> bool:
        """Whether something stores it."""
        return self._task is not None

    # The guest's side.

    def room(self) -> int:
        """How many bytes may be written now.

        Raises:
            StreamError: it cannot be stored, or nobody has said where to.
        """
        if self._failure is not None:
            raise LastOperationFailed(self._failure)
        if self.stored:
            return max(0, min(PERMIT, CAPACITY - self._size))
        if self._ctx.unstored <= 0:
            raise LastOperationFailed(_TOO_EARLY)
        return min(PERMIT, self._ctx.unstored)

    def ready(self) -> bool:
        """Whether `room` would return more than 0, or fail."""
        return self._size < CAPACITY or not self.stored or self._failure is not None

    def write(self, data: bytes) -> None:
        """Add bytes.

        Raises:
            StreamError: it cannot be stored.
        """
        if self._failure is not None:
            raise LastOperationFailed(self._failure)
        if data:
            self._chunks.append(data)
            self._size += len(data)
            if not self.stored:
                self._ctx.unstored -= len(data)
            self._consumers.wake()

    def store(
        self,
        granted: GrantedSpace,
        opened: Opened,
        writer: Writer,
        *,
        going_on: Operation,
        ending: Operation,
    ) -> None:
        """Store it, from now on.

        Args:
            granted: where.
            opened: its place there.
            writer: writes it.
            going_on: the operation that has begun this.
            ending: and the one that will end it.
        """
        self._ctx.unstored += self._size
        self._task = granted.begin(self._store(opened, writer, going_on, ending))

    async def finish(self) -> None:
        """Wait until it is stored.

        Raises:
            BackendError: it is not.
        """
        if self._task is None:
            self.drop()
            raise BackendError("the value was not stored: call write-data before finish")
        self._ended = True
        self._consumers.wake()
        try:
            await asyncio.wait((self._task,))
        finally:
            self.drop()
        if self._failure is not None:
            raise BackendError(self._failure)
        self._task.result()

    def drop(self) -> None:
        """Have nothing of it stored, unless it is already."""
        if self._task is None:
            self._ctx.unstored += self._size
        self._chunks.clear()
        self._size = 0
        if self._task is not None:
            self._task.cancel()

    # What stores it.

    async def _store(
        self, opened: Opened, writer: Writer, going_on: Operation, ending: Operation
    ) -> None:
        try:
            try:
                while data := await self._next():
                    await opened.go_on(going_on, writer.write, data)
                await opened.commit(ending, writer.commit)
            finally:
                await writer.abort()
                opened.release()
        except BackendError as error:
            self._fail(error.message)
        except asyncio.CancelledError:
            self._fail("the value was given up")
            raise

    def _fail(self, message: str) -> None:
        self._failure = message
        self._chunks.clear()
        self._size = 0
        self.writers.wake()

    async def _next(self) -> bytes:
        """Some of what waits, as soon as there is something; empty at the end."""
        while not self._chunks:
            if self._ended:
                return b""
            consumer = asyncio.get_running_loop().create_future()
            self._consumers.watch(consumer)
            await consumer
        taken = []
        size = 0
        while self._chunks and size < CAPACITY:
            taken.append(chunk := self._chunks.popleft())
            size += len(chunk)
        self._size -= size
        self.writers.wake()
        return b"".join(taken)


class ValueOutputStream(Failing, OutputStream):
    """The stream of `outgoing-value-write-body`. Flushing is nothing: what is there is stored as soon as it can.

    Args:
        value: whose child it is.
    """

    __slots__ = ("_end", "_value")

    def __init__(self, value: OutgoingValue) -> None:
        super().__init__(value)
        self._value = value
        self._end = None

    def check_write(self) -> int:
        """How many bytes fit."""
        self._raise_end()
        try:
            return self._value.room()
        except LastOperationFailed:
            self._end = Closed()
            raise

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self._raise_end()
        try:
            self._value.write(data)
        except LastOperationFailed:
            self._end = Closed()
            raise

    def ready(self) -> bool:
        """Whether bytes fit, or never will again."""
        return self._end is not None or self._value.ready()

    def _woken_by(self) -> Wakers:
        return (self._value.writers,)
