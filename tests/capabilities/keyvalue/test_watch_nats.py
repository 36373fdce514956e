"""What those are told who watch buckets of NATS: several at once, while they are away, while the server is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.client import DEFAULT_PENDING_SIZE, Client

from gateway.capabilities.backend import BackendError
from gateway.capabilities.keyvalue import Change
from gateway.capabilities.keyvalue.nats import NATSStore
from gateway.config.backend_url import BackendURL
from tests.capabilities.keyvalue.conftest import QUOTA
from tests.capabilities.keyvalue.watching import Worker
from tests.capabilities.servers import Nats
from tests.patience import PATIENCE, until

pytestmark = pytest.mark.anyio


def connection_of(worker: Worker) -> Client:
    """What a worker's store talks by."""
    assert isinstance(worker.store, NATSStore)
    task = worker.store.link._connection
    assert task is not None
    return task.result()._client


async def test_workers_share_the_changes(nats_url: str) -> None:
    workers = [Worker(nats_url), Worker(nats_url)]
    for worker in workers:
        await worker.watch()
    other = workers[0].store.bucket("p/", QUOTA)
    keys = [f"key-{number}" for number in range(40)]
    for key in keys:
        await other.set(key, b"1")
    # What one of them writes is none of the other's, for they are one component.
    await workers[1].own.set("own", b"1")
    await until(lambda: sum(worker.changes.qsize() for worker in workers) >= len(keys))
    await other.set("last", b"1")
    for worker in workers:  # what has been sent still comes
        await worker.leave()
    found = [
        [worker.changes.get_nowait().key for _ in range(worker.changes.qsize())]
        for worker in workers
    ]
    assert sorted(found[0] + found[1]) == sorted([*keys, "last"])
    assert all(found)


async def test_who_was_away_is_told_of_what_was_changed_meanwhile(nats_url: str) -> None:
    worker, other = Worker(nats_url), Worker(nats_url)
    await worker.watch()
    writing = other.store.bucket("p/", QUOTA)
    await writing.set("key", b"1")
    assert await worker.next() == Change("key", b"1")
    await worker.leave()
    await writing.set("key", b"2")
    await writing.set("key", b"3")
    await writing.set("gone", b"")
    await writing.delete("gone")
    again = Worker(nats_url)
    await again.watch()
    # The last of each key, which is all that the bucket keeps.
    assert await again.next() == Change("key", b"3")
    assert await again.next() == Change("gone", None)
    await again.leave()
    await other.store.aclose()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Nats]:
    """A server of the test's own."""
    with Nats(tmp_path) as server:
        yield server


async def test_a_server_that_comes_back_tells_again(server: Nats) -> None:
    worker = Worker(server.url)
    await worker.watch()
    for number in range(3):
        value = str(number).encode()
        server.kill()
        await asyncio.to_thread(server.start)
        other = NATSStore(BackendURL.parse(server.url))
        await other.bucket("p/", QUOTA).set("key", value)
        assert await worker.next() == Change("key", value)
        await other.aclose()
    await worker.leave()


async def test_a_server_that_is_killed_with_something_still_to_be_sent_tells_again(
    server: Nats,
) -> None:
    worker = Worker(server.url)
    await worker.watch()
    client = connection_of(worker)
    server.hold()

    async def publish() -> None:
        while True:
            await client.publish("large", bytes(1 << 20))
            await asyncio.sleep(0)

    # More than the system takes for a server that does not read, and more than the client keeps: what is asked
    # then waits for room before it waits for an answer.
    load = asyncio.create_task(publish())
    await until(lambda: client.pending_data_size > DEFAULT_PENDING_SIZE)
    kept = client.pending_data_size
    asked = asyncio.create_task(worker.own.set("key", b"0"))
    await until(lambda: client.pending_data_size > kept)
    server.kill()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(BackendError):
            await asked
    load.cancel()
    await asyncio.to_thread(server.start)
    other = NATSStore(BackendURL.parse(server.url))
    await other.bucket("p/", QUOTA).set("key", b"1")
    assert await worker.next() == Change("key", b"1")
    await other.aclose()
    await worker.leave()


async def test_a_server_that_is_away_at_first(server: Nats) -> None:
    server.kill()
    worker = Worker(server.url)
    worker.subscription = worker.own.watch("default", worker.changes.put_nowait)
    availability = worker.store.availability
    assert availability is not None
    await until(lambda: availability.trouble is not None)
    await asyncio.to_thread(server.start)
    async with asyncio.timeout(PATIENCE):
        await worker.subscription.ready()
    # Who watches may have found it before the store has.
    await until(lambda: availability.trouble is None)
    await worker.store.bucket("p/", QUOTA).set("key", b"")
    assert await worker.next() == Change("key", b"")
    await worker.leave()


async def test_nothing_is_left_of_those_who_leave(server: Nats) -> None:
    before = len(asyncio.all_tasks())
    for _ in range(3):
        worker = Worker(server.url)
        await worker.watch()
        await worker.leave()
        await until(lambda: len(asyncio.all_tasks()) <= before)
    server.hold()
    worker = Worker(server.url)
    worker.subscription = worker.own.watch("default", worker.changes.put_nowait)
    await worker.leave()
    server.let_go()
