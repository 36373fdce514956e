"""wasi:filesystem, streams: the contract of wasi:io, kept by files."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Final

import pytest

from gateway.bindings.filesystem import OpenFiles
from gateway.bindings.filesystem.streams import BLOCK, PERMIT
from gateway.host.errors import Trap
from gateway.host.values import Err, Ok, Variant
from tests.bindings.filesystem.gate import CloseGate
from tests.bindings.filesystem.guest import FilesystemGuest, filesystem_guest, writable

pytestmark = pytest.mark.anyio

READ: Final = "input-stream.read"
BLOCKING_READ: Final = "input-stream.blocking-read"
CHECK_WRITE: Final = "output-stream.check-write"
WRITE: Final = "output-stream.write"
BLOCKING_WRITE: Final = "output-stream.blocking-write-and-flush"
BLOCKING_FLUSH: Final = "output-stream.blocking-flush"

CLOSED: Final = Err(Variant("closed"))
FAR: Final = 2**62
"""An offset where no file system lets a file be written."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`file`, with a few bytes in it."""
    (tmp_path / "file").write_bytes(b"0123456789")
    return tmp_path


async def reader(guest: FilesystemGuest, offset: int = 0, name: str = "file") -> int:
    """An input stream."""
    descriptor = await guest.opened(name)
    stream: int = await guest.succeed("read-via-stream", descriptor, offset)
    await guest.drop("descriptor", descriptor)
    return stream


async def writer(guest: FilesystemGuest, offset: int | None = 0, name: str = "file") -> int:
    """An output stream; one that appends if the offset is None."""
    descriptor = await guest.opened(name, ("write",), ("create",))
    arguments = ("append-via-stream",) if offset is None else ("write-via-stream", offset)
    stream: int = await guest.succeed(arguments[0], descriptor, *arguments[1:])
    await guest.drop("descriptor", descriptor)
    return stream


async def subscribe(guest: FilesystemGuest, kind: str, stream: int) -> int:
    pollable: int = await guest.call(f"{kind}-stream.subscribe", stream)
    return pollable


# --- reading -----------------------------------------------------------------------------------------------


async def test_a_stream_reads_from_its_offset_to_the_end_and_is_closed(folder: Path) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        stream = await reader(guest, 3)
        assert await guest.call(BLOCKING_READ, stream, 4) == Ok(b"3456")
        assert await guest.call(BLOCKING_READ, stream, 100) == Ok(b"789")
        assert await guest.call(BLOCKING_READ, stream, 100) == CLOSED
        assert await guest.call(READ, stream, 0) == CLOSED


@pytest.mark.parametrize("offset", [10, 11, 2**63 - 1 - BLOCK])
async def test_a_stream_from_the_end_on_is_closed(folder: Path, offset: int) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        assert await guest.call(BLOCKING_READ, await reader(guest, offset), 1) == CLOSED


async def test_a_stream_behaves_as_other_streams_do(folder: Path) -> None:
    """The loop of the reference's own test, p2_file_read_write."""
    async with filesystem_guest(writable(folder)) as guest:
        stream = await reader(guest)
        pollable = await subscribe(guest, "input", stream)
        read = b""
        while True:
            await guest.guest.call("poll#pollable.block", pollable)
            empty = await guest.call(READ, stream, 0)
            if empty == CLOSED:
                break
            assert empty == Ok(b"")
            some = await guest.call(READ, stream, 4)
            assert isinstance(some, Ok)
            assert 1 <= len(some.value) <= 4
            read += some.value
    assert read == b"0123456789"


async def test_a_read_does_not_wait_for_the_disk(folder: Path, close_gate: CloseGate) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        stream = await reader(guest)
        pollable = await subscribe(guest, "input", stream)
        disk = close_gate("pread")
        for _ in range(3):
            assert await guest.call(READ, stream, 5) == Ok(b"")
            assert not await guest.guest.call("poll#pollable.ready", pollable)
        await disk.arrival()
        disk.open()
        await guest.guest.call("poll#pollable.block", pollable)
        assert await guest.call(READ, stream, 5) == Ok(b"01234")
        assert disk.entered == 1


async def test_nothing_is_read_before_the_guest_wants_it(
    folder: Path, close_gate: CloseGate
) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        disk = close_gate("pread")
        disk.open()
        stream = await reader(guest)
        assert await guest.call(READ, stream, 0) == Ok(b"")
        await guest.succeed("stat", guest.root)
        assert disk.entered == 0
        await guest.succeed(BLOCKING_READ, stream, 1)
        assert disk.entered == 1


async def test_at_most_a_block_is_read_ahead(tmp_path: Path) -> None:
    content = os.urandom(3 * BLOCK + 1)
    (tmp_path / "file").write_bytes(content)
    async with filesystem_guest(writable(tmp_path)) as guest:
        stream = await reader(guest)
        read = []
        while (part := await guest.call(BLOCKING_READ, stream, 2**64 - 1)) != CLOSED:
            read.append(part.value)
    assert [len(part) for part in read] == [BLOCK, BLOCK, BLOCK, 1]
    assert b"".join(read) == content


async def test_what_was_read_ahead_is_not_what_the_guest_has_changed_since(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a" * 100)
    (tmp_path / "other").write_bytes(b"o" * 100)
    async with filesystem_guest(writable(tmp_path)) as guest:
        stream, other = await reader(guest), await reader(guest, name="other")
        file = await guest.opened("file", ("write",))
        for stream_of in (stream, other):
            await guest.succeed(BLOCKING_READ, stream_of, 10)

        await guest.succeed("write", file, b"b" * 100, 0)
        assert await guest.succeed(BLOCKING_READ, stream, 10) == b"b" * 10
        out = await writer(guest, 0)
        await guest.succeed(BLOCKING_WRITE, out, b"c" * 100)
        assert await guest.succeed(BLOCKING_READ, stream, 10) == b"c" * 10
        appender = await writer(guest, None)
        await guest.succeed(BLOCKING_WRITE, appender, b"d")
        await guest.succeed("set-size", file, 40)
        await guest.succeed("set-size", file, 50)
        assert await guest.succeed(BLOCKING_READ, stream, 100) == b"c" * 10 + bytes(10)
        await guest.opened("file", ("write",), ("truncate",))
        assert await guest.call(BLOCKING_READ, stream, 10) == CLOSED
        assert await guest.succeed(BLOCKING_READ, other, 100) == b"o" * 90


async def test_what_is_being_read_while_the_guest_changes_it_is_read_again(
    folder: Path, close_gate: CloseGate
) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        stream = await reader(guest)
        file = await guest.opened("file", ("write",))
        disk = close_gate("pread")
        reading = asyncio.create_task(guest.call(READ, stream, 10))
        assert await reading == Ok(b"")
        await disk.arrival()
        await guest.succeed("write", file, b"changed", 0)
        disk.open()
        assert await guest.succeed(BLOCKING_READ, stream, 100) == b"changed789"
        assert disk.entered == 2


async def test_a_failed_read_is_told_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async with filesystem_guest(writable(folder)) as guest:
        stream = await reader(guest)
        monkeypatch.setattr(os, "pread", broken)
        failure = await guest.call(BLOCKING_READ, stream, 10)
        assert await guest.error_code(failure) == "io"
        text = await guest.guest.call("error#error.to-debug-string", failure.value.payload)
        assert text == os.strerror(errno.EIO)
        assert await guest.call(BLOCKING_READ, stream, 10) == CLOSED
        assert await guest.call(READ, stream, 10) == CLOSED


async def test_streams_of_one_file_do_not_interfere(folder: Path) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        one, other = await reader(guest), await reader(guest, 5)
        assert await guest.succeed(BLOCKING_READ, one, 2) == b"01"
        assert await guest.succeed(BLOCKING_READ, other, 2) == b"56"
        assert await guest.succeed(BLOCKING_READ, one, 2) == b"23"
        assert await guest.call("input-stream.blocking-skip", other, 100) == Ok(3)
        assert await guest.succeed(BLOCKING_READ, one, 100) == b"456789"


# --- writing -----------------------------------------------------------------------------------------------


async def test_a_stream_writes_from_its_offset_on_and_fills_the_gap_with_zeroes(
    folder: Path,
) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        stream = await writer(guest, 12)
        assert await guest.call(BLOCKING_WRITE, stream, b"hello ") == Ok()
        assert await guest.call(BLOCKING_WRITE, stream, b"world") == Ok()
        stream = await writer(guest, 1)
        assert await guest.call("output-stream.blocking-write-zeroes-and-flush", stream, 2) == Ok()
        assert await guest.call(BLOCKING_WRITE, stream, b"x") == Ok()
    assert (folder / "file").read_bytes() == b"0\0\0x456789\0\0hello world"


async def test_appending_goes_after_the_end_wherever_that_is_by_then(folder: Path) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        one, other = await writer(guest, None), await writer(guest, None)
        await guest.succeed(BLOCKING_WRITE, one, b"a")
        await guest.succeed(BLOCKING_WRITE, other, b"b")
        with (folder / "file").open("ab") as file:
            file.write(b"c")
        await guest.succeed(BLOCKING_WRITE, one, b"d")
        await guest.succeed(BLOCKING_WRITE, await writer(guest, 0), b"ZERO")
        await guest.succeed(BLOCKING_WRITE, one, b"e")
    assert (folder / "file").read_bytes() == b"ZERO456789abcde"


async def test_appending_where_the_system_has_no_call_for_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.bindings.filesystem.file._APPEND", None)
    async with filesystem_guest(writable(folder)) as guest:
        one, other = await writer(guest, None), await writer(guest, None)
        for stream, data in ((one, b"a"), (other, b"b"), (one, b"c")):
            await guest.succeed(BLOCKING_WRITE, stream, data)
    assert (folder / "file").read_bytes() == b"0123456789abc"


async def test_one_permit_is_given_for_what_may_wait_for_the_disk(
    folder: Path, close_gate: CloseGate
) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        stream = await writer(guest)
        pollable = await subscribe(guest, "output", stream)
        assert await guest.guest.call("poll#pollable.ready", pollable)
        disk = close_gate("pwrite")
        assert await guest.call(CHECK_WRITE, stream) == Ok(PERMIT)
        assert await guest.call(WRITE, stream, b"first") == Ok()
        await disk.arrival()
        assert await guest.call(CHECK_WRITE, stream) == Ok(0)
        assert not await guest.guest.call("poll#pollable.ready", pollable)
        disk.open()
        await guest.guest.call("poll#pollable.block", pollable)
        assert await guest.call(CHECK_WRITE, stream) == Ok(PERMIT)
        assert (folder / "file").read_bytes() == b"first56789"


async def test_a_permit_may_be_spent_in_several_writes(folder: Path, close_gate: CloseGate) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        stream = await writer(guest)
        disk = close_gate("pwrite")
        assert await guest.call(CHECK_WRITE, stream) == Ok(PERMIT)
        for data in (b"one ", b"", b"two ", b"three"):
            assert await guest.call(WRITE, stream, data) == Ok()
        await disk.arrival()
        disk.open()
        assert await guest.call(BLOCKING_FLUSH, stream) == Ok()
        assert (folder / "file").read_bytes() == b"one two three"
        assert disk.entered == 2


async def test_a_write_beyond_the_permit_traps(folder: Path) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        stream = await writer(guest)
        assert await guest.call(CHECK_WRITE, stream) == Ok(PERMIT)
        with pytest.raises(Trap, match="check-write permitted"):
            await guest.call(WRITE, stream, bytes(PERMIT + 1))


async def test_a_flush_waits_for_what_was_written(folder: Path, close_gate: CloseGate) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        stream = await writer(guest)
        disk = close_gate("pwrite")
        await guest.succeed(CHECK_WRITE, stream)
        await guest.succeed(WRITE, stream, b"flushed")
        flushing = asyncio.create_task(guest.call(BLOCKING_FLUSH, stream))
        await disk.arrival()
        assert not flushing.done()
        disk.open()
        assert await flushing == Ok()
        assert (folder / "file").read_bytes() == b"flushed789"


@pytest.mark.parametrize("told_by", [CHECK_WRITE, BLOCKING_FLUSH, "output-stream.flush"])
async def test_a_failed_write_is_told_once_to_whoever_asks_next(folder: Path, told_by: str) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        stream = await writer(guest, FAR)
        pollable = await subscribe(guest, "output", stream)
        await guest.succeed(CHECK_WRITE, stream)
        await guest.succeed(WRITE, stream, b"too far")
        await guest.guest.call("poll#pollable.block", pollable)
        assert await guest.error_code(await guest.call(told_by, stream)) == "file-too-large"
        assert await guest.call(told_by, stream) == CLOSED
        assert await guest.call(CHECK_WRITE, stream) == CLOSED
    assert (folder / "file").read_bytes() == b"0123456789"


async def test_a_blocking_write_tells_its_own_failure(folder: Path) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        stream = await writer(guest, FAR)
        assert (
            await guest.error_code(await guest.call(BLOCKING_WRITE, stream, b"x"))
            == "file-too-large"
        )
        assert await guest.call(BLOCKING_WRITE, stream, b"x") == CLOSED


async def test_what_was_written_is_written_even_if_the_stream_is_dropped(
    folder: Path, close_gate: CloseGate
) -> None:
    disk = close_gate("pwrite")
    async with filesystem_guest(writable(folder)) as guest:
        stream = await writer(guest)
        await guest.succeed(CHECK_WRITE, stream)
        await guest.succeed(WRITE, stream, b"first ")
        await guest.succeed(WRITE, stream, b"second")
        await guest.drop("output-stream", stream)
        await disk.arrival()
        disk.open()
        await disk.arrival()
        while guest.ctx.of(OpenFiles).count:
            await guest.succeed("stat", guest.root)
    assert (folder / "file").read_bytes() == b"first second"


async def test_a_splice_copies_a_file(tmp_path: Path) -> None:
    content = os.urandom(2 * BLOCK + 5)
    (tmp_path / "file").write_bytes(content)
    async with filesystem_guest(writable(tmp_path)) as guest:
        source, sink = await reader(guest), await writer(guest, name="copy")
        while True:
            moved = await guest.call("output-stream.blocking-splice", sink, source, 2**64 - 1)
            if moved == CLOSED:
                break
            assert isinstance(moved, Ok)
        assert await guest.call(BLOCKING_FLUSH, sink) == Ok()
    assert (tmp_path / "copy").read_bytes() == content
