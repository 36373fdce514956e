"""What every store does, whatever is behind it."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.capabilities.backend import BackendError
from gateway.capabilities.blobstore import BlobStore, Quota, Space
from gateway.capabilities.blobstore.memory import MemoryStore
from gateway.capabilities.blobstore.store import MAX_NAME, NO_CONTAINER, NO_OBJECT, transfer
from tests.capabilities.blobstore.conftest import NO_QUOTA, listed, read, write

pytestmark = pytest.mark.anyio

NAMES = [
    "a",
    "A",
    "a/b",
    "/a",
    "a/",
    "a//b",
    "/",
    "",
    ".",
    "..",
    "a.",
    "a../b.",
    "../../etc/passwd",
    "a/../b",
    ".container",
    ".partial",
    "%",
    "%2f",
    "%container",
    "+",
    "a+/b",
    " ",
    "ä\u0301",
    "\U0001f600",
    "\x00\x01\x7f\n",
    "\\ { } ^ ` ] > [ ~ < # | * ? : &",
    "n" * (MAX_NAME - 2),
    "ä" * (MAX_NAME // 2 - 1),
]


@pytest.mark.parametrize("name", NAMES)
async def test_any_name_has_its_object(space: Space, name: str) -> None:
    assert not await space.has("c", name)
    with pytest.raises(BackendError, match=NO_OBJECT):
        await space.info("c", name)
    await write(space, name, b"content")
    await write(space, "other", b"")
    assert await space.has("c", name)
    assert await read(space, name) == b"content"
    assert (await space.info("c", name)).size == 7
    assert await listed(space) == sorted([name, "other"])
    await space.move(("c", name), ("c", "moved"))
    await space.copy(("c", "moved"), ("c", name))
    assert await listed(space) == sorted([name, "moved", "other"])
    await space.delete("c", [name, "moved"])
    await space.delete("c", [name])
    assert await listed(space) == ["other"]


async def test_names_that_a_system_may_confuse_are_apart(space: Space) -> None:
    for name in NAMES:
        await write(space, name, name.encode())
    assert await listed(space, count=7) == sorted(NAMES)
    for name in NAMES:
        assert await read(space, name) == name.encode()
    await space.clear("c")
    assert await listed(space) == []
    assert await space.exists("c")


@pytest.mark.parametrize(
    "container", ["a", "A", "a/b", "..", "", "%", "\x00", "ä" * 127, "x" * 255]
)
async def test_any_container_has_its_objects(space: Space, container: str) -> None:
    assert not await space.exists(container)
    await space.remove(container)
    await space.create(container)
    with pytest.raises(BackendError, match="exists already"):
        await space.create(container)
    assert await space.exists(container)
    await write(space, "o", b"1", container)
    await write(space, "o", b"2")
    assert await read(space, "o", container) == b"1"
    assert await listed(space, container) == ["o"]
    await space.remove(container)
    await space.remove(container)
    assert not await space.exists(container)
    await space.create(container)
    assert await listed(space, container) == []
    assert await read(space, "o") == b"2"


async def test_a_container_that_is_missing_is_an_error(space: Space) -> None:
    await write(space, "o", b"")
    for call in (
        space.created_at("x"),
        space.clear("x"),
        space.names("x"),
        space.has("x", "o"),
        space.info("x", "o"),
        space.read("x", "o"),
        space.write("x", "o"),
        space.delete("x", ["o"]),
        space.copy(("x", "o"), ("c", "o")),
        space.copy(("c", "o"), ("x", "o")),
        space.move(("x", "o"), ("c", "o")),
        space.move(("c", "o"), ("x", "o")),
    ):
        with pytest.raises(BackendError) as missing:
            await call
        assert missing.value.message == NO_CONTAINER
        assert missing.value.reason is None
    assert await listed(space) == ["o"]


async def test_an_object_that_is_missing_is_an_error(space: Space) -> None:
    for call in (
        space.info("c", "x"),
        space.read("c", "x"),
        space.copy(("c", "x"), ("c", "o")),
        space.move(("c", "x"), ("c", "o")),
    ):
        with pytest.raises(BackendError) as missing:
            await call
        assert missing.value.message == NO_OBJECT
    assert await listed(space) == []


async def test_times_are_seconds_since_1970(space: Space) -> None:
    """wasi:blobstore/types: `created-at` of containers and objects is in seconds since 1970."""
    await write(space, "o", b"")
    for at in (await space.created_at("c"), (await space.info("c", "o")).created_at):
        assert abs(at - time.time()) < 3600


@pytest.mark.parametrize("size", [0, 1, 64 << 10, (256 << 10) + 1, 12 << 20])
async def test_an_object_is_what_was_written(space: Space, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    await write(space, "o", content[:size])
    assert await read(space, "o") == content[:size]
    reader = await space.read("c", "o")
    assert reader.size == size
    if size > 1:
        middle = size // 2 - 1
        assert await reader.read(middle, 2) == content[middle : middle + 2]
        assert await reader.read(size - 1, 1) == content[size - 1 : size]
    reader.close()
    reader.close()


async def test_nothing_is_seen_of_what_was_not_committed(space: Space) -> None:
    await write(space, "o", b"first")
    for name in ("o", "new"):
        writer = await space.write("c", name)
        await writer.write(bytes(6 << 20))
        assert await listed(space) == ["o"]
        assert await read(space, "o") == b"first"
        await writer.abort()
        await writer.abort()
    assert await listed(space) == ["o"]
    assert await read(space, "o") == b"first"


async def test_an_object_takes_the_place_of_another_at_once(space: Space) -> None:
    await write(space, "o", b"first")
    writer = await space.write("c", "o")
    await writer.write(b"second")
    assert await read(space, "o") == b"first"
    await writer.commit()
    await writer.abort()
    assert await read(space, "o") == b"second"
    assert await listed(space) == ["o"]


async def test_a_copy_is_an_object_of_its_own(space: Space) -> None:
    await space.create("d")
    await write(space, "o", b"1")
    await space.copy(("c", "o"), ("d", "p"))
    await space.copy(("c", "o"), ("c", "o"))
    await write(space, "o", b"2")
    assert await read(space, "p", "d") == b"1"
    await space.move(("d", "p"), ("c", "o"))
    assert await read(space, "o") == b"1"
    assert await listed(space, "d") == []


async def test_spaces_keep_components_apart(store: BlobStore) -> None:
    ours, theirs = store.space("a-", None, NO_QUOTA), store.space("b-", None, NO_QUOTA)
    await ours.create("c")
    await theirs.create("c")
    await write(ours, "o", b"ours")
    await write(theirs, "o", b"theirs")
    assert await read(ours, "o") == b"ours"
    await transfer(ours, ("c", "o"), theirs, ("c", "copy"))
    assert await listed(theirs) == ["copy", "o"]
    assert await read(theirs, "copy") == b"ours"
    await ours.remove("c")
    assert await read(theirs, "o") == b"theirs"


async def test_others_go_on_while_a_large_object_is_copied_to_another_store() -> None:
    spaces = [MemoryStore().space("", None, NO_QUOTA) for _ in range(2)]
    for space in spaces:
        await space.create("c")
    await write(spaces[0], "o", bytes(64 << 20))
    copying = asyncio.create_task(transfer(spaces[0], ("c", "o"), spaces[1], ("c", "o")))
    turns = 0
    while not copying.done():
        await asyncio.sleep(0)
        turns += 1
    await copying
    assert turns > 64  # each for a megabyte or less


async def test_a_writer_of_a_container_that_went_away_fails(space: Space) -> None:
    writer = await space.write("c", "o")
    await writer.write(b"1")
    await space.remove("c")
    with pytest.raises(BackendError, match=NO_CONTAINER):
        await writer.commit()
    await writer.abort()
    assert not await space.exists("c")


async def test_an_object_may_only_be_so_large(store: BlobStore) -> None:
    space = store.space("", None, Quota(max_object=10))
    await space.create("c")
    await write(space, "o", bytes(10))
    writer = await space.write("c", "o")
    await writer.write(bytes(10))
    with pytest.raises(BackendError, match="more than the 10 bytes"):
        await writer.write(b"1")
    await writer.abort()
    assert await read(space, "o") == bytes(10)
