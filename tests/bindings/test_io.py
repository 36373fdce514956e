"""wasi:io: what a guest sees of errors, pollables and streams."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.bindings import io
from gateway.bindings.io import (
    Closed,
    InputStream,
    LastOperationFailed,
    OutputStream,
    StreamError,
    Waiters,
)
from gateway.host.binding import HostInterface
from gateway.host.errors import Trap
from gateway.host.table import Resource
from gateway.host.values import Err, Ok, Variant
from tests.driven_guest import IO, DrivenGuest, driven_guest, driving
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio

IMPORTS = f"""{IO}
  (import "test:host/scripted" (instance
    (alias outer 1 $input-stream (type $outer-input))
    (alias outer 1 $output-stream (type $outer-output))
    (export "input-stream" (type $input (eq $outer-input)))
    (export "output-stream" (type $output (eq $outer-output)))
    (export "input" (func (result (own $input))))
    (export "output" (func (result (own $output))))))
"""

READ = "streams#input-stream.read"
BLOCKING_READ = "streams#input-stream.blocking-read"
SKIP = "streams#input-stream.skip"
BLOCKING_SKIP = "streams#input-stream.blocking-skip"
CHECK_WRITE = "streams#output-stream.check-write"
WRITE = "streams#output-stream.write"
WRITE_ZEROES = "streams#output-stream.write-zeroes"
FLUSH = "streams#output-stream.flush"
BLOCKING_FLUSH = "streams#output-stream.blocking-flush"
BLOCKING_WRITE = "streams#output-stream.blocking-write-and-flush"
BLOCKING_WRITE_ZEROES = "streams#output-stream.blocking-write-zeroes-and-flush"
SPLICE = "streams#output-stream.splice"
BLOCKING_SPLICE = "streams#output-stream.blocking-splice"
READY = "poll#pollable.ready"
BLOCK = "poll#pollable.block"
POLL = "poll#poll"

CLOSED = Err(Variant("closed"))
MOST = 2**64 - 1
"""The largest `u64`."""


class Scripted(Resource):
    """What the test knows of a stream that it plays the other end of.

    Attributes:
        watchers: how many waits are registered now.
        watched: set when a guest begins to wait.
        dropped: whether the stream was dropped.
    """

    def __init__(self) -> None:
        super().__init__()
        self.watchers = 0
        self.watched = asyncio.Event()
        self.dropped = False
        self.error: StreamError | None = None
        self._waiters = Waiters()

    def watch(self, waiter: asyncio.Future[None]) -> None:
        self._waiters.watch(waiter)
        self.watchers += 1
        self.watched.set()

    def unwatch(self, waiter: asyncio.Future[None]) -> None:
        self._waiters.unwatch(waiter)
        self.watchers -= 1

    def drop(self) -> None:
        self.dropped = True

    async def awaited(self) -> None:
        """Return once a guest waits for the stream, another time than before."""
        await asyncio.wait_for(self.watched.wait(), PATIENCE)
        self.watched.clear()

    def end(self, error: StreamError) -> None:
        """Have everything fail from now on; an error other than `Closed` is told once."""
        self.error = error
        self._waiters.wake()

    def _raise_end(self) -> None:
        if self.error is not None:
            error, self.error = self.error, Closed()
            raise error


class ScriptedInput(Scripted, InputStream):
    """An input stream that the test feeds."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__()
        self.data = data

    def ready(self) -> bool:
        return bool(self.data) or self.error is not None

    def read(self, size: int) -> bytes:
        if not self.data:
            self._raise_end()
        data, self.data = self.data[:size], self.data[size:]
        return data

    def feed(self, data: bytes) -> None:
        """Add bytes."""
        self.data += data
        self._waiters.wake()


class ScriptedOutput(Scripted, OutputStream):
    """An output stream with as much room as the test makes, whose flushes the test ends if it is asked to.

    Attributes:
        written: what it has taken.
        flushes: how often it was flushed.
        flushing: whether a flush is under way.
    """

    def __init__(self, room: int = 0, *, slow: bool = False) -> None:
        super().__init__()
        self.written = b""
        self.flushes = 0
        self.flushing = False
        self._room = room
        self._slow = slow

    def ready(self) -> bool:
        return self.error is not None or (self._room > 0 and not self.flushing)

    def check_write(self) -> int:
        self._raise_end()
        return 0 if self.flushing else self._room

    def write(self, data: bytes) -> None:
        self._raise_end()
        self._room -= len(data)
        self.written += data

    def flush(self) -> None:
        self._raise_end()
        self.flushes += 1
        self.flushing = self._slow

    def make_room(self, size: int) -> None:
        """Take so many bytes more."""
        self._room += size
        self._waiters.wake()

    def flushed(self) -> None:
        """End the flush that is under way."""
        self.flushing = False
        self._waiters.wake()


@asynccontextmanager
async def opened(
    *streams: ScriptedInput | ScriptedOutput, version: str = "0.2.12"
) -> AsyncIterator[tuple[DrivenGuest, list[int]]]:
    """A guest, and its handles on these streams."""
    scripted = HostInterface("test:host/scripted", None)
    remaining = list(streams)
    scripted.function("input")(lambda _ctx: remaining.pop(0))
    scripted.function("output")(lambda _ctx: remaining.pop(0))
    component = driven_guest(IMPORTS.replace("0.2.12", version))
    async with driving(component, (*io.INTERFACES, scripted)) as guest:
        handles = [
            await guest.call(f"scripted#{'input' if isinstance(stream, InputStream) else 'output'}")
            for stream in streams
        ]
        yield guest, handles


async def subscribe(guest: DrivenGuest, stream: Scripted, handle: int) -> int:
    kind = "input" if isinstance(stream, InputStream) else "output"
    pollable: int = await guest.call(f"streams#{kind}-stream.subscribe", handle)
    return pollable


@pytest.mark.parametrize("version", ["0.2.0", "0.2.6", "0.2.12"])
async def test_every_version_of_the_track_is_served(version: str) -> None:
    async with opened(ScriptedInput(b"x"), version=version) as (guest, [stream]):
        assert await guest.call(READ, stream, 1) == Ok(b"x")


# --- wasi:io/error -----------------------------------------------------------------------------------------


async def test_error_to_debug_string_is_the_message_of_the_failure() -> None:
    stream = ScriptedInput()
    stream.end(LastOperationFailed("the cable was cut: ⚡"))
    async with opened(stream) as (guest, [handle]):
        failure = await guest.call(READ, handle, 1)
        assert failure.value.case == "last-operation-failed"
        text = await guest.call("error#error.to-debug-string", failure.value.payload)
        assert text == "the cable was cut: ⚡"


# --- wasi:io/poll ------------------------------------------------------------------------------------------


async def test_poll_of_an_empty_list_traps() -> None:
    async with opened() as (guest, _):
        with pytest.raises(Trap, match="empty list"):
            await guest.call(POLL, [])


async def test_poll_returns_every_ready_index_of_duplicates_and_of_several_pollables_on_a_stream() -> (
    None
):
    ready, idle = ScriptedInput(b"x"), ScriptedInput()
    async with opened(ready, idle) as (guest, handles):
        first = await subscribe(guest, ready, handles[0])
        second = await subscribe(guest, ready, handles[0])
        never = await subscribe(guest, idle, handles[1])
        assert await guest.call(POLL, [never, first, first, never, second]) == [1, 2, 4]


async def test_poll_waits_for_one_and_leaves_nothing_behind() -> None:
    idle, other = ScriptedInput(), ScriptedOutput()
    async with opened(idle, other) as (guest, handles):
        pollables = [
            await subscribe(guest, stream, handle)
            for stream, handle in zip((idle, other), handles, strict=True)
        ]
        polling = asyncio.create_task(guest.call(POLL, [*pollables, *pollables]))
        await idle.awaited()
        assert not polling.done()
        other.make_room(1)
        assert await polling == [1, 3]
        assert (idle.watchers, other.watchers) == (0, 0)


async def test_a_wake_without_readiness_goes_on_waiting() -> None:
    stream = ScriptedOutput()
    async with opened(stream) as (guest, [handle]):
        pollable = await subscribe(guest, stream, handle)
        blocking = asyncio.create_task(guest.call(BLOCK, pollable))
        await stream.awaited()
        stream.make_room(0)
        await stream.awaited()
        assert not blocking.done()
        stream.make_room(1)
        await blocking


async def test_ready_never_blocks_and_a_pollable_is_reusable() -> None:
    stream = ScriptedInput()
    async with opened(stream) as (guest, [handle]):
        pollable = await subscribe(guest, stream, handle)
        for data in (b"one", b"two"):
            assert await guest.call(READY, pollable) is False
            stream.feed(data)
            assert await guest.call(READY, pollable) is True
            await guest.call(BLOCK, pollable)
            assert await guest.call(POLL, [pollable]) == [0]
            assert await guest.call(READ, handle, 10) == Ok(data)
        assert not stream.watched.is_set()


@pytest.mark.parametrize("error", [Closed(), LastOperationFailed("broken")], ids=repr)
@pytest.mark.parametrize("kind", [ScriptedInput, ScriptedOutput])
async def test_the_end_and_errors_count_as_readiness(
    kind: type[ScriptedInput | ScriptedOutput], error: StreamError
) -> None:
    stream = kind()
    async with opened(stream) as (guest, [handle]):
        pollable = await subscribe(guest, stream, handle)
        blocking = asyncio.create_task(guest.call(BLOCK, pollable))
        await stream.awaited()
        stream.end(error)
        await blocking
        assert await guest.call(READY, pollable) is True
        assert await guest.call(POLL, [pollable]) == [0]


@pytest.mark.parametrize("kind", [ScriptedInput, ScriptedOutput])
async def test_a_pollable_is_a_child_of_its_stream(
    kind: type[ScriptedInput | ScriptedOutput],
) -> None:
    stream = kind()
    drop = f"streams#drop {'input' if isinstance(stream, InputStream) else 'output'}-stream"
    async with opened(stream) as (guest, [handle]):
        pollables = [await subscribe(guest, stream, handle) for _ in range(2)]
        for pollable in pollables:
            await guest.call("poll#drop pollable", pollable)
        await guest.call(drop, handle)
        assert stream.dropped
    stream = kind()
    async with opened(stream) as (guest, [handle]):
        await subscribe(guest, stream, handle)
        with pytest.raises(Trap, match="resource has children"):
            await guest.call(drop, handle)


async def test_a_wait_that_is_given_up_is_forgotten() -> None:
    waiters = Waiters()
    waiter = asyncio.get_running_loop().create_future()
    waiters.watch(waiter)
    waiters.unwatch(waiter)
    waiters.unwatch(waiter)
    reference = weakref.ref(waiter)
    del waiter
    assert reference() is None


async def test_a_guest_that_is_cancelled_in_a_wait_leaves_nothing_behind() -> None:
    stream = ScriptedInput()
    async with opened(stream) as (guest, [handle]):
        pollable = await subscribe(guest, stream, handle)
        blocking = asyncio.create_task(guest.call(BLOCK, pollable))
        await stream.awaited()
        await guest.abort()
        with pytest.raises(asyncio.CancelledError):
            await blocking
    assert stream.watchers == 0
    assert stream.dropped


# --- wasi:io/streams, input-stream -------------------------------------------------------------------------


async def test_read_returns_up_to_so_many_bytes_then_none_then_the_end() -> None:
    stream = ScriptedInput(b"hello")
    async with opened(stream) as (guest, [handle]):
        assert await guest.call(READ, handle, 3) == Ok(b"hel")
        assert await guest.call(READ, handle, 3) == Ok(b"lo")
        assert await guest.call(READ, handle, 3) == Ok(b"")
        stream.end(Closed())
        assert await guest.call(READ, handle, 3) == CLOSED
        assert await guest.call(READ, handle, 3) == CLOSED


@pytest.mark.parametrize("function", [READ, BLOCKING_READ, SKIP, BLOCKING_SKIP])
async def test_a_failure_is_told_once_then_the_stream_is_closed(function: str) -> None:
    stream = ScriptedInput()
    stream.end(LastOperationFailed("broken"))
    async with opened(stream) as (guest, [handle]):
        failure = await guest.call(function, handle, 1)
        assert failure.value.case == "last-operation-failed"
        await guest.call("error#drop error", failure.value.payload)
        assert await guest.call(function, handle, 1) == CLOSED


async def test_read_of_nothing_is_empty_while_open_and_closed_at_the_end() -> None:
    stream = ScriptedInput()
    async with opened(stream) as (guest, [handle]):
        assert await guest.call(READ, handle, 0) == Ok(b"")
        stream.feed(b"x")
        assert await guest.call(READ, handle, 0) == Ok(b"")
        assert await guest.call(READ, handle, 1) == Ok(b"x")
        stream.end(Closed())
        assert await guest.call(READ, handle, 0) == CLOSED
        assert await guest.call(SKIP, handle, 0) == CLOSED


async def test_one_read_returns_at_most_64_kib() -> None:
    data = bytes(range(256)) * 2048
    stream = ScriptedInput(data)
    async with opened(stream) as (guest, [handle]):
        assert await guest.call(READ, handle, MOST) == Ok(data[: 64 << 10])
        assert await guest.call(BLOCKING_READ, handle, MOST) == Ok(data[: 64 << 10])
        assert await guest.call(SKIP, handle, MOST) == Ok(64 << 10)
        assert await guest.call(BLOCKING_SKIP, handle, MOST) == Ok(64 << 10)
    assert len(stream.data) == 256 << 10


async def test_blocking_read_waits_for_a_byte_or_the_end() -> None:
    stream = ScriptedInput()
    async with opened(stream) as (guest, [handle]):
        reading = asyncio.create_task(guest.call(BLOCKING_READ, handle, 10))
        await stream.awaited()
        stream.feed(b"x")
        assert await reading == Ok(b"x")
        reading = asyncio.create_task(guest.call(BLOCKING_READ, handle, 10))
        await stream.awaited()
        stream.end(Closed())
        assert await reading == CLOSED
        assert stream.watchers == 0


async def test_skip_returns_how_many_bytes_it_took() -> None:
    stream = ScriptedInput(b"hello")
    async with opened(stream) as (guest, [handle]):
        assert await guest.call(SKIP, handle, 2) == Ok(2)
        assert await guest.call(READ, handle, 1) == Ok(b"l")
        assert await guest.call(SKIP, handle, 10) == Ok(2)
        assert await guest.call(SKIP, handle, 10) == Ok(0)
        skipping = asyncio.create_task(guest.call(BLOCKING_SKIP, handle, 10))
        await stream.awaited()
        stream.feed(b"world")
        assert await skipping == Ok(5)
        stream.end(Closed())
        assert await guest.call(SKIP, handle, 10) == CLOSED
        assert await guest.call(BLOCKING_SKIP, handle, 10) == CLOSED


# --- wasi:io/streams, output-stream ------------------------------------------------------------------------


async def test_check_write_is_the_room_there_is_and_0_when_full() -> None:
    stream = ScriptedOutput(room=5)
    async with opened(stream) as (guest, [handle]):
        pollable = await subscribe(guest, stream, handle)
        assert await guest.call(CHECK_WRITE, handle) == Ok(5)
        assert await guest.call(WRITE, handle, b"hello") == Ok()
        assert stream.written == b"hello"
        assert await guest.call(CHECK_WRITE, handle) == Ok(0)
        assert await guest.call(READY, pollable) is False
        blocking = asyncio.create_task(guest.call(BLOCK, pollable))
        await stream.awaited()
        stream.make_room(3)
        await blocking
        assert await guest.call(CHECK_WRITE, handle) == Ok(3)


async def test_check_write_is_0_while_a_flush_is_under_way() -> None:
    stream = ScriptedOutput(room=5, slow=True)
    async with opened(stream) as (guest, [handle]):
        pollable = await subscribe(guest, stream, handle)
        assert await guest.call(FLUSH, handle) == Ok()
        assert await guest.call(CHECK_WRITE, handle) == Ok(0)
        assert await guest.call(READY, pollable) is False
        stream.flushed()
        assert await guest.call(READY, pollable) is True
        assert await guest.call(CHECK_WRITE, handle) == Ok(5)


async def test_write_beyond_the_permit_traps() -> None:
    stream = ScriptedOutput(room=5)
    async with opened(stream) as (guest, [handle]):
        assert await guest.call(CHECK_WRITE, handle) == Ok(5)
        with pytest.raises(Trap, match="write of 6 bytes exceeds the 5"):
            await guest.call(WRITE, handle, b"hello!")
    assert stream.written == b""


async def test_write_without_a_permit_traps() -> None:
    async with opened(ScriptedOutput(room=5)) as (guest, [handle]):
        with pytest.raises(Trap, match="write of 1 bytes exceeds the 0"):
            await guest.call(WRITE, handle, b"x")


async def test_a_permit_is_spent_by_writes() -> None:
    stream = ScriptedOutput(room=5)
    async with opened(stream) as (guest, [handle]):
        assert await guest.call(CHECK_WRITE, handle) == Ok(5)
        assert await guest.call(WRITE, handle, b"abc") == Ok()
        assert await guest.call(WRITE, handle, b"") == Ok()
        assert await guest.call(WRITE, handle, b"de") == Ok()
        stream.make_room(5)
        with pytest.raises(Trap, match="write of 1 bytes exceeds the 0"):
            await guest.call(WRITE, handle, b"f")
    assert stream.written == b"abcde"


async def test_write_during_a_flush_traps() -> None:
    async with opened(ScriptedOutput(room=5, slow=True)) as (guest, [handle]):
        assert await guest.call(CHECK_WRITE, handle) == Ok(5)
        assert await guest.call(FLUSH, handle) == Ok()
        with pytest.raises(Trap, match="write of 1 bytes exceeds the 0"):
            await guest.call(WRITE, handle, b"x")


async def test_write_zeroes_writes_zeroes_and_traps_beyond_the_permit() -> None:
    stream = ScriptedOutput(room=5)
    async with opened(stream) as (guest, [handle]):
        assert await guest.call(CHECK_WRITE, handle) == Ok(5)
        assert await guest.call(WRITE_ZEROES, handle, 3) == Ok()
        assert stream.written == bytes(3)
        with pytest.raises(Trap, match=f"write of {MOST} zeroes exceeds the 2"):
            await guest.call(WRITE_ZEROES, handle, MOST)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (CHECK_WRITE, ()),
        (WRITE, (b"",)),
        (WRITE_ZEROES, (0,)),
        (FLUSH, ()),
        (BLOCKING_FLUSH, ()),
        (BLOCKING_WRITE, (b"x",)),
        (BLOCKING_WRITE_ZEROES, (1,)),
    ],
)
async def test_a_failure_of_an_output_stream_is_told_once_then_it_is_closed(
    function: str, arguments: tuple[object, ...]
) -> None:
    stream = ScriptedOutput(room=5)
    stream.end(LastOperationFailed("broken"))
    async with opened(stream) as (guest, [handle]):
        failure = await guest.call(function, handle, *arguments)
        assert failure.value.case == "last-operation-failed"
        assert await guest.call(function, handle, *arguments) == CLOSED


async def test_blocking_flush_waits_until_writing_is_possible_again() -> None:
    stream = ScriptedOutput(room=5, slow=True)
    async with opened(stream) as (guest, [handle]):
        flushing = asyncio.create_task(guest.call(BLOCKING_FLUSH, handle))
        await stream.awaited()
        stream.flushed()
        assert await flushing == Ok()
        flushing = asyncio.create_task(guest.call(BLOCKING_FLUSH, handle))
        await stream.awaited()
        stream.end(Closed())
        assert await flushing == CLOSED


@pytest.mark.parametrize(
    ("function", "allowed", "refused"),
    [
        (BLOCKING_WRITE, bytes(4096), bytes(4097)),
        (BLOCKING_WRITE_ZEROES, 4096, 4097),
        (BLOCKING_WRITE_ZEROES, 0, MOST),
    ],
    ids=["bytes", "zeroes", "most zeroes"],
)
async def test_the_blocking_writes_take_4096_bytes_and_trap_on_more(
    function: str, allowed: object, refused: object
) -> None:
    stream = ScriptedOutput(room=10_000)
    async with opened(stream) as (guest, [handle]):
        assert await guest.call(function, handle, allowed) == Ok()
        assert stream.written == bytes(allowed if isinstance(allowed, int) else 4096)
        assert stream.flushes == 1
        with pytest.raises(Trap, match="at most 4096"):
            await guest.call(function, handle, refused)


@pytest.mark.parametrize(
    ("function", "argument", "written"),
    [(BLOCKING_WRITE, b"hello", b"hello"), (BLOCKING_WRITE_ZEROES, 5, bytes(5))],
    ids=["bytes", "zeroes"],
)
async def test_the_blocking_writes_go_on_over_permits_and_wait_for_the_flush(
    function: str, argument: object, written: bytes
) -> None:
    stream = ScriptedOutput(slow=True)
    async with opened(stream) as (guest, [handle]):
        writing = asyncio.create_task(guest.call(function, handle, argument))
        await stream.awaited()
        stream.make_room(2)
        await stream.awaited()
        stream.make_room(1)
        await stream.awaited()
        assert (stream.written, stream.flushes) == (written[:3], 0)
        stream.make_room(100)
        await stream.awaited()
        assert (stream.written, stream.flushes) == (written, 1)
        assert not writing.done()
        stream.flushed()
        assert await writing == Ok()


async def test_an_end_in_the_final_flush_of_a_blocking_write_is_no_error() -> None:
    stream = ScriptedOutput(room=5, slow=True)
    async with opened(stream) as (guest, [handle]):
        writing = asyncio.create_task(guest.call(BLOCKING_WRITE, handle, b"hello"))
        await stream.awaited()
        stream.end(Closed())
        assert await writing == Ok()
        assert await guest.call(BLOCKING_WRITE, handle, b"x") == CLOSED


async def test_an_end_before_all_is_taken_and_a_failed_flush_of_a_blocking_write_are_errors() -> (
    None
):
    stream = ScriptedOutput(room=3)
    async with opened(stream) as (guest, [handle]):
        writing = asyncio.create_task(guest.call(BLOCKING_WRITE, handle, b"hello"))
        await stream.awaited()
        stream.end(Closed())
        assert await writing == CLOSED
    assert stream.written == b"hel"
    stream = ScriptedOutput(room=5, slow=True)
    async with opened(stream) as (guest, [handle]):
        writing = asyncio.create_task(guest.call(BLOCKING_WRITE, handle, b"hello"))
        await stream.awaited()
        stream.end(LastOperationFailed("broken"))
        assert (await writing).value.case == "last-operation-failed"


@pytest.mark.parametrize("function", [SPLICE, BLOCKING_SPLICE])
@pytest.mark.parametrize(
    ("room", "available", "asked", "moved"),
    [(3, b"hello", 5, 3), (9, b"hello", 4, 4), (9, b"hello", MOST, 5), (9, b"hello", 0, 0)],
)
async def test_splice_moves_the_least_of_permit_length_and_what_is_there(
    function: str, room: int, available: bytes, asked: int, moved: int
) -> None:
    source, sink = ScriptedInput(available), ScriptedOutput(room)
    async with opened(source, sink) as (guest, [source_handle, sink_handle]):
        assert await guest.call(function, sink_handle, source_handle, asked) == Ok(moved)
    assert sink.written == available[:moved]
    assert source.data == available[moved:]


async def test_splice_moves_at_most_64_kib() -> None:
    source, sink = ScriptedInput(bytes(100_000)), ScriptedOutput(100_000)
    async with opened(source, sink) as (guest, [source_handle, sink_handle]):
        assert await guest.call(SPLICE, sink_handle, source_handle, MOST) == Ok(64 << 10)
    assert len(source.data) == 100_000 - (64 << 10)


async def test_splice_without_a_permit_or_input_moves_nothing() -> None:
    source, sink = ScriptedInput(b"x"), ScriptedOutput()
    async with opened(source, sink) as (guest, [source_handle, sink_handle]):
        assert await guest.call(SPLICE, sink_handle, source_handle, 1) == Ok(0)
        assert await guest.call(READ, source_handle, 1) == Ok(b"x")
        sink.make_room(1)
        assert await guest.call(SPLICE, sink_handle, source_handle, 1) == Ok(0)


async def test_splice_without_a_permit_does_not_touch_the_input() -> None:
    source, sink = ScriptedInput(), ScriptedOutput()
    source.end(Closed())
    async with opened(source, sink) as (guest, [source_handle, sink_handle]):
        assert await guest.call(SPLICE, sink_handle, source_handle, 1) == Ok(0)
        sink.make_room(1)
        assert await guest.call(SPLICE, sink_handle, source_handle, 1) == CLOSED


@pytest.mark.parametrize("function", [SPLICE, BLOCKING_SPLICE])
@pytest.mark.parametrize("broken", ["input", "output"])
async def test_the_errors_of_either_side_end_a_splice(function: str, broken: str) -> None:
    source, sink = ScriptedInput(), ScriptedOutput(room=5)
    async with opened(source, sink) as (guest, [source_handle, sink_handle]):
        if broken == "input":
            source.end(LastOperationFailed("broken"))
        else:
            source.feed(b"kept")
            sink.end(LastOperationFailed("broken"))
        failure = await guest.call(function, sink_handle, source_handle, 1)
        assert failure.value.case == "last-operation-failed"
        assert await guest.call(function, sink_handle, source_handle, 1) == CLOSED
    assert source.data == (b"" if broken == "input" else b"kept")
    assert sink.written == b""


async def test_blocking_splice_waits_for_both_sides() -> None:
    source, sink = ScriptedInput(), ScriptedOutput()
    async with opened(source, sink) as (guest, [source_handle, sink_handle]):
        splicing = asyncio.create_task(guest.call(BLOCKING_SPLICE, sink_handle, source_handle, 10))
        await sink.awaited()
        sink.make_room(3)
        await source.awaited()
        source.feed(b"hello")
        assert await splicing == Ok(3)
        assert sink.written == b"hel"
        assert (source.watchers, sink.watchers) == (0, 0)
