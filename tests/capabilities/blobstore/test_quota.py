"""How much a component may keep, on the stores that count."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.capabilities.backend import BackendError
from gateway.capabilities.blobstore import BlobStore, Quota, Space, file
from gateway.capabilities.blobstore.file import FileStore
from gateway.capabilities.blobstore.memory import (
    MAX_CONTAINERS,
    MAX_MEMORY,
    MAX_OBJECTS,
    MemoryStore,
)
from tests.capabilities.blobstore.conftest import NO_QUOTA, listed, write

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "file"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobStore]:
    store: BlobStore = FileStore(tmp_path) if request.param == "file" else MemoryStore()
    yield store
    await store.aclose()


async def filled(store: BlobStore, only: str | None) -> Space:
    """A space of 3 objects and 100 bytes at most, with two containers unless it is only one, beside another."""
    space = store.space("ours-", only, Quota(max_objects=3, max_bytes=100))
    other = store.space("", None, NO_QUOTA)
    await other.create("other")
    await write(other, "o", bytes(1000), "other")
    await space.create("c")
    if only is None:
        await space.create("d")
    return space


@pytest.mark.parametrize("only", [None, "c"])
async def test_objects_and_bytes_are_counted(store: BlobStore, only: str | None) -> None:
    space = await filled(store, only)
    second = "d" if only is None else "c"
    await write(space, "äa", bytes(40))
    await write(space, "b", bytes(40), second)
    with pytest.raises(BackendError, match="more than the 100 bytes"):
        await write(space, "c", bytes(16))
    assert await listed(space) == (["äa"] if second == "d" else ["b", "äa"])
    await write(space, "c", bytes(15))
    await write(space, "c", bytes(14))
    with pytest.raises(BackendError, match="3 objects already"):
        await write(space, "d", b"")
    with pytest.raises(BackendError, match="3 objects already"):
        await space.copy(("c", "c"), ("c", "d"))
    await space.move(("c", "c"), (second, "d"))
    await space.delete("c", ["äa"])
    await write(space, "new", bytes(30))


async def test_what_is_never_finished_counts_too(store: BlobStore) -> None:
    space = await filled(store, None)
    writers = [await space.write("c", f"{number}") for number in range(3)]
    await writers[0].write(bytes(60))
    with pytest.raises(BackendError, match="100 bytes"):
        await writers[1].write(bytes(101))
    if isinstance(store, FileStore):
        with pytest.raises(BackendError, match="100 bytes"):
            await writers[2].write(bytes(60))
    for writer in writers:
        await writer.abort()
    await write(space, "o", bytes(60))
    await write(space, "o", bytes(99))


async def test_memory_is_bounded() -> None:
    store = MemoryStore()
    space = store.space("", None, NO_QUOTA)
    await space.create("c")
    await write(space, "half", bytes(MAX_MEMORY // 2))
    writer = await space.write("c", "rest")
    await writer.write(bytes(MAX_MEMORY // 2))
    for full in (write(space, "more", b"1"), space.copy(("c", "half"), ("c", "copy"))):
        with pytest.raises(BackendError) as refused:
            await full
        assert refused.value.message == "the store is full"
    await space.move(("c", "half"), ("c", "moved"))
    await writer.abort()
    await space.copy(("c", "moved"), ("c", "copy"))
    await space.remove("c")
    assert store.free == MAX_MEMORY


async def test_objects_and_containers_in_memory_are_bounded() -> None:
    store = MemoryStore()
    space = store.space("", None, NO_QUOTA)
    for number in range(MAX_CONTAINERS):
        await space.create(f"{number}")
    with pytest.raises(BackendError, match="containers already"):
        await space.create("more")
    await space.remove("1")
    await space.create("c")
    for number in range(MAX_OBJECTS):
        await write(space, f"{number}", b"")
    with pytest.raises(BackendError, match="objects already"):
        await write(space, "more", b"")
    await write(space, "1", b"again")


async def test_a_lock_that_another_has_is_waited_for_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(tmp_path)
    space = await filled(store, None)
    await write(space, "a", bytes(1))
    with (tmp_path / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        monkeypatch.setattr(file, "LOCK_WAIT", 0.05)
        writing = [asyncio.create_task(write(space, f"{n}", bytes(1))) for n in range(8)]
        for task in writing:
            with pytest.raises(BackendError, match="not available") as raised:
                await task
            assert ".lock" in str(raised.value.reason)
        monkeypatch.undo()
        later = asyncio.create_task(write(space, "b", bytes(1)))
        assert await listed(space) == ["a"]  # others are served meanwhile
    await later
    assert sorted(await listed(space)) == ["a", "b"]
    await store.aclose()
