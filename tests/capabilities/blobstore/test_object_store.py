"""Blobs in object stores: how they lie there, and what is seen of one that is down, held, or lets nobody in."""

from __future__ import annotations

import asyncio
import random
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import obstore
import pytest

from gateway.bindings.context import Caller
from gateway.capabilities.backend import BackendError, BackendUnusable
from gateway.capabilities.blobstore import OPENERS, Quota, Space
from gateway.capabilities.blobstore.object_key import AZURE_KEYS, PLAIN_KEYS
from gateway.capabilities.blobstore.object_store import MAX_REQUESTS, PART, ObjectStore
from gateway.capabilities.operations import Operation, Operations
from gateway.config.backend_url import BackendURL
from tests.capabilities.blobstore.conftest import (
    NO_QUOTA,
    OBJECT_SERVERS,
    listed,
    read,
    write,
)
from tests.capabilities.kept import Kept, many
from tests.capabilities.servers import S3, ObjectServer, Rclone
from tests.patience import PATIENCE, until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=OBJECT_SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectServer]:
    """A server that the test may do anything to."""
    with OBJECT_SERVERS[request.param](tmp_path) as server:
        yield server


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[ObjectStore, Space]]:
    store = ObjectStore(BackendURL.parse(url))
    yield store, store.space("", None, NO_QUOTA)
    await store.aclose()


async def failed(work: Awaitable[object]) -> BackendError:
    """The error that something ends in, which tells the guest nothing of the server."""
    with pytest.raises(BackendError) as failure:
        await asyncio.wait_for(work, PATIENCE)
    assert failure.value.message == "the store is not available"
    assert failure.value.reason is not None
    return failure.value


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("pictures/2024 summer/ä.jpg", "pictures/2024 summer/ä.jpg"),
        ("", "%"),
        ("/a//b/", "%/a/%/b/%"),
        ("../.", "%2E./%2E"),
        ("50%\n", "50%25%0A"),
    ],
)
def test_a_key_is_the_name_where_that_can_be(name: str, key: str) -> None:
    assert PLAIN_KEYS.of_object(name) == key
    assert PLAIN_KEYS.original(key) == name


@pytest.mark.parametrize("key", ["50%", "%container", "%2f", "a//b", "%41", "a/."])
def test_what_was_not_made_of_a_name_has_none(key: str) -> None:
    assert PLAIN_KEYS.original(key) is None


def test_a_container_is_one_part_of_a_key() -> None:
    assert PLAIN_KEYS.of_container("a/b") == "a%2Fb"
    assert PLAIN_KEYS.of_container("..") == "%2E."


@pytest.mark.parametrize(
    ("name", "key"),
    [("a\\b", "a%5Cb"), ("a../b.", "a.%2E/b%2E"), ("..", ".%2E"), (".a", ".a"), ("/", "%/%")],
)
def test_a_key_of_azure_has_no_backslash_and_no_dot_at_an_end(name: str, key: str) -> None:
    assert AZURE_KEYS.of_object(name) == key
    assert AZURE_KEYS.original(key) == name
    assert PLAIN_KEYS.original(name) == (name if name in {"a\\b", "a../b.", ".a"} else None)


async def test_other_programs_see_keys(object_url: str) -> None:
    async with opened(object_url) as (store, space):
        await space.create("c")
        await write(space, "a/b.txt", b"ours")
        found = await obstore.get_async(store.client, "c/a/b.txt")
        assert bytes(await found.bytes_async()) == b"ours"
        for key, content in (("c/theirs", b"theirs"), ("c/50%", b""), ("filled/o", b"1")):
            await obstore.put_async(store.client, key, content)
        assert await read(space, "theirs") == b"theirs"
        assert await listed(space) == ["a/b.txt", "theirs"]
        assert await space.exists("filled")
        assert await space.created_at("filled") > 0
        assert await read(space, "o", "filled") == b"1"
        assert not await space.exists("fil")


async def test_an_object_that_is_replaced_is_not_read_on(object_url: str) -> None:
    async with opened(object_url) as (_, space):
        await space.create("c")
        await write(space, "o", b"first")
        reader = await space.read("c", "o")
        assert await reader.read(0, 2) == b"fi"
        await write(space, "o", b"second")
        with pytest.raises(BackendError, match="replaced or removed"):
            await reader.read(2, 3)
        reader.close()


def uploads(server: S3) -> int:
    """How many uploads are under way."""
    return len(re.findall("<Upload>", httpx.get(f"{server.endpoint}/blobs?uploads").text))


async def test_parts_of_what_is_given_up_are_removed(s3_server: S3) -> None:
    """In S3, which keeps and shows them; Azure removes them after a week."""
    async with opened(s3_server.part("parts")) as (_, space):
        before = uploads(s3_server)
        await space.create("c")
        for _ in range(40):  # more than may be written at once
            writer = await asyncio.wait_for(space.write("c", "o"), PATIENCE)
            await writer.write(b"small")
            await writer.abort()
        writer = await space.write("c", "o")
        for _ in range(3):
            await writer.write(bytes(PART))
        assert uploads(s3_server) == before + 1
        await writer.abort()
        assert uploads(s3_server) == before
        assert await listed(space) == []


async def test_a_server_that_is_down_is_an_error_until_it_is_back(server: ObjectServer) -> None:
    server.kill()
    async with opened(server.url) as (store, space):
        for work in (
            space.create("c"),
            space.exists("c"),
            space.remove("c"),
            space.names("c"),
            space.read("c", "o"),
            space.write("c", "o"),
            space.copy(("c", "o"), ("c", "p")),
        ):
            await failed(work)
        server.start()
        await noticed(store, down=False)
        await space.create("c")
        await write(space, "o", b"1")
        assert await read(space, "o") == b"1"


async def noticed(store: ObjectStore, *, down: bool) -> None:
    """Wait until it is noticed that the server is down, or no more."""
    await until(lambda: (store.availability.trouble is not None) == down)


async def test_under_load_a_server_that_is_killed_is_found_again(server: ObjectServer) -> None:
    """They keep their objects in memory, so after that there are none."""
    async with opened(server.url) as (store, space):
        await space.create("c")
        stop = asyncio.Event()

        async def load(name: str) -> int:
            done = 0
            while not stop.is_set():
                try:
                    await write(space, name, name.encode())
                    assert await read(space, name) == name.encode()
                    done += 1
                except BackendError:
                    await asyncio.sleep(0)
            return done

        loads = [asyncio.create_task(load(f"{number}")) for number in range(4)]
        async with asyncio.timeout(PATIENCE):
            while not await space.has("c", "3"):
                pass
        server.kill()
        await noticed(store, down=True)
        await asyncio.to_thread(server.start)
        await noticed(store, down=False)
        async with asyncio.timeout(PATIENCE):
            while not await space.exists("c"):
                await space.create("c")
            while not await space.has("c", "0"):
                pass
        stop.set()
        assert all(await asyncio.wait_for(asyncio.gather(*loads), PATIENCE))


async def test_a_server_that_is_held_is_an_error_in_time(
    object_server: ObjectServer, object_url: str
) -> None:
    async with opened(object_url) as (store, space):
        await space.create("c")
        await write(space, "o", bytes(1000))
        reader = await space.read("c", "o")
        writer = await space.write("c", "p")
        await writer.write(b"1")
        operations = Operations("shop", store.kind, timeout=0.5)
        what, caller = Operation("wasi:blobstore/container", "get-data"), Caller("shop", "1")
        object_server.hold()
        try:
            for work in (partial(reader.read, 0, 10), partial(space.read, "c", "o"), writer.commit):
                with pytest.raises(BackendError, match=r"did not answer in time|not available"):
                    await operations.perform(what, caller, work)
            await asyncio.wait_for(writer.abort(), PATIENCE)
        finally:
            object_server.let_go()
        await noticed(store, down=False)
        assert await read(space, "o") == bytes(1000)


async def test_who_is_not_let_in_gets_an_error(server: ObjectServer) -> None:
    async with opened(server.url) as (_, space):
        await space.create("c")
    async with opened(server.let_nobody_in()) as (store, space):
        for work in (space.exists("c"), space.create("d"), space.read("c", "o")):
            error = await failed(work)
            assert server.secret not in str(error.reason)
        assert store.availability.trouble is None


async def test_a_bucket_that_is_missing_is_an_error(object_server: ObjectServer) -> None:
    async with opened(f"{object_server.scheme}://missing?{object_server.options}") as (_, space):
        await failed(space.create("c"))
        await failed(space.names("c"))


@pytest.mark.long
async def test_nothing_is_left_of_operations(tmp_path: Path) -> None:
    """20,000 of them: done, of what is missing, too large, given up, timed out, or of guests that left."""
    chance = random.Random(1)  # noqa: S311 - of a test
    with Rclone(tmp_path) as server:
        before = Kept.now()
        async with opened(server.url) as (store, space):
            small = store.space("", None, Quota(max_object=10))
            hasty = Operations("shop", store.kind, timeout=0.0005)
            what, caller = Operation("wasi:blobstore/container", "get-data"), Caller("shop", "1")
            await space.create("c")
            await write(space, "o", bytes(1000))

            async def one() -> None:
                match chance.randrange(8):
                    case 0:
                        await write(space, "p", bytes(100))
                    case 1:
                        await read(space, "o")
                    case 2:
                        await space.read("c", "missing")
                    case 3:
                        await write(small, "q", bytes(100))
                    case 4:
                        await hasty.perform(what, caller, space.read, "c", "o")
                    case 5:
                        writer = await space.write("c", "q")
                        await writer.write(b"1")
                        await writer.abort()
                    case 6:
                        await space.has("c", "o")
                    case _:
                        leaving = asyncio.create_task(space.read("c", "o"))
                        await asyncio.sleep(0)
                        leaving.cancel()
                        await leaving

            await many(one, 20)
            begun = Kept.now()
            await many(one, 380)
            # Two grants have as many each, and connections are kept.
            await until(lambda: begun.holds(sockets=2 * MAX_REQUESTS))
            assert await listed(space) == ["o", "p"]
        await until(lambda: before.holds(sockets=2 * MAX_REQUESTS))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("s3://", "names no bucket that could be used"),
        ("az://container", "names no bucket that could be used"),
        ("s3://b?nonsense=secret", "has an option in its query that its client does not know"),
        ("s3://b?timeout=secret", "has an option in its query that its client does not know"),
        ("s3://b?conditional_put=secret", r'Failed to parse "\.\.\."'),
        ("s3://b?endpoint=https://user:secret@host", "has an endpoint with credentials in it"),
    ],
)
def test_what_cannot_be_used_is_refused_early(url: str, reason: str) -> None:
    parsed = BackendURL.parse(url)
    with pytest.raises(BackendUnusable, match=reason) as refused:
        OPENERS[parsed.scheme](parsed)
    assert "secret" not in str(refused.value)


def test_what_the_store_does_not_count_is_refused() -> None:
    store = OPENERS["s3"](BackendURL.parse("s3://b?region=x"))
    with pytest.raises(BackendUnusable, match="leave max_objects and max_bytes out"):
        store.space("", None, Quota(max_bytes=1))


def test_a_client_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gateway.capabilities.blobstore.object_store")
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(BackendUnusable, match=r"pip install 'component-gateway\[blob\]'"):
        OPENERS["s3"](BackendURL.parse("s3://b"))
