"""Blobs in a folder: what is in it, what is left after the end of a process, and what a full disk does."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.capabilities.backend import BackendError, BackendUnusable
from gateway.capabilities.blobstore import OPENERS, Quota, Space
from gateway.capabilities.blobstore.file import FileStore
from gateway.capabilities.blobstore.file_name import file_name, original_name
from gateway.capabilities.blobstore.store import NO_OBJECT
from gateway.config.backend_url import BackendURL
from tests.capabilities.blobstore.conftest import NO_QUOTA, listed, read, write
from tests.full_disk import full_disk

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FileStore]:
    store = FileStore(tmp_path)
    yield store
    await store.aclose()


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("report-2024_1.pdf", "report-2024_1.pdf"),
        ("a/B", "a%2f%42"),
        ("", "%"),
        ("..", "%2e."),
        ("x" * 500, f"{'x' * 240}+/{'x' * 240}+/{'x' * 20}"),
    ],
)
def test_a_file_is_called_like_its_object(name: str, path: str) -> None:
    assert file_name(name) == path
    assert original_name(path) == name


@pytest.mark.parametrize(
    "path", ["A", "%2F", "%61x", "%zz", "a%", ".x", "%ff", "ä", "a+/b", "\u20ac", f"{'x' * 241}"]
)
def test_what_was_not_made_of_a_name_has_none(path: str) -> None:
    assert original_name(path) is None


async def test_other_files_are_left_alone(space: Space, tmp_path: Path) -> None:
    (tmp_path / "c" / "README").write_bytes(b"theirs")
    (tmp_path / "c" / "folder").mkdir()
    (tmp_path / "lost+found").mkdir()
    await write(space, "o", b"1")
    assert await listed(space) == ["o"]
    assert not await space.exists("folder")
    assert not await space.exists("lost")
    await space.clear("c")
    assert sorted(os.listdir(tmp_path / "c")) == [".container", "README", "folder"]


async def test_folders_of_long_names_come_and_go(space: Space, tmp_path: Path) -> None:
    names = ["x" * 700 + end for end in ("a", "b")]
    for _ in range(3):
        await asyncio.gather(*(write(space, name, b"1") for name in names))
        assert await listed(space) == names
        await asyncio.gather(*(space.delete("c", [name]) for name in names))
        assert os.listdir(tmp_path / "c") == [".container"]


async def test_a_long_name_whose_folder_goes_meanwhile_is_kept(space: Space) -> None:
    """Each delete may remove the folder that a write is about to put its file into."""
    names = ["x" * 700 + f"{number}" for number in range(4)]

    async def turn(name: str) -> None:
        for number in range(25):
            await write(space, name, f"{number}".encode())
            assert await read(space, name) == f"{number}".encode()
            await space.delete("c", [name])

    await asyncio.gather(*map(turn, names))
    assert await listed(space) == []


WRITER = """
import asyncio, sys
from pathlib import Path
from gateway.capabilities.blobstore import Quota
from gateway.capabilities.blobstore.file import FileStore

async def write():
    space = FileStore(Path(sys.argv[1])).space("", None, Quota())
    number = 0
    while True:
        writer = await space.write("c", "o")
        await writer.write(b"%d " % number * 100_000)
        print(number, flush=True)
        await writer.commit()
        number += 1

asyncio.run(write())
"""


@contextmanager
def writing(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that writes one object again and again, and tells of each that is not yet committed."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    with process:
        yield process
        os.kill(process.pid, signal.SIGKILL)


def written_and_killed(folder: Path) -> None:
    with writing(folder) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()


async def test_of_a_process_that_is_killed_no_half_object_is_seen(
    space: Space, store: FileStore, tmp_path: Path
) -> None:
    await asyncio.to_thread(written_and_killed, tmp_path)
    content = await read(space, "o")
    first = content.partition(b" ")[0]
    assert content == (first + b" ") * 100_000
    assert int(first) >= 18
    assert await listed(space) == ["o"]


async def test_what_a_process_has_left_is_swept_away_and_nothing_else(
    space: Space, store: FileStore, tmp_path: Path
) -> None:
    alive = await space.write("c", "alive")
    await alive.write(b"1")
    (partial,) = os.listdir(tmp_path / ".partial")
    (tmp_path / ".partial" / "left").write_bytes(bytes(1000))
    (tmp_path / ".partial" / "container").mkdir()
    (tmp_path / ".partial" / "container" / "o").write_bytes(b"1")
    other = FileStore(tmp_path)
    await write(other.space("", None, NO_QUOTA), "o", b"1")
    assert os.listdir(tmp_path / ".partial") == [partial]
    await other.aclose()
    await alive.commit()
    assert await listed(space) == ["alive", "o"]


async def test_processes_keep_to_a_quota_together(tmp_path: Path) -> None:
    quota = Quota(max_objects=10)
    stores = [FileStore(tmp_path) for _ in range(2)]
    spaces = [store.space("", None, quota) for store in stores]
    await spaces[0].create("c")
    results = await asyncio.gather(
        *(write(space, f"{at}-{n}", b"") for n in range(10) for at, space in enumerate(spaces)),
        return_exceptions=True,
    )
    assert len([result for result in results if result is None]) == 10
    assert len(await listed(spaces[1])) == 10
    for store in stores:
        await store.aclose()


async def test_a_full_disk_is_an_error_and_loses_nothing(space: Space, tmp_path: Path) -> None:
    await write(space, "o", b"1")
    with full_disk(), pytest.raises(BackendError) as full:
        await write(space, "o", bytes(1 << 20))
    assert full.value.message == "the store is full"
    assert full.value.reason == "File too large"
    assert await read(space, "o") == b"1"
    await write(space, "o", bytes(1 << 20))
    assert os.listdir(tmp_path / ".partial") == []


async def test_a_folder_that_has_gone_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "blobs"
    folder.mkdir()
    store = FileStore(folder)
    space = store.space("", None, NO_QUOTA)
    folder.rmdir()
    with pytest.raises(BackendError) as failed:
        await space.create("c")
    assert failed.value.message == "the store is not available"
    assert failed.value.reason is not None
    assert not folder.exists()
    folder.mkdir()
    await space.create("c")  # the next tries again
    await write(space, "o", b"1")
    await store.aclose()


async def test_a_file_that_is_cut_off_is_an_error(space: Space, tmp_path: Path) -> None:
    await write(space, "o", bytes(1000))
    reader = await space.read("c", "o")
    os.truncate(tmp_path / "c" / "o", 10)
    with pytest.raises(BackendError, match="not available"):
        await reader.read(0, 1000)
    reader.close()


async def test_what_is_given_up_leaves_no_file_open(space: Space, store: FileStore) -> None:
    await write(space, "o", b"1")
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    for _ in range(200):
        opening = [
            asyncio.create_task(coroutine)
            for coroutine in (space.read("c", "o"), space.write("c", "p"), space.names("c"))
        ]
        await asyncio.sleep(0)
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
    await store.call(lambda: None)
    if sys.platform == "linux":
        async with asyncio.timeout(60):
            while len(os.listdir("/proc/self/fd")) > before:
                await store.call(lambda: None)
    assert await listed(space) == ["o"]


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("", 'must name a folder, such as "file:blobs"'),
        ("/nowhere/blobs", "names a folder that is not there: make /nowhere/blobs"),
        ("/etc/passwd", "must name a folder, which /etc/passwd is not"),
    ],
)
def test_what_cannot_be_used_is_refused_early(rest: str, reason: str) -> None:
    with pytest.raises(BackendUnusable) as refused:
        OPENERS["file"](BackendURL("file", rest))
    assert str(refused.value) == reason


async def test_what_others_put_there_that_is_no_file_is_no_object(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, space: Space
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").write_bytes(b"secret")
    (tmp_path / "c" / "link").symlink_to(outside / "secret")
    (tmp_path / "c" / "folder").mkdir()
    os.mkfifo(tmp_path / "c" / "pipe")  # which to open would wait for who writes to it
    (tmp_path / "c" / f"{'x' * 240}+").symlink_to(outside)
    assert await listed(space) == []
    for name in ("link", "folder", "pipe", f"{'x' * 240}secret"):
        with pytest.raises(BackendError, match=NO_OBJECT):
            await space.read("c", name)
        with pytest.raises(BackendError, match=NO_OBJECT):
            await space.info("c", name)
    assert not await space.has("c", "link")
    with pytest.raises(BackendError, match=NO_OBJECT):
        await write(space, "x" * 240 + "more", b"1")
    with pytest.raises(BackendError, match=NO_OBJECT):
        await space.delete("c", ["x" * 240 + "secret"])
    await write(space, "link", b"ours")  # takes the place of it
    assert await read(space, "link") == b"ours"
    assert (outside / "secret").read_bytes() == b"secret"
    assert os.listdir(outside) == ["secret"]


async def test_nothing_is_swept_away_elsewhere(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, space: Space
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "folder").mkdir()
    (outside / "file").touch()
    (tmp_path / ".partial").symlink_to(outside)
    with pytest.raises(BackendError, match="the store is not available"):
        await write(space, "o", b"1")
    assert sorted(os.listdir(outside)) == ["file", "folder"]
