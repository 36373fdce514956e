"""What stores tell of changes: each that can, of all that buckets do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.capabilities.backend import BackendError
from gateway.capabilities.keyvalue import Change, KeyValueStore, WatchableBucket, WatchableStore
from gateway.capabilities.subscription import Subscription
from tests.capabilities.keyvalue.conftest import QUOTA
from tests.patience import PATIENCE

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("url", ["memory", "redis", "nats"], indirect=True),
]

LIMIT = 1 << 40


class Seen:
    """What a bucket's owner was told."""

    def __init__(self, bucket: WatchableBucket) -> None:
        self.changes: asyncio.Queue[Change] = asyncio.Queue()
        self.subscription: Subscription[Change] = bucket.watch("default", self.changes.put_nowait)

    async def told(self, *expected: Change) -> None:
        """Wait for just these changes, in any order of their keys."""
        async with asyncio.timeout(PATIENCE):
            found = [await self.changes.get() for _ in expected]
        assert sorted(found, key=lambda change: change.key) == list(expected)
        assert self.changes.empty()


def of(store: KeyValueStore, prefix: str, owner: str) -> WatchableBucket:
    assert isinstance(store, WatchableStore)
    return store.watchable_bucket(prefix, QUOTA, owner)


@pytest.fixture
async def seen(store: KeyValueStore) -> AsyncIterator[Seen]:
    """What "a" is told, of the keys that begin with "p/"."""
    seen = Seen(of(store, "p/", "a"))
    async with asyncio.timeout(PATIENCE):
        await seen.subscription.ready()
    yield seen
    await seen.subscription.aclose()


@pytest.mark.parametrize("owner", ["b", None])
async def test_each_change_is_told_once(store: KeyValueStore, seen: Seen, owner: str) -> None:
    other = of(store, "p/", owner) if owner else store.bucket("p/", QUOTA)
    await other.set("key", b"1")
    await seen.told(Change("key", b"1"))
    await other.set("key", b"1")
    await seen.told(Change("key", b"1"))
    await other.set_many({"ä.*>\u2028 ": b"\x00\xff", "empty": b""})
    await seen.told(Change("empty", b""), Change("ä.*>\u2028 ", b"\x00\xff"))
    assert await other.increment("number", 41, 0, LIMIT) == 41
    await seen.told(Change("number", b"41"))
    assert await other.increment("number", 1, 0, LIMIT) == 42
    await seen.told(Change("number", b"42"))
    version = (await other.current("key")).version
    assert await other.swap("key", version, b"2")
    await seen.told(Change("key", b"2"))
    await other.delete("key")
    await seen.told(Change("key", None))
    await other.delete_many(["number", "key", "empty"])
    await seen.told(Change("empty", None), Change("number", None))


async def test_what_changes_nothing_is_not_told(store: KeyValueStore, seen: Seen) -> None:
    other = of(store, "p/", "b")
    await other.delete("key")
    assert not await other.swap("missing", 1, b"")
    with pytest.raises(BackendError):
        await other.set("key", bytes(QUOTA.max_value + 1))
    with pytest.raises(BackendError):
        await other.increment("key", -1, 0, LIMIT)
    await other.set("marker", b"")
    await seen.told(Change("marker", b""))


async def test_what_its_owner_does_is_not_told(store: KeyValueStore, seen: Seen) -> None:
    own = of(store, "p/", "a")
    await own.set("key", b"1")
    await own.increment("number", 1, 0, LIMIT)
    assert await own.swap("key", (await own.current("key")).version, b"2")
    await own.delete_many(["key", "number"])
    await of(store, "p/", "b").set("marker", b"")
    await seen.told(Change("marker", b""))


async def test_what_others_keep_is_not_told(store: KeyValueStore, seen: Seen) -> None:
    for prefix in ("", "q/", "p"):
        await of(store, prefix, "b").set("key", b"1")
    await of(store, "p/", "b").set("marker", b"")
    await seen.told(Change("marker", b""))


async def test_the_next_taker_has_what_comes_next(store: KeyValueStore, seen: Seen) -> None:
    next_: asyncio.Queue[Change] = asyncio.Queue()
    other = of(store, "p/", "b")
    await other.set("key", b"1")
    await seen.told(Change("key", b"1"))
    seen.subscription.deliver = next_.put_nowait
    await other.set("key", b"2")
    async with asyncio.timeout(PATIENCE):
        assert await next_.get() == Change("key", b"2")
    await seen.subscription.aclose()
    await seen.subscription.aclose()
    await other.set("key", b"3")
    assert (seen.changes.qsize(), next_.qsize()) == (0, 0)
