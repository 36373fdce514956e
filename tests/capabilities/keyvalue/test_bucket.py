"""What every store does, whatever is behind it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.capabilities.backend import BackendError
from gateway.capabilities.keyvalue import Bucket, KeyValueStore
from gateway.capabilities.keyvalue.store import MAX_BATCH, MAX_KEY, PAGE
from tests.capabilities.keyvalue.conftest import QUOTA

pytestmark = pytest.mark.anyio

KEYS = ["a", "A", "a/b", " ", "ä\u0301", "\U0001f600", "\x00\x01", "*", "%_[", "k" * MAX_KEY]


@pytest.mark.parametrize("key", KEYS)
async def test_any_key_has_its_value(bucket: Bucket, key: str) -> None:
    assert await bucket.get(key) is None
    assert await bucket.exists(key) is False
    await bucket.set(key, b"\x00\xff")
    await bucket.set("other", b"")
    assert await bucket.get(key) == b"\x00\xff"
    assert await bucket.exists(key) is True
    assert await bucket.get("other") == b""
    await bucket.delete(key)
    await bucket.delete(key)
    assert await bucket.get(key) is None
    assert await bucket.get("other") == b""


async def test_a_value_is_replaced(bucket: Bucket) -> None:
    await bucket.set("key", b"first")
    await bucket.set("key", b"second")
    assert await bucket.get("key") == b"second"
    assert await listed(bucket) == ["key"]


async def test_many_keep_their_order(bucket: Bucket) -> None:
    await bucket.set_many({"a": b"1", "b": b"2", "c": b"3"})
    assert await bucket.get_many(["c", "x", "a", "c"]) == [b"3", None, b"1", b"3"]
    await bucket.delete_many(["a", "x", "b"])
    assert await bucket.get_many(["a", "b", "c"]) == [None, None, b"3"]
    await bucket.set_many({})
    await bucket.delete_many([])
    assert await bucket.get_many([]) == []


async def test_as_much_is_returned_at_once_as_crosses_at_once(bucket: Bucket) -> None:
    half = bytes(MAX_BATCH // 2)
    await bucket.set_many({"a": half, "b": half, "c": b"1"})
    assert await bucket.get_many(["a", "b"]) == [half, half]
    with pytest.raises(BackendError, match="ask for fewer"):
        await bucket.get_many(["a", "b", "c"])


async def test_all_keys_are_on_some_page(bucket: Bucket) -> None:
    """wasi:keyvalue/store, `list-keys`: pages of some 1000 keys, where those of wash have 100."""
    assert await listed(bucket) == []
    keys = [f"key-{number}" for number in range(2 * PAGE)]
    await bucket.set_many(dict.fromkeys(keys, b""))
    assert sorted(await listed(bucket)) == sorted(keys)
    # A guest may set what it has seen, and remove it.
    page = await bucket.keys(0)
    assert page.cursor is not None
    for key in page.keys[::2]:
        await bucket.set(key, b"new")
    await bucket.delete_many(page.keys[1::2])
    rest = await listed(bucket, page.cursor)
    # Some stores list again what was written after it was listed.
    assert {*page.keys, *rest} == {*keys}


async def test_past_the_end_there_is_nothing(bucket: Bucket) -> None:
    """wasi:keyvalue/store, `list-keys`: a cursor past the end gives nothing."""
    await bucket.set("key", b"")
    assert await bucket.keys((1 << 64) - 1) == ([], None)


async def test_a_number_is_decimal_text(bucket: Bucket) -> None:
    """wasi:keyvalue/atomics: a number is kept as decimal text, and begins at 0."""
    assert await bucket.increment("n", 5, 0, 100) == 5
    assert await bucket.get("n") == b"5"
    await bucket.set("n", b"-7")
    assert await bucket.increment("n", 3, -100, 100) == -4


@pytest.mark.parametrize("value", [b"", b"one", b"1.5", b" 1", b"1" * 40, b"\xff"])
async def test_what_is_no_number_stays(bucket: Bucket, value: bytes) -> None:
    """wasi:keyvalue/atomics: what is no number is an error."""
    await bucket.set("n", value)
    with pytest.raises(BackendError, match="not a number"):
        await bucket.increment("n", 1, 0, 100)
    assert await bucket.get("n") == value


async def test_a_sum_out_of_range_is_not_kept(bucket: Bucket) -> None:
    most = (1 << 63) - 1
    assert await bucket.increment("n", most, 0, most) == most
    with pytest.raises(BackendError, match="not between"):
        await bucket.increment("n", 1, 0, most)
    assert await bucket.get("n") == str(most).encode()


async def test_no_increment_is_lost(bucket: Bucket) -> None:
    sums = await asyncio.gather(*(bucket.increment("n", 1, 0, 1000) for _ in range(200)))
    assert sorted(sums) == list(range(1, 201))


async def test_a_swap_needs_that_nobody_wrote(bucket: Bucket) -> None:
    missing = await bucket.current("key")
    assert missing.value is None
    assert await bucket.swap("key", missing.version, b"1")
    assert not await bucket.swap("key", missing.version, b"2")
    seen = await bucket.current("key")
    assert seen.value == b"1"
    await bucket.set("key", b"between")
    assert not await bucket.swap("key", seen.version, b"2")
    await bucket.delete("key")
    assert not await bucket.swap("key", seen.version, b"2")
    assert await bucket.get("key") is None


async def test_the_same_value_again_was_written(bucket: Bucket, url: str) -> None:
    """Redis does not count writes: what has its value again is there as it was."""
    await bucket.set("key", b"1")
    seen = await bucket.current("key")
    await bucket.set("key", b"between")
    await bucket.set("key", b"1")
    assert await bucket.swap("key", seen.version, b"2") is url.startswith("redis:")


async def test_no_swap_is_lost(bucket: Bucket) -> None:
    async def add() -> None:
        while True:
            seen = await bucket.current("n")
            if await bucket.swap("n", seen.version, str(int(seen.value or b"0") + 1).encode()):
                return

    await asyncio.gather(*(add() for _ in range(20)))
    assert await bucket.get("n") == b"20"


async def test_a_value_has_its_bound_on_both_ways(store: KeyValueStore) -> None:
    small = store.bucket("", QUOTA._replace(max_value=3))
    await small.set("key", b"123")
    for write in (small.set("key", b"1234"), small.set_many({"new": b"1", "key": b"1234"})):
        with pytest.raises(BackendError, match="4 bytes"):
            await write
    assert await small.get_many(["key", "new"]) == [b"123", None]
    await store.bucket("", QUOTA).set("key", b"1234")
    for read in (small.get("key"), small.get_many(["key"]), small.current("key")):
        with pytest.raises(BackendError, match="4"):
            await read
    assert await small.exists("key")


async def test_prefixes_keep_components_apart(store: KeyValueStore) -> None:
    ours, theirs = store.bucket("a:", QUOTA), store.bucket("b:", QUOTA)
    await ours.set("key", b"ours")
    await theirs.set("key", b"theirs")
    await theirs.set("more", b"")
    assert await ours.get("key") == b"ours"
    assert await listed(ours) == ["key"]
    assert sorted(await listed(theirs)) == ["key", "more"]
    await ours.delete_many(["key", "more"])
    assert await theirs.get("key") == b"theirs"


async def listed(bucket: Bucket, cursor: int = 0) -> list[str]:
    """All keys from a page on."""
    keys: list[str] = []
    while True:
        page = await bucket.keys(cursor)
        keys += page.keys
        if page.cursor is None:
            return keys
        cursor = page.cursor
