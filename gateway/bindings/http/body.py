"""Bodies of HTTP messages between a guest's streams and the host's transport, with back-pressure both ways.

`IncomingContent` is filled by the host and read by the guest, `OutgoingContent` the other way round. Each holds a
bounded number of bytes: the filling side waits for room, so a body of any size passes through constant memory.

Source: `wasi:http@0.2.12`, `types.wit`: `incoming-body`, `outgoing-body`, `future-trailers`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from gateway.bindings.http.fields import Fields
from gateway.bindings.io import (
    Closed,
    InputStream,
    LastOperationFailed,
    OutputStream,
    Source,
    Waiters,
    Wakers,
    until_ready,
)
from gateway.host.errors import Trap
from gateway.host.table import Resource
from gateway.host.values import Variant

__all__ = [
    "BodyAborted",
    "BodyInputStream",
    "BodyOutputStream",
    "IncomingContent",
    "OutgoingContent",
    "Queue",
    "relay",
]

INCOMING_CAPACITY: Final = 256 << 10
"""Bytes of a received body that wait for the guest, before the transport is asked to pause. Arbitrary; large
enough that a guest which reads in blocks of 64 KiB never waits for the host's turn."""

UNSENT_CAPACITY: Final = 1 << 20
"""Bytes of a body that a guest may write before anyone sends it. Wasmtime lets a guest write 1 MiB."""

OUTGOING_CAPACITY: Final = 64 << 10
"""Bytes that wait for the transport once it is sent: what a guest that writes without pause writes in one turn of
the loop. 1 MiB takes 3.5 ms, for which all others wait, and goes out no faster."""

INVOCATION_CAPACITY: Final = 16 << 20
"""Bytes that all bodies written by one invocation may have waiting. Threat: a guest that makes ever new requests
or responses, writes to each, and sends none. Arbitrary; sixteen bodies at once go at full speed."""


class BodyAborted(Exception):
    """A body ended before it was whole; its recipient must not take it for complete."""


class IncomingContent:
    """A body that the host receives for a guest.

    Attributes:
        trailers: the trailers, once the body has ended with some.
        error: the `error-code` that the body failed with, if it did.
        ended: whether nothing more will come.
        abandoned: whether the guest has let go of it for good.
        readers: wait for something to read.
        on_abandoned: called when that happens, whether it has ended or not.
    """

    __slots__ = (
        "_chunks",
        "_discarding",
        "_room",
        "_size",
        "abandoned",
        "ended",
        "error",
        "on_abandoned",
        "readers",
        "trailers",
    )

    def __init__(self) -> None:
        self._chunks: deque[bytes | memoryview] = deque()
        self._size = 0
        self.readers = Waiters()
        self._room: asyncio.Future[None] | None = None
        self._discarding = False
        self.trailers: Fields | None = None
        self.error: Variant | None = None
        self.ended = False
        self.abandoned = False
        self.on_abandoned: Callable[[], None] | None = None

    # The host's side.

    def feed(self, data: bytes) -> None:
        """Add bytes."""
        if data and not self._discarding:
            self._chunks.append(data)
            self._size += len(data)
            self.readers.wake()

    def end(self, trailers: Fields | None = None) -> None:
        """The body is whole."""
        self.trailers = trailers
        self.ended = True
        if self.readers:
            self.readers.wake()

    def fail(self, error: Variant) -> None:
        """The body will never be whole, for the reason that an `error-code` gives."""
        if not self.ended:
            self.error = error
            self.ended = True
            self.readers.wake()

    async def room(self) -> None:
        """Wait until the guest has read enough for more to be fed."""
        if self._size >= INCOMING_CAPACITY:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    @property
    def empty(self) -> bool:
        """Whether it has ended, and there is nothing in it."""
        return self.ended and self.error is None and not self._chunks and self.trailers is None

    # The guest's side.

    def ready(self) -> bool:
        """Whether a read would return something, the end and an error included."""
        return bool(self._chunks) or self.ended

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of what is there; empty if nothing is yet.

        Raises:
            Closed: the body has ended.
            LastOperationFailed: it has failed, which is told once.
        """
        chunks = self._chunks
        if not chunks:
            if self.ended:
                self._raise_end()
            return b""
        data = chunks[0]
        if len(data) <= size:
            chunks.popleft()
        else:
            # Views: a guest that reads a large chunk in small pieces must not cost a copy of the rest each time.
            data = memoryview(data)
            chunks[0] = data[size:]
            data = data[:size]
        self._taken(len(data))
        return bytes(data)

    def discard(self) -> None:
        """Forget what is unread and all that comes; the end and the trailers still do."""
        self._discarding = True
        self._chunks.clear()
        self._taken(self._size)

    def abandon(self) -> None:
        """Forget all of it: nobody will ask for its end or its trailers either."""
        self.abandoned = self._discarding = True
        if self._size:
            self.discard()
        if self.on_abandoned is not None:
            self.on_abandoned()

    def _taken(self, size: int) -> None:
        self._size -= size
        if self._room is not None and self._size < INCOMING_CAPACITY:
            if not self._room.done():
                self._room.set_result(None)
            self._room = None

    def _raise_end(self) -> None:
        if self.error is not None:
            error, self.error = self.error, None
            raise LastOperationFailed(f"the body failed: {error.case}", error)
        raise Closed


class Queue:
    """The bytes that the bodies of one invocation have waiting to be sent, together.

    Attributes:
        free: how many more bytes may wait; below 0 if there are too many.
        room: completes futures when there may be room again.
    """

    __slots__ = ("free", "room")

    def __init__(self) -> None:
        self.free = INVOCATION_CAPACITY
        self.room = Waiters()

    def add(self, size: int) -> None:
        """Count bytes that wait from now on.

        Raises:
            Trap: they are far too many. Permits given for several bodies before any of them is written may
                exceed the capacity together; no guest needs to double it.
        """
        if size - self.free > INVOCATION_CAPACITY:
            raise Trap(f"more than {2 * INVOCATION_CAPACITY} bytes of bodies wait to be sent")
        self.free -= size

    def remove(self, size: int) -> None:
        """Count bytes that wait no more."""
        self.free += size
        if self.room:
            self.room.wake()


class OutgoingContent:
    """A body that a guest writes for the host to send.

    Args:
        queue: what counts the waiting bytes of its invocation.
        content_length: the length that the headers announce, in bytes, if they do.
        size_error: the case of `error-code` for a body of another length, `HTTP-response-body-size` or
            `HTTP-request-body-size`.

    Attributes:
        content_length: ditto.
        trailers: the trailers that it was finished with, if any.
        written: how many bytes the guest has written so far.
        ended: whether the guest has finished it.
        aborted: whether it will never be whole.
        writers: wait for room in it.
        queue: what it has waiting is a part of.
    """

    __slots__ = (
        "_capacity",
        "_chunks",
        "_consumers",
        "_gone",
        "_size",
        "_size_error",
        "aborted",
        "content_length",
        "ended",
        "queue",
        "trailers",
        "writers",
        "written",
    )

    def __init__(self, queue: Queue, content_length: int | None, size_error: str) -> None:
        self.queue = queue
        self.content_length = content_length
        self._size_error = size_error
        self._capacity = UNSENT_CAPACITY
        self._chunks: list[bytes] = []
        self._size = 0
        self.writers = Waiters()
        self._consumers = Waiters()
        self._gone = False
        self.trailers: Fields | None = None
        self.written = 0
        self.ended = False
        self.aborted = False

    # The guest's side.

    def check_write(self) -> int:
        """How many bytes fit.

        Raises:
            Closed: nobody wants them any more.
        """
        if self._gone or self.aborted:
            raise Closed
        return max(min(self._capacity - self._size, self.queue.free), 0)

    def write(self, data: bytes) -> None:
        """Add bytes.

        Raises:
            Closed: nobody wants them any more.
            LastOperationFailed: they are more than the headers announce. The body is aborted.
            Trap: the invocation has far too many bytes waiting.
        """
        if self._gone or self.aborted:
            raise Closed
        if not data:
            return
        self.written += len(data)
        if self.content_length is not None and self.written > self.content_length:
            raise self._wrong_size()
        self.queue.add(len(data))
        self._chunks.append(data)
        self._size += len(data)
        if self._consumers:
            self._consumers.wake()

    def finish(self, trailers: Fields | None) -> Variant | None:
        """End the body.

        Returns:
            The `error-code` of a body whose length is not the one that the headers announce; it is aborted.
        """
        if self.aborted:
            return Variant(self._size_error, self.written)
        if self.content_length is not None and self.written != self.content_length:
            self.abort()
            return Variant(self._size_error, self.written)
        self.trailers = trailers
        self.ended = True
        if self._consumers:
            self._consumers.wake()
        return None

    def abort(self) -> None:
        """End the body without it being whole, unless it has ended already."""
        if not self.ended:
            self.aborted = True
            self._consumers.wake()
            self.writers.wake()

    def ready(self) -> bool:
        """Whether `check_write` would return more than 0, or fail."""
        has_room = self._size < self._capacity and self.queue.free > 0
        return has_room or self._gone or self.aborted

    @property
    def unwanted(self) -> bool:
        """Whether nobody will ever have more of it."""
        return self._gone or self.aborted

    # The host's side.

    def begin(self) -> None:
        """It is sent from now on, while the guest writes."""
        self._capacity = OUTGOING_CAPACITY

    def take(self) -> bytes:
        """All bytes that wait to be sent."""
        data = b"".join(self._chunks)
        self._chunks.clear()
        self.queue.remove(self._size)
        self._size = 0
        if self.writers:
            self.writers.wake()
        return data

    async def chunk(self) -> bytes:
        """All bytes that wait to be sent, as soon as there are some; empty at the end.

        Raises:
            BodyAborted: the body will never be whole; what was written before has been returned.
        """
        while not self._chunks:
            if self.ended:
                return b""
            if self.aborted:
                raise BodyAborted
            consumer = asyncio.get_running_loop().create_future()
            self._consumers.watch(consumer)
            await consumer
        return self.take()

    def forsake(self) -> None:
        """Nobody wants the body any more: drop what waits, and have further writes see a closed stream."""
        self._gone = True
        self.take()

    def _wrong_size(self) -> LastOperationFailed:
        self.abort()
        return LastOperationFailed(
            f"{self.written} bytes written, where content-length announces {self.content_length}",
            Variant(self._size_error, self.written),
        )


async def relay(received: IncomingContent, sent: OutgoingContent) -> None:
    """Pass a body on as it comes, and no faster than it is taken. Either's end ends the other."""
    source, sink, unwanted = BodyInputStream(received), BodyOutputStream(sent), _Unwanted(sent)
    try:
        while True:
            await until_ready(sink)
            await until_ready(source, unwanted)
            sent.write(received.read(sent.check_write()))
    except LastOperationFailed:
        sent.abort()
    except Closed:
        if received.ended:
            sent.finish(received.trailers)
    finally:
        sent.abort()
        received.abandon()


class _Unwanted(Source):
    """Ready when nobody wants a body any more."""

    __slots__ = ("_content",)

    def __init__(self, content: OutgoingContent) -> None:
        self._content = content

    def ready(self) -> bool:
        return self._content.unwanted

    def _woken_by(self) -> Wakers:
        return (self._content.writers,)


class BodyInputStream(InputStream):
    """The stream of an `incoming-body`."""

    __slots__ = ("_content",)

    def __init__(self, content: IncomingContent, parent: Resource | None = None) -> None:
        super().__init__(parent)
        self._content = content

    def read(self, size: int) -> bytes:
        """What is there, up to `size` bytes."""
        return self._content.read(size)

    def ready(self) -> bool:
        """Whether there is something to read, the end included."""
        return self._content.ready()

    def _woken_by(self) -> Wakers:
        return (self._content.readers,)


class BodyOutputStream(OutputStream):
    """The stream of an `outgoing-body`. Flushing is nothing: what was written is sent as soon as it can be."""

    __slots__ = ("_content",)

    def __init__(self, content: OutgoingContent, parent: Resource | None = None) -> None:
        super().__init__(parent)
        self._content = content

    def check_write(self) -> int:
        """How many bytes fit."""
        return self._content.check_write()

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self._content.write(data)

    def ready(self) -> bool:
        """Whether bytes fit, or never will again."""
        return self._content.ready()

    def _woken_by(self) -> Wakers:
        return (self._content.writers, self._content.queue.room)
