"""Stores in a server: what becomes of operations while it is away, held, full or does not let us in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import nats
import pytest
import redis
import trustme
from hypothesis import example, given
from hypothesis.strategies import text
from nats.js.api import KeyValueConfig

from gateway.bindings.context import Caller
from gateway.capabilities.backend import Availability, BackendError
from gateway.capabilities.keyvalue import KeyValueStore, Quota
from gateway.capabilities.keyvalue.nats_key import decode, encode, subject_of
from gateway.capabilities.keyvalue.store import WatchableStore
from gateway.capabilities.operations import Operation, Operations
from tests.capabilities.keyvalue.conftest import QUOTA, opened
from tests.capabilities.servers import Nats, Redis, RedisByTLS, Server, until_there
from tests.patience import until

pytestmark = pytest.mark.anyio

CALLER = Caller("shop", "1")
SOMETHING = Operation("wasi:keyvalue/store", "get")


@pytest.fixture(params=[Redis, Nats], ids=["redis", "nats"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """One that was not started."""
    server: Server = request.param(tmp_path)
    try:
        yield server
    finally:
        server.kill()


def availability_of(store: KeyValueStore) -> Availability:
    assert store.availability is not None
    return store.availability


async def test_a_server_may_come_later(server: Server) -> None:
    async with opened(server.url) as store:
        bucket = store.bucket("", QUOTA)
        with pytest.raises(BackendError) as failed:
            await bucket.get("key")
        assert failed.value.message == "the store is not available"
        await until_there(availability_of(store), False)
        assert "connect" in (availability_of(store).trouble or "").lower()
        with pytest.raises(BackendError) as at_once:
            await bucket.get("key")
        assert at_once.value.message == "the store is not available"
        assert at_once.value.reason == availability_of(store).trouble
        server.start()
        await until_there(availability_of(store), True)
        await bucket.set("key", b"1")
        assert await bucket.get("key") == b"1"


async def test_a_server_that_was_killed_is_found_again(server: Server) -> None:
    server.start()
    ended = asyncio.Event()
    done = 0
    failures = set[str]()

    async def work(number: int) -> None:
        nonlocal done
        while not ended.is_set():
            try:
                await bucket.set(f"key-{number}", b"1")
                done += 1
            except BackendError as error:
                failures.add(error.message)
                await asyncio.sleep(0)

    async with opened(server.url) as store:
        bucket = store.bucket("", QUOTA)
        await bucket.set("key", b"1")
        working = [asyncio.create_task(work(number)) for number in range(40)]
        await until(lambda: done > 100)
        server.kill()
        await until_there(availability_of(store), False)
        server.start()
        await until_there(availability_of(store), True)
        before = done
        await until(lambda: done > before + 100)
        ended.set()
        await asyncio.gather(*working)
        assert failures == {"the store is not available"}
        # What was under way is over, and new connections are good.
        for _ in range(40):
            await bucket.set("key", b"2")


async def test_a_server_that_is_held_holds_nobody(server: Server) -> None:
    server.start()
    async with opened(server.url) as store, opened("memory:") as other:
        bucket = store.bucket("", QUOTA)
        await bucket.set("key", b"1")
        operations = Operations("shop", store.kind, timeout=0.5)
        server.hold()
        held = [
            asyncio.create_task(operations.perform(SOMETHING, CALLER, bucket.get, "key"))
            for _ in range(40)
        ]
        beside = other.bucket("", QUOTA)
        while not held[-1].done():
            await beside.increment("n", 1, 0, 1 << 62)
            await asyncio.sleep(0)
        for outcome in await asyncio.gather(*held, return_exceptions=True):
            assert isinstance(outcome, BackendError)
            assert outcome.message == "the store did not answer in time"
        await until_there(availability_of(store), False)
        assert availability_of(store).trouble == "no answer within 2 s"
        with pytest.raises(BackendError, match="the store is not available"):
            await bucket.get("key")
        server.let_go()
        await until_there(availability_of(store), True)
        assert await bucket.get("key") == b"1"


async def test_one_that_does_not_let_us_in_is_an_error(tmp_path: Path) -> None:
    with Redis(tmp_path, "--requirepass", "right") as server:
        for credentials, said in {"": "Authentication required", ":wrong@": "WRONGPASS"}.items():
            async with opened(f"redis://{credentials}127.0.0.1:{server.port}") as store:
                with pytest.raises(BackendError) as failed:
                    await store.bucket("", QUOTA).get("key")
                assert failed.value.message == "the store is not available"
                reason = failed.value.reason or ""
                assert said.lower() in reason.lower() or "invalid" in reason
                assert "wrong" not in reason.replace("WRONGPASS", "")
                await until_there(availability_of(store), False)
        async with opened(f"redis://:right@127.0.0.1:{server.port}") as store:
            await store.bucket("", QUOTA).set("key", b"1")


async def test_by_tls_the_server_is_who_it_says(tmp_path: Path) -> None:
    authority = trustme.CA()
    trusted = tmp_path / "trusted.pem"
    authority.cert_pem.write_to_path(trusted)
    with RedisByTLS(tmp_path, authority) as server:
        url = server.url
        async with opened(f"{url}?ssl_ca_certs={trusted}") as store:
            await store.bucket("", QUOTA).set("key", b"1")
            assert await store.bucket("", QUOTA).get("key") == b"1"
        async with opened(url) as store:
            with pytest.raises(BackendError) as failed:
                await store.bucket("", QUOTA).get("key")
            assert "certificate verify failed" in (failed.value.reason or "").lower()
            await until_there(availability_of(store), False)


async def test_a_full_server_is_an_error_and_can_be_read(redis_url: str) -> None:
    limits = redis.from_url(redis_url)
    async with opened(redis_url) as store:
        bucket = store.bucket("", QUOTA)
        await bucket.set("n", b"1")
        writes: list[Callable[[], Awaitable[object]]] = [
            lambda: bucket.set("more", b"1"),
            lambda: bucket.set_many({"more": b"1"}),
            lambda: bucket.increment("n", 1, 0, 100),
            lambda: bucket.swap("n", b"1", b"2"),
        ]
        limits.config_set("maxmemory", 1)  # less than the server has
        try:
            for write in writes:
                with pytest.raises(BackendError) as full:
                    await write()
                assert full.value.message == "the store is full"
                assert "maxmemory" in (full.value.reason or "")
            assert await bucket.get("n") == b"1"
            assert await bucket.exists("more") is False
            await bucket.delete("n")
            assert availability_of(store).trouble is None
        finally:
            limits.config_set("maxmemory", 0)
            limits.close()
        await bucket.set("n", b"1")


@pytest.mark.parametrize("url", ["redis://a..b", "nats://a..b/bucket"])
async def test_a_server_that_has_no_name_is_an_error(url: str) -> None:
    async with opened(url) as store:
        with pytest.raises(BackendError, match="the store is not available"):
            await store.bucket("", QUOTA).get("key")
        await until_there(availability_of(store), there=False)


async def test_a_watch_of_a_server_that_has_no_name_goes_on() -> None:
    async with opened("nats://a..b/bucket") as store:
        assert isinstance(store, WatchableStore)
        bucket = store.watchable_bucket("", QUOTA, "owner")
        watch = bucket.watch("name", lambda _: None)
        await until_there(availability_of(store), there=False)  # which it has found out
        await watch.aclose()


async def test_nats_does_not_let_everybody_in(tmp_path: Path) -> None:
    with Nats(tmp_path, "--user", "shop", "--pass", "right") as server:
        for credentials in ("", "shop:wrong@"):
            async with opened(f"nats://{credentials}127.0.0.1:{server.port}/bucket") as store:
                with pytest.raises(BackendError) as failed:
                    await store.bucket("", QUOTA).get("key")
                assert failed.value.message == "the store is not available"
                await until_there(availability_of(store), False)
                trouble = availability_of(store).trouble or ""
                assert "authorization" in trouble.lower()
                assert "wrong" not in trouble
        async with opened(f"nats://shop:right@127.0.0.1:{server.port}/bucket") as store:
            await store.bucket("", QUOTA).set("key", b"1")


async def made(url: str, **options: int) -> None:
    """Make a bucket of NATS as an operator does who wants another."""
    client = await nats.connect(url)
    config = KeyValueConfig(bucket=url.rpartition("/")[2]).evolve(**options)
    await client.jetstream().create_key_value(config)
    await client.close()


async def test_a_full_bucket_of_nats_is_an_error_and_can_be_read(nats_url: str) -> None:
    await made(nats_url, max_bytes=1000)
    async with opened(nats_url) as store:
        bucket = store.bucket("", QUOTA)
        await bucket.set("n", b"1")
        for write in (
            lambda: bucket.set("key", bytes(1000)),
            lambda: bucket.swap("n", 1, bytes(1000)),
        ):
            with pytest.raises(BackendError, match="the store is full"):
                await write()
        with pytest.raises(BackendError, match="the store is full"):
            await bucket.set_many({"a": b"", "key": bytes(1000)})
        assert await bucket.get("n") == b"1"
        assert availability_of(store).trouble is None


async def test_a_value_that_nats_does_not_take_ends_no_connection(nats_url: str) -> None:
    async with opened(nats_url) as store:
        bucket = store.bucket("", Quota(2 << 20))
        await bucket.set("key", bytes(1 << 20))  # just as much as it takes
        seen = await bucket.current("key")
        for write in (
            lambda: bucket.set("key", bytes((1 << 20) + 1)),
            lambda: bucket.swap("key", seen.version, bytes(1 << 20)),  # and a header
        ):
            beside = asyncio.create_task(bucket.get("key"))
            with pytest.raises(BackendError, match="larger than the store takes"):
                await write()
            assert await beside == bytes(1 << 20)
        assert await bucket.swap("key", seen.version, bytes(1000))


async def test_listing_keys_leaves_nothing_in_nats(nats_url: str) -> None:
    async with opened(nats_url) as store:
        bucket = store.bucket("", QUOTA)
        assert (await bucket.keys(0)).keys == []
        await bucket.set("key", b"1")
        for _ in range(20):
            assert (await bucket.keys(0)).keys == ["key"]
    client = await nats.connect(nats_url)
    name = nats_url.rpartition("/")[2]
    assert (await client.jetstream().stream_info(f"KV_{name}")).state.consumer_count == 0
    await client.close()


async def test_a_bucket_with_a_history_does_not_list(nats_url: str) -> None:
    await made(nats_url, history=5)
    async with opened(nats_url) as store:
        bucket = store.bucket("", QUOTA)
        await bucket.set("key", b"1")
        await bucket.set("key", b"2")
        assert await bucket.get("key") == b"2"
        with pytest.raises(BackendError, match="cannot list"):
            await bucket.keys(0)


@given(text(min_size=1), text())
@example(".", "0.")
@example("\n", "0.")
@example("x", "0..")
def test_keys_of_nats_are_keys_again(key: str, prefix: str) -> None:
    name = encode(prefix + key)
    assert re.fullmatch(r"[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*", name)
    assert decode(name) == prefix + key
    assert name.startswith(subject_of(prefix).removesuffix(">"))


@pytest.mark.parametrize("name", ["=", "=2e", "=41", "=FF", "a=2Eb", "*"])
def test_what_others_call_their_keys_is_no_key_of_ours(name: str) -> None:
    assert decode(name) is None
