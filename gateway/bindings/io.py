"""`wasi:io`: errors, polling and streams.

Whatever a guest can wait for is a `Source`: it says whether it is ready, and completes the futures that wait on it
when that may have changed. One wait is one future, however many pollables it covers.

The stream functions here hold the contract of WIT (permits, the 4096 bytes of the blocking writes, errors that are
told once); a kind of stream only says how it is read or written without blocking.

Source: `wasi:io@0.2.12`, `error.wit`, `poll.wit`, `streams.wit`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from gateway.bindings.fallible import fallible, fallible_async
from gateway.host.binding import HostInterface
from gateway.host.errors import Trap
from gateway.host.table import Resource
from gateway.host.values import Variant

if TYPE_CHECKING:
    from gateway.bindings.context import WasiCtx

__all__ = [
    "INTERFACES",
    "Closed",
    "Failing",
    "InputStream",
    "IoError",
    "LastOperationFailed",
    "OutputStream",
    "Pollable",
    "Source",
    "StreamError",
    "Waiters",
    "Wakers",
    "until_ready",
]


MAX_READ: Final = 64 << 10
"""Bytes that one read returns at most. A guest may ask for 2^64; the host must not allocate what a guest names.
The same number as in Wasmtime."""

MAX_BLOCKING_WRITE: Final = 4096
"""Bytes that one blocking-write-and-flush takes at most; more traps (`streams.wit`)."""


# --- waiting -----------------------------------------------------------------------------------------------


class Source(ABC):
    """Something that becomes ready.

    Attributes:
        due: when it does, if it does so at a point in time and never otherwise: nanoseconds on the clock of
            `time.monotonic_ns`. Of several such sources only the first needs to be watched.
    """

    __slots__ = ()

    due: int | None = None

    @abstractmethod
    def ready(self) -> bool:
        """Whether it is ready now. Never blocks, and may be asked again."""

    def watch(self, waiter: asyncio.Future[None]) -> None:
        """Complete a future when `ready` may have become true."""
        for each in self._woken_by():
            each.watch(waiter)

    def unwatch(self, waiter: asyncio.Future[None]) -> None:
        """Forget a future."""
        for each in self._woken_by():
            each.unwatch(waiter)

    def _woken_by(self) -> Wakers:
        """What completes the futures that wait on it; nothing, if it is always ready."""
        return ()


class Waiters(dict[asyncio.Future[None], None]):
    """The futures that wait on a source. Where there are none, as on most, nobody need be woken."""

    # Ordered, and fast to leave: a guest may wait on thousands of things that all come down to one.
    __slots__ = ()

    def watch(self, waiter: asyncio.Future[None]) -> None:
        """Have a future completed by the next `wake`."""
        self[waiter] = None

    def unwatch(self, waiter: asyncio.Future[None]) -> None:
        """Forget a future."""
        self.pop(waiter, None)

    def wake(self) -> None:
        """Complete all that wait."""
        waiters = list(self)
        self.clear()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


Wakers: TypeAlias = Iterable[Source | Waiters]
"""What a source is woken by."""


async def until_ready(*sources: Source) -> set[Source]:
    """Wait until at least one source is ready.

    Returns:
        Those that are.
    """
    # Each is asked once, however often a guest names it.
    distinct = dict.fromkeys(sources)
    while not (ready := {source for source in distinct if source.ready()}):
        waiter = asyncio.get_running_loop().create_future()
        watched = _first_due(distinct)
        for source in watched:
            source.watch(waiter)
        try:
            await waiter
        finally:
            for source in watched:
                source.unwatch(waiter)
    return ready


def _first_due(sources: Iterable[Source]) -> list[Source]:
    """The sources that have to be watched to know when the first of all is ready."""
    watched: list[Source] = []
    first: Source | None = None
    for source in sources:
        if source.due is None:
            watched.append(source)
        elif first is None or first.due is None or source.due < first.due:
            first = source
    if first is not None:
        watched.append(first)
    return watched


# --- resources ---------------------------------------------------------------------------------------------


class IoError(Resource):
    """`wasi:io/error.error`: an error of a stream.

    Attributes:
        message: what `to-debug-string` returns.
        code: the code that the interface of the stream's origin finds in it, such as an `error-code` of
            `wasi:http/types`; None if there is none.
    """

    __slots__ = ("code", "message")

    def __init__(self, message: str, code: Any = None) -> None:
        self.message = message
        self.code = code


class StreamError(Exception):
    """`wasi:io/streams.stream-error`, raised by streams and returned to the guest."""

    def variant(self) -> Variant:
        """The WIT value."""
        raise NotImplementedError


class Closed(StreamError):
    """The stream has ended, or its other side is gone."""

    def variant(self) -> Variant:
        """The WIT value."""
        return Variant("closed")


class LastOperationFailed(StreamError):
    """The last operation failed, for a reason that the guest may look into; afterwards the stream is closed."""

    def __init__(self, message: str, code: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    def variant(self) -> Variant:
        """The WIT value, with a new `error` resource."""
        return Variant("last-operation-failed", IoError(self.message, self.code))


class Pollable(Resource):
    """`wasi:io/poll.pollable`: a handle on a source."""

    __slots__ = ("parent", "source")

    def __init__(self, source: Source, parent: Resource | None = None) -> None:
        self.parent = parent
        self.source = source


class InputStream(Resource, Source):
    """`wasi:io/streams.input-stream`."""

    __slots__ = ("parent",)

    def __init__(self, parent: Resource | None = None) -> None:
        self.parent = parent

    @abstractmethod
    def read(self, size: int) -> bytes:
        """Up to `size` bytes of what is there now; empty if nothing is.

        Raises:
            StreamError: the stream has ended or failed. A failure is raised once, then `Closed`.
        """

    def skip(self, size: int) -> int:
        """Read and forget; returns how many bytes that were."""
        return len(self.read(size))


class Failing:
    """A stream that tells once what it has failed with, and then that it is closed."""

    __slots__ = ()

    _end: StreamError | None

    def _raise_end(self) -> None:
        if self._end is not None:
            end, self._end = self._end, Closed()  # type: ignore[misc] # slots cannot be mixed in
            raise end


class OutputStream(Resource, Source):
    """`wasi:io/streams.output-stream`.

    Attributes:
        permit: how many bytes the last `check-write` allowed and no write has used yet.
    """

    __slots__ = ("parent", "permit")

    def __init__(self, parent: Resource | None = None) -> None:
        self.parent = parent
        self.permit = 0

    @abstractmethod
    def check_write(self) -> int:
        """How many bytes may be written now; 0 while a flush is under way or there is no room.

        Raises:
            StreamError: the stream is closed or has failed.
        """

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Take bytes, never more than `check_write` has allowed.

        Raises:
            StreamError: the stream is closed or has failed.
        """

    def flush(self) -> None:
        """Begin to pass on all that was written; `check_write` is 0 until that is done.

        Raises:
            StreamError: the stream is closed or has failed.
        """


# --- the interfaces ----------------------------------------------------------------------------------------

error = HostInterface("wasi:io/error", "0.2.12")
poll = HostInterface("wasi:io/poll", "0.2.12")
streams = HostInterface("wasi:io/streams", "0.2.12", carries_bytes=True)
INTERFACES = (error, poll, streams)


@error.method("error", "to-debug-string")
def to_debug_string(_ctx: WasiCtx, this: IoError) -> str:
    """Text for people; no guest may depend on it."""
    return this.message


@poll.method("pollable", "ready")
def ready(_ctx: WasiCtx, this: Pollable) -> bool:
    """Whether the source is ready."""
    return this.source.ready()


@poll.method("pollable", "block", blocking=True)
async def block(_ctx: WasiCtx, this: Pollable) -> None:
    """Wait for the source."""
    await until_ready(this.source)


@poll.function("poll", blocking=True)
async def poll_list(_ctx: WasiCtx, pollables: list[Pollable]) -> list[int]:
    """Wait for at least one of several, and tell which are ready; an empty list traps."""
    if not pollables:
        raise Trap("poll of an empty list")
    sources = [pollable.source for pollable in pollables]
    ready = await until_ready(*sources)
    return [index for index, source in enumerate(sources) if source in ready]


def _stream_error(failure: StreamError) -> Variant:
    return failure.variant()


_fallible = fallible(StreamError, err=_stream_error)
_fallible_async = fallible_async(StreamError, err=_stream_error)


@streams.method("input-stream", "read")
@_fallible
def read(_ctx: WasiCtx, this: InputStream, size: int) -> bytes:
    """What is there now, up to `size` bytes."""
    return this.read(min(size, MAX_READ))


@streams.method("input-stream", "skip")
@_fallible
def skip(_ctx: WasiCtx, this: InputStream, size: int) -> int:
    """Like `read`, returning only the count."""
    return this.skip(min(size, MAX_READ))


@streams.method("input-stream", "blocking-read", blocking=True)
@_fallible_async
async def blocking_read(_ctx: WasiCtx, this: InputStream, size: int) -> bytes:
    """Wait for at least one byte, or the end."""
    await until_ready(this)
    return this.read(min(size, MAX_READ))


@streams.method("input-stream", "blocking-skip", blocking=True)
@_fallible_async
async def blocking_skip(_ctx: WasiCtx, this: InputStream, size: int) -> int:
    """Like `blocking-read`, returning only the count."""
    await until_ready(this)
    return this.skip(min(size, MAX_READ))


@streams.method("input-stream", "subscribe")
@streams.method("output-stream", "subscribe")
def subscribe(_ctx: WasiCtx, this: InputStream | OutputStream) -> Pollable:
    """A pollable that is ready when the stream is, or has ended or failed."""
    return Pollable(this, parent=this)


def _write(stream: OutputStream, data: bytes) -> None:
    if len(data) > stream.permit:
        raise Trap(
            f"write of {len(data)} bytes exceeds the {stream.permit} that check-write permitted"
        )
    stream.permit -= len(data)
    stream.write(data)


def _flush(stream: OutputStream) -> None:
    stream.permit = 0
    stream.flush()


@streams.method("output-stream", "check-write")
@_fallible
def check_write(_ctx: WasiCtx, this: OutputStream) -> int:
    """How many bytes the next write may have."""
    this.permit = permit = this.check_write()
    return permit


@streams.method("output-stream", "write")
@_fallible
def write(_ctx: WasiCtx, this: OutputStream, contents: bytes) -> None:
    """Write what check-write permitted; more traps."""
    _write(this, contents)


@streams.method("output-stream", "write-zeroes")
@_fallible
def write_zeroes(_ctx: WasiCtx, this: OutputStream, size: int) -> None:
    """Write zeroes, as far as check-write permitted; more traps."""
    if size > this.permit:
        raise Trap(f"write of {size} zeroes exceeds the {this.permit} that check-write permitted")
    _write(this, bytes(size))


@streams.method("output-stream", "flush")
@_fallible
def flush(_ctx: WasiCtx, this: OutputStream) -> None:
    """Begin to flush."""
    _flush(this)


@streams.method("output-stream", "blocking-flush", blocking=True)
@_fallible_async
async def blocking_flush(_ctx: WasiCtx, this: OutputStream) -> None:
    """Flush, and wait until writing is possible again."""
    _flush(this)
    await until_ready(this)
    this.permit = this.check_write()


async def _write_and_flush(stream: OutputStream, data: bytes) -> None:
    view = memoryview(data)
    while view:
        await until_ready(stream)
        stream.permit = permit = stream.check_write()
        size = min(permit, len(view))
        _write(stream, bytes(view[:size]))
        view = view[size:]
    try:
        _flush(stream)
        await until_ready(stream)
        stream.permit = stream.check_write()
    except Closed:
        # All was taken; that the other side has left since is for the next call to find out.
        return


@streams.method("output-stream", "blocking-write-and-flush", blocking=True)
@_fallible_async
async def blocking_write_and_flush(_ctx: WasiCtx, this: OutputStream, contents: bytes) -> None:
    """Write up to 4096 bytes and wait until they are flushed."""
    if len(contents) > MAX_BLOCKING_WRITE:
        raise Trap(f"blocking-write-and-flush of {len(contents)} bytes; at most 4096 are allowed")
    await _write_and_flush(this, contents)


@streams.method("output-stream", "blocking-write-zeroes-and-flush", blocking=True)
@_fallible_async
async def blocking_write_zeroes_and_flush(_ctx: WasiCtx, this: OutputStream, size: int) -> None:
    """Write up to 4096 zeroes and wait until they are flushed."""
    if size > MAX_BLOCKING_WRITE:
        raise Trap(f"blocking-write-zeroes-and-flush of {size} bytes; at most 4096 are allowed")
    await _write_and_flush(this, bytes(size))


def _splice(this: OutputStream, source: InputStream, size: int) -> int:
    this.permit = permit = this.check_write()
    size = min(size, permit, MAX_READ)
    if not size:
        return 0
    data = source.read(size)
    _write(this, data)
    return len(data)


@streams.method("output-stream", "splice")
@_fallible
def splice(_ctx: WasiCtx, this: OutputStream, source: InputStream, size: int) -> int:
    """Move what is there and fits from an input stream; returns the count."""
    return _splice(this, source, size)


@streams.method("output-stream", "blocking-splice", blocking=True)
@_fallible_async
async def blocking_splice(_ctx: WasiCtx, this: OutputStream, source: InputStream, size: int) -> int:
    """Like `splice`, waiting for both sides first. Does not flush, as WIT has it; Wasmtime's does."""
    await until_ready(this)
    await until_ready(source)
    return _splice(this, source, size)
