"""What those are told who watch Redis: several at once, one after the other, while the server is away."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from structlog.testing import capture_logs

from gateway.capabilities.keyvalue import Change, redis_watch
from gateway.capabilities.keyvalue.redis_watch import RedisWatch
from tests.capabilities.keyvalue.conftest import QUOTA
from tests.capabilities.keyvalue.watching import Worker
from tests.capabilities.servers import Redis
from tests.patience import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    """A server of the test's own."""
    with Redis(tmp_path) as server:
        yield server


async def test_one_of_those_who_watch_is_told_and_the_next_when_it_leaves(redis_url: str) -> None:
    workers = [Worker(redis_url) for _ in range(3)]
    told: list[list[int]] = []
    for worker in workers:
        await worker.watch()
        told.append(keys_told(worker))
    writer = Worker(redis_url)
    writing, written = writer.store.bucket("p/", QUOTA), 0

    async def write() -> None:
        nonlocal written
        while True:
            await writing.set(f"{written}", b"1")
            written += 1

    load = asyncio.create_task(write())
    for _ in range(2):
        # Whoever of them leads leaves, under load; what one writes is told to none of the others.
        leaders = [worker for worker in workers if leads(worker)]
        assert len(leaders) == 1
        await workers[-1].own.set("own", b"1")
        enough = written + 100
        await until(lambda enough=enough: any(own and own[-1] > enough for own in told))  # type: ignore[misc]
        await leaders[0].leave()
        workers.remove(leaders[0])
        await until(lambda: any(map(leads, workers)))
    load.cancel()
    await asyncio.wait((load,))
    last = written + 1  # one may have been under way
    await writing.set(f"{last}", b"1")
    await until(lambda: any(own and own[-1] == last for own in told))
    # Each once over all of them, and in their order by each: who leaves may read its last while the next tells.
    assert all(own == sorted(own) for own in told)
    assert sorted(itertools.chain(*told)) in ([*range(last + 1)], [*range(written), last])
    await workers[0].leave()
    await writer.store.aclose()


def keys_told(worker: Worker) -> list[int]:
    """The keys that it will be told of, from now on."""
    keys: list[int] = []
    worker.subscription.deliver = lambda change: keys.append(int(change.key))
    return keys


def leads(worker: Worker) -> bool:
    """Whether it is the one that is told."""
    watch = worker.subscription
    assert isinstance(watch, RedisWatch)
    return watch._leads


async def test_who_takes_the_place_of_one_that_was_killed(
    server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, worker = Worker(server.url), Worker(server.url)
    with monkeypatch.context() as shorter:
        shorter.setattr(redis_watch, "LEASE", 0.5)
        await killed.watch()
    lost = killed.subscription
    assert isinstance(lost, RedisWatch)
    lost._task.cancel()
    await worker.watch()
    await until(lambda: leads(worker))
    await worker.store.bucket("p/", QUOTA).set("key", b"1")
    assert await worker.next() == Change("key", b"1")
    assert killed.changes.empty()
    await worker.leave()
    await killed.leave()


async def test_what_it_tells_of(server: Redis) -> None:
    """Other programs change keys by any command, and what expires is removed."""
    worker = Worker(server.url)
    await worker.watch()
    with redis.Redis(port=server.port) as client:
        client.append("p/a", "1")
        assert await worker.next() == Change("a", b"1")
        client.rename("p/a", "p/b")
        assert [await worker.next(), await worker.next()] == [Change("a", None), Change("b", b"1")]
        client.set("p/c", "", px=1)
        client.lpush("p/list", "1")
        found = [await worker.next()]
        while found[-1] != Change("c", None):
            client.get("p/c")
            found.append(await worker.next())
        assert found in ([Change("c", b""), Change("c", None)], [Change("c", None)])
        assert "component-gateway" not in str((await worker.store.bucket("", QUOTA).keys(0)).keys)
    await worker.leave()


async def test_a_server_that_comes_back_tells_again(server: Redis) -> None:
    worker = Worker(server.url)
    await worker.watch()
    for number in range(2):
        server.kill()
        await asyncio.to_thread(server.start)
        with redis.Redis(port=server.port) as client:
            while worker.changes.empty():  # what is changed before it listens is lost
                client.set("p/key", str(number))
                await asyncio.sleep(0.01)
        assert (await worker.next()).value == str(number).encode()
        worker.changes = asyncio.Queue()
        worker.subscription.deliver = worker.changes.put_nowait
    await worker.leave()


async def test_a_server_that_does_not_tell_is_told_of(tmp_path: Path) -> None:
    """Until somebody sets it right; where it tells, nobody need be allowed to see to it."""
    user = ("--user", "shop", "on", ">secret", "~*", "&*", "+@all", "-config")
    with Redis(tmp_path, *user) as server:
        worker = Worker(f"redis://shop:secret@127.0.0.1:{server.port}/0")
        with capture_logs() as logs:
            worker.subscription = worker.own.watch("default", worker.changes.put_nowait)
            await until(lambda: logs)
        (line,) = logs
        assert line["event"] == "watch failed"
        assert 'set its notify-keyspace-events to "Kg$xe"' in line["reason"]
        availability = worker.store.availability
        assert availability is not None
        await until(lambda: availability.trouble is None)
        assert line["reason"] in (availability.remark or "")  # of which /readyz warns
        with redis.Redis(port=server.port) as client:
            client.config_set("notify-keyspace-events", "Kg$")
        await worker.subscription.ready()
        assert availability.remark is None
        await worker.store.bucket("p/", QUOTA).set("key", b"1")
        assert await worker.next() == Change("key", b"1")
        await worker.leave()


async def test_nothing_is_left_of_those_who_leave(server: Redis) -> None:
    before = len(asyncio.all_tasks())
    for _ in range(3):
        worker = Worker(server.url)
        await worker.watch()
        await worker.leave()
        await until(lambda: len(asyncio.all_tasks()) <= before)
    with redis.Redis(port=server.port) as client:
        assert client.keys("*") == []
        await until(lambda: len(client.client_list()) == 1)
    server.hold()
    worker = Worker(server.url)
    worker.subscription = worker.own.watch("default", worker.changes.put_nowait)
    await worker.leave()
    server.let_go()
