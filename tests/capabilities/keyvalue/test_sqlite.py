"""Stores in SQLite: what is left of them after the end of a process, and what others do to the file."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.capabilities.backend import BackendError
from gateway.capabilities.keyvalue import KeyValueStore, Quota
from gateway.capabilities.keyvalue.memory import MAX_MEMORY_KEYS, MemoryStore
from gateway.capabilities.keyvalue.sqlite import SQLiteStore
from gateway.testing import KeyValue
from tests.capabilities.keyvalue.conftest import QUOTA
from tests.patience import PATIENCE
from tests.stalls import nothing_holds_the_loop

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(path)
    yield store
    await store.aclose()


WRITER = """
import asyncio, sys
from pathlib import Path
from gateway.capabilities.keyvalue import KeyValueStore, Quota
from gateway.capabilities.keyvalue.sqlite import SQLiteStore

async def write():
    bucket = SQLiteStore(Path(sys.argv[1])).bucket("", Quota(1024))
    while True:
        print(await bucket.increment("n", 1, 0, 1 << 62), flush=True)

asyncio.run(write())
"""


def written_and_killed(path: Path) -> int:
    """The last number that a process said it had written before it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process:
        last = [int(process.stdout.readline()) for _ in range(100)][-1]
        os.kill(process.pid, signal.SIGKILL)
        rest = [
            int(line)
            for line in process.stdout.read().splitlines(keepends=True)
            if line[-1:] == "\n"
        ]
    return rest[-1] if rest else last


async def test_what_was_written_survives_the_process(path: Path, store: SQLiteStore) -> None:
    told = await asyncio.to_thread(written_and_killed, path)
    # One more may have been kept than was told.
    assert int(await store.bucket("", QUOTA).get("n") or b"") in {told, told + 1}


async def test_processes_share_a_file(path: Path, store: SQLiteStore) -> None:
    other = SQLiteStore(path)
    buckets = [each.bucket("", QUOTA) for each in (store, other)]
    await asyncio.gather(
        *(bucket.increment("n", 1, 0, 1000) for bucket in buckets for _ in range(50))
    )
    assert await buckets[0].get("n") == await buckets[1].get("n") == b"100"
    await other.aclose()


async def test_a_file_that_another_process_is_making_is_waited_for(
    path: Path, store: SQLiteStore
) -> None:
    bucket = store.bucket("", QUOTA)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    both = [asyncio.create_task(bucket.set("key", b"1")), asyncio.create_task(bucket.get("x"))]
    # Of a lock like this one SQLite refuses them at once; it is no test of the time that they have.
    assert not (await asyncio.wait(both, timeout=0.1, return_when=asyncio.FIRST_COMPLETED))[0]
    other.execute("ROLLBACK")
    other.close()
    assert await asyncio.wait_for(asyncio.gather(*both), PATIENCE) == [None, None]
    assert await bucket.get("key") == b"1"


async def test_reads_go_on_while_another_process_writes(path: Path, store: SQLiteStore) -> None:
    bucket = store.bucket("", QUOTA)
    await bucket.set("key", b"1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(bucket.set("key", b"2"))
    for _ in range(10):
        assert await bucket.get("key") == b"1"
    assert not writing.done()
    other.execute("ROLLBACK")
    other.close()
    await asyncio.wait_for(writing, PATIENCE)
    assert await bucket.get("key") == b"2"


@pytest.fixture
def no_store(path: Path) -> Path:
    path.write_bytes(b"no database" * 1000)
    return path


async def test_a_file_that_is_no_store_is_an_error(no_store: Path, store: SQLiteStore) -> None:
    with pytest.raises(BackendError) as failed:
        await store.bucket("", QUOTA).get("key")
    assert failed.value.message == "the store is not available"
    assert failed.value.reason == "file is not a database"
    os.unlink(no_store)
    await store.bucket("", QUOTA).set("key", b"1")  # the next tries again


async def test_a_file_of_another_version_is_left_alone(path: Path, store: SQLiteStore) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(BackendError) as failed:
        await store.bucket("", QUOTA).set("key", b"1")
    assert failed.value.reason == "the file has version 2 of the tables, not 1"


@pytest.mark.parametrize("kind", ["memory", "sqlite", "testing"])
async def test_quotas_hold(kind: str, tmp_path: Path) -> None:
    made: dict[str, Callable[[], KeyValueStore]] = {
        "memory": MemoryStore,
        "sqlite": lambda: SQLiteStore(tmp_path / "file"),
        "testing": KeyValue,
    }
    store = made[kind]()
    bucket = store.bucket("a", Quota(1024, max_keys=2, max_bytes=20))
    await store.bucket("b", QUOTA).set("others", bytes(1000))
    await bucket.set("k1", bytes(8))
    await bucket.set("k1", bytes(8))
    await bucket.set("ä", bytes(8))
    with pytest.raises(BackendError, match="2 keys already"):
        await bucket.set("k3", b"")
    with pytest.raises(BackendError, match="21 bytes, and may have 20"):
        await bucket.set("k1", bytes(9))
    with pytest.raises(BackendError, match="2 keys already"):
        await bucket.set_many({"k1": b"new", "k3": b""})
    assert await bucket.get_many(["k1", "k3"]) == [bytes(8), None]
    await bucket.delete("ä")
    await bucket.set("k3", bytes(8))
    await store.aclose()


async def test_memory_is_bounded() -> None:
    store = MemoryStore()
    bucket = store.bucket("", QUOTA)
    for number in range(60):
        await bucket.set(f"{number}", bytes(1 << 20))
    with pytest.raises(BackendError) as full:
        await bucket.set_many({f"more-{number}": bytes(1 << 20) for number in range(10)})
    assert full.value.message == "the store is full"
    await bucket.delete("0")
    await bucket.set("small", b"fits")
    await store.aclose()


async def test_all_of_a_memory_is_freed_at_once_and_holds_up_nobody() -> None:
    store = SQLiteStore(None)
    bucket = store.bucket("", Quota(2 << 20))
    keys = [str(number) for number in range(28)]
    with nothing_holds_the_loop():
        for key in keys:
            await bucket.set(key, bytes(2 << 20))
            await asyncio.sleep(0)
        await bucket.delete_many(keys)
    await store.aclose()


async def test_keys_in_memory_are_bounded() -> None:
    store = MemoryStore()
    many = {f"key-{number}": b"" for number in range(MAX_MEMORY_KEYS)}
    await store.bucket("many", QUOTA).set_many(many)
    with pytest.raises(BackendError, match="keys already"):
        await store.bucket("many", QUOTA).set("one more", b"")
    await store.aclose()


async def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    """`max_page_count` makes SQLite fail as a full disk does: with SQLITE_FULL, in the midst of a transaction."""
    store = SQLiteStore(tmp_path / "store.db")
    bucket = store.bucket("", QUOTA)
    await bucket.set("key", b"1")

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 20")

    await store.write(fill)
    with pytest.raises(BackendError, match="the store is full"):
        await bucket.set_many({"key": b"2", "large": bytes(1 << 20)})
    assert await bucket.get_many(["key", "large"]) == [b"1", None]
    await bucket.set("key", b"3")
    assert await bucket.get("key") == b"3"
    await store.aclose()


async def test_a_guest_that_leaves_takes_its_waiting_work_with_it(
    path: Path, store: SQLiteStore
) -> None:
    bucket = store.bucket("", QUOTA)
    await bucket.set("key", b"1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begun = asyncio.create_task(bucket.set("key", b"2"))
    queued = [asyncio.create_task(bucket.set(f"{number}", b"")) for number in range(100)]
    await asyncio.sleep(0)
    for task in (begun, *queued):
        task.cancel()
    await asyncio.gather(begun, *queued, return_exceptions=True)
    other.execute("ROLLBACK")
    other.close()
    await bucket.set("last", b"")
    page = await bucket.keys(0)
    # The thread may have begun one of them meanwhile.
    assert len(set(page.keys) - {"key", "last"}) <= 1
