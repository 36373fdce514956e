"""wasi:filesystem, what the host must not lose or mix up: file descriptors, threads, the event loop's time."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.bindings.descriptors import Descriptors
from gateway.bindings.filesystem import worker
from gateway.bindings.filesystem.handle import Handle
from gateway.bindings.filesystem.mount import Mount
from gateway.bindings.filesystem.open_files import MAX_OPEN_FILES
from gateway.bindings.filesystem.worker import WORKERS
from gateway.host.errors import Trap
from gateway.host.values import Err, Ok
from tests.bindings.filesystem.gate import CloseGate
from tests.bindings.filesystem.guest import FilesystemGuest, filesystem_guest, read_only, writable
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`file`, `other` and `dir`."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "other").write_bytes(b"another")
    return tmp_path


def open_descriptors() -> set[tuple[int, int, int]]:
    """The file descriptors of this process that are of files and directories, each with the file that it is of."""
    found = set()
    for fd in range(256 + 4 * MAX_OPEN_FILES):
        try:
            status = os.fstat(fd)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            found.add((fd, status.st_dev, status.st_ino))
    return found


async def idle(*, workers: int = WORKERS) -> None:
    """Wait until so many workers have nothing to do, closing what they worked with included."""
    for _ in range(2):
        barrier = threading.Barrier(workers)
        waiting = [worker.submit(barrier.wait, PATIENCE) for _ in range(workers)]
        await asyncio.gather(*map(asyncio.wrap_future, waiting))


@asynccontextmanager
async def nothing_left_open() -> AsyncIterator[None]:
    """Whatever is opened meanwhile must be closed in the end."""
    await idle()
    before = open_descriptors()
    yield
    await idle()
    assert open_descriptors() == before


@pytest.fixture
def busy_workers() -> Iterator[threading.Event]:
    """An event that all workers wait for, which is set when the test ends."""
    released, arrived = threading.Event(), threading.Barrier(WORKERS + 1)

    def wait() -> None:
        arrived.wait(PATIENCE)
        assert released.wait(PATIENCE)

    for _ in range(WORKERS):
        worker.submit(wait)
    arrived.wait(PATIENCE)
    yield released
    released.set()


# --- the event loop ----------------------------------------------------------------------------------------


async def test_no_call_holds_up_the_event_loop(folder: Path, busy_workers: threading.Event) -> None:
    async with filesystem_guest(read_only(folder)) as one, filesystem_guest() as other:
        stating = asyncio.create_task(one.call("stat", one.root))
        for _ in range(10):
            assert await other.guest.call("monotonic-clock#now") > 0
        assert not stating.done()
        busy_workers.set()
        assert isinstance(await stating, Ok)


async def test_a_guest_can_do_other_things_while_a_stream_waits_for_the_disk(
    folder: Path, close_gate: CloseGate
) -> None:
    async with filesystem_guest(read_only(folder)) as guest:
        stream = await guest.succeed("read-via-stream", await guest.opened("file"), 0)
        pollable = await guest.call("input-stream.subscribe", stream)
        disk = close_gate("pread")
        assert not await guest.guest.call("poll#pollable.ready", pollable)
        await disk.arrival()
        assert await guest.guest.call("monotonic-clock#now") > 0
        assert list(await guest.entries(await guest.opened("dir"))) == []
        disk.open()
        assert await guest.call("input-stream.blocking-read", stream, 7) == Ok(b"content")


# --- file descriptors --------------------------------------------------------------------------------------


async def use_everything(guest: FilesystemGuest) -> None:
    """Open one of each kind."""
    file = await guest.opened("file", ("read", "write"))
    await guest.opened("dir")
    stream = await guest.succeed("read-via-stream", file, 0)
    await guest.succeed("input-stream.blocking-read", stream, 1)
    sink = await guest.succeed("append-via-stream", file)
    await guest.succeed("output-stream.blocking-write-and-flush", sink, b"x")
    listing = await guest.succeed("read-directory", guest.root)
    await guest.succeed("directory-entry-stream.read-directory-entry", listing)
    await guest.succeed("read-directory", guest.root)


async def test_what_a_guest_drops_is_closed(folder: Path) -> None:
    async with nothing_left_open(), filesystem_guest(writable(folder)) as guest:
        await idle()
        before = open_descriptors()
        for open_flags in ((), ("directory",)):
            await guest.drop("descriptor", await guest.opened("dir", ("read",), open_flags))
        stream = await guest.succeed("read-directory", guest.root)
        await guest.drop("directory-entry-stream", stream)
        file = await guest.opened("file", ("read", "write"))
        streams = [
            ("input-stream", await guest.succeed("read-via-stream", file, 0)),
            ("output-stream", await guest.succeed("write-via-stream", file, 0)),
            ("output-stream", await guest.succeed("append-via-stream", file)),
        ]
        await guest.drop("descriptor", file)
        await idle()
        assert len(open_descriptors()) == len(before) + 1
        for kind, handle in streams:
            await guest.drop(kind, handle)
        await idle()
        assert open_descriptors() == before


async def test_what_a_guest_leaves_open_is_closed_when_it_returns(folder: Path) -> None:
    async with nothing_left_open(), filesystem_guest(writable(folder)) as guest:
        await use_everything(guest)


async def test_what_a_guest_leaves_open_is_closed_when_it_traps(folder: Path) -> None:
    async with nothing_left_open(), filesystem_guest(writable(folder)) as guest:
        await use_everything(guest)
        with pytest.raises(Trap, match="empty list"):
            await guest.guest.call("poll#poll", [])


async def test_what_a_guest_leaves_open_is_closed_when_it_is_cancelled(folder: Path) -> None:
    async with nothing_left_open(), filesystem_guest(writable(folder)) as guest:
        await use_everything(guest)
        await guest.guest.abort()


@pytest.mark.parametrize(
    ("system_call", "name", "arguments"),
    [
        ("open", "open-at", ((), "file", (), ("read",))),
        ("open", "read-directory", ()),
        ("stat", "open-at", ((), "file", (), ("read",))),
        ("stat", "stat-at", ((), "dir")),
        ("mkdir", "create-directory-at", ("dir/new",)),
        ("fstat", "stat", ()),
    ],
)
async def test_a_call_that_its_guest_does_not_wait_for_any_more_is_finished_and_forgotten(
    folder: Path, close_gate: CloseGate, system_call: str, name: str, arguments: tuple[object, ...]
) -> None:
    async with nothing_left_open(), filesystem_guest(writable(folder)) as guest:
        disk = close_gate(system_call)
        calling = asyncio.create_task(guest.call(name, guest.root, *arguments))
        await disk.arrival()
        await guest.guest.abort()
        with pytest.raises(asyncio.CancelledError):
            await calling
        disk.open()


async def test_a_call_that_no_thread_has_begun_is_not_begun_after_its_guest_is_gone(
    folder: Path, busy_workers: threading.Event
) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        calling = asyncio.create_task(guest.call("create-directory-at", guest.root, "new"))
        await other_tasks()
        await guest.guest.abort()
        with pytest.raises(asyncio.CancelledError):
            await calling
        busy_workers.set()
    await idle()
    assert not (folder / "new").exists()


async def other_tasks() -> None:
    """Let what is ready to run come as far as it can without any thread."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_file_that_a_thread_reads_is_not_closed_under_it(
    folder: Path, close_gate: CloseGate
) -> None:
    async with nothing_left_open(), filesystem_guest(writable(folder)) as guest:
        file = await guest.opened("file")
        stream = await guest.succeed("read-via-stream", file, 0)
        await idle()
        before = open_descriptors()
        disk = close_gate("pread")
        assert await guest.call("input-stream.read", stream, 7) == Ok(b"")
        await disk.arrival()
        await guest.drop("input-stream", stream)
        await guest.drop("descriptor", file)
        await idle(workers=WORKERS - 1)
        assert before <= open_descriptors()
        disk.open()


async def test_a_file_that_a_thread_reads_for_a_guest_that_is_gone_is_not_closed_under_it(
    folder: Path, close_gate: CloseGate
) -> None:
    async with nothing_left_open():
        async with filesystem_guest(writable(folder)) as guest:
            file = await guest.opened("file")
            await idle()
            before = open_descriptors()
            disk = close_gate("pread")
            reading = asyncio.create_task(guest.call("read", file, 7, 0))
            await disk.arrival()
            await guest.guest.abort()
            with pytest.raises(asyncio.CancelledError):
                await reading
            identity = ((folder / "file").stat().st_dev, (folder / "file").stat().st_ino)
            held = {entry for entry in before if entry[1:] == identity}
            assert held
            await idle(workers=WORKERS - 1)
            assert held <= open_descriptors()
        disk.open()


def test_a_handle_that_was_released_cannot_be_held_again(folder: Path) -> None:
    handle = Handle(os.open(folder / "file", os.O_RDONLY))
    handle.hold()
    handle.release()
    assert os.fstat(handle.fd)
    handle.release()
    with pytest.raises(ValueError, match="closed"):
        handle.hold()


async def test_a_handle_that_nobody_ever_held_is_closed(folder: Path) -> None:
    """One that was made for a guest whose table is full, say."""
    async with nothing_left_open():
        handle = Handle(os.open(folder / "file", os.O_RDONLY))
        del handle
        gc.collect()


# --- limits ------------------------------------------------------------------------------------------------


async def test_a_guest_may_have_so_many_files_open_and_no_more(folder: Path) -> None:
    async with nothing_left_open(), filesystem_guest(writable(folder)) as guest:
        file = await guest.opened("file", ("read", "write"))
        kept = [file]
        while len(kept) < MAX_OPEN_FILES - 3:
            kept.append(await guest.opened("file"))
        stream = await guest.succeed("read-via-stream", file, 0)
        sink = await guest.succeed("write-via-stream", file, 0)
        listing = await guest.succeed("read-directory", guest.root)

        refused = Err("insufficient-memory")
        assert await guest.open_at("file") == refused
        assert await guest.call("read-via-stream", file, 0) == refused
        assert await guest.call("write-via-stream", file, 0) == refused
        assert await guest.call("append-via-stream", file) == refused
        assert await guest.call("read-directory", guest.root) == refused

        for kind, handle in (
            ("input-stream", stream),
            ("output-stream", sink),
            ("directory-entry-stream", listing),
            ("descriptor", kept.pop()),
        ):
            await guest.drop(kind, handle)
            kept.append(await guest.opened("dir"))
            assert await guest.open_at("file") == refused


async def test_what_failed_to_open_does_not_count(folder: Path) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        for _ in range(MAX_OPEN_FILES + 1):
            assert await guest.open_at("nothing") == Err("no-entry")
        for _ in range(MAX_OPEN_FILES + 1):
            assert await guest.call("read-via-stream", guest.root, 0) == Err("is-directory")
        assert await guest.content("file") == b"content"


async def test_preopened_directories_do_not_count(folder: Path) -> None:
    async with nothing_left_open(), filesystem_guest(read_only(folder)) as guest:
        await idle()
        before = open_descriptors()
        for _ in range(MAX_OPEN_FILES + 1):
            await guest.guest.call("preopens#get-directories")
        assert open_descriptors() == before
        assert await guest.content("file") == b"content"


async def test_a_dropped_stream_counts_until_its_thread_is_done(
    folder: Path, close_gate: CloseGate
) -> None:
    """Or a guest could leave more and more of them behind, where the disk is slow."""
    async with filesystem_guest(writable(folder)) as guest:
        file = await guest.opened("file")
        disk = close_gate("pread")
        for _ in range(MAX_OPEN_FILES - 1):
            stream = await guest.succeed("read-via-stream", file, 0)
            assert await guest.call("input-stream.read", stream, 1) == Ok(b"")
            await guest.drop("input-stream", stream)
        assert await guest.call("read-via-stream", file, 0) == Err("insufficient-memory")
        disk.open()
        await idle()
        await other_tasks()
        assert isinstance(await guest.call("read-via-stream", file, 0), Ok)


async def test_a_host_without_file_descriptors_says_what_a_guest_with_too_many_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_args: object, **_kwargs: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async with filesystem_guest(read_only(folder)) as guest:
        monkeypatch.setattr(os, "open", exhausted)
        assert await guest.open_at("file") == Err("insufficient-memory")


def test_no_more_threads_than_said(folder: Path) -> None:
    async def many() -> None:
        guests = [filesystem_guest(read_only(folder)) for _ in range(3 * WORKERS)]
        entered = [await guest.__aenter__() for guest in guests]
        await asyncio.gather(*(guest.content("file") for guest in entered))
        for guest in guests:
            await guest.__aexit__(None, None, None)

    asyncio.run(many())
    names = [thread.name for thread in threading.enumerate()]
    assert 0 < sum(name.startswith("wasi-filesystem") for name in names) <= WORKERS


async def test_a_component_without_a_file_descriptor_left_is_told_so(folder: Path) -> None:
    share = Descriptors(4).share("tested")
    deep = folder / "a" / "b" / "c" / "d"
    deep.mkdir(parents=True)
    (deep / "file").touch()
    refused = Err("insufficient-memory")
    async with nothing_left_open():
        async with filesystem_guest(Mount(folder, "/", share=share)) as guest:
            # Four directories are held on the way to the file, and then there is none left for the file.
            assert isinstance(await guest.call("stat-at", guest.root, (), "a/b/c/d/file"), Ok)
            assert await guest.open_at("a/b/c/d/file") == refused
            assert share.used == 0
            file = await guest.opened("file")
            assert await guest.call("stat-at", guest.root, (), "a/b/c/d/file") == refused
            listing = await guest.succeed("read-directory", guest.root)
            await guest.opened("file")
            await guest.opened("file")
            # To go on listing takes one more.
            entry = "directory-entry-stream.read-directory-entry"
            assert await guest.call(entry, listing) == refused
            assert await guest.open_at("file") == refused
            await guest.drop("descriptor", file)
            await idle()
            assert share.used == 3
            await guest.opened("file")
        await idle()
        assert share.used == 0
