"""What is left of operations, whatever becomes of them: no tasks, files or connections."""

from __future__ import annotations

import asyncio
import random

import pytest

from gateway.bindings.context import Caller
from gateway.capabilities.keyvalue import Quota
from gateway.capabilities.operations import Operation, Operations
from tests.capabilities.kept import Kept, many
from tests.capabilities.keyvalue.conftest import QUOTA, opened
from tests.patience import PATIENCE, until

pytestmark = pytest.mark.anyio

CALLER = Caller("shop", "1")
SOMETHING = Operation("wasi:keyvalue/store", "get")


async def test_nothing_is_left_of_operations(url: str) -> None:
    """20,000 of them: done, refused, of keys that are missing, too large, timed out, or of guests that left."""
    chance = random.Random(1)  # noqa: S311 - of a test
    before = Kept.now()
    async with opened(url) as store:
        kind = store.kind
        large = store.bucket("", QUOTA)
        bucket = store.bucket("", Quota(1024))
        operations = Operations("shop", store.kind, timeout=PATIENCE)
        hasty = Operations("shop", store.kind, timeout=0.0005)
        await large.set("large", bytes(2048))
        await bucket.set("text", b"none")

        async def one() -> None:
            match chance.randrange(8):
                case 0:
                    await operations.perform(SOMETHING, CALLER, bucket.set, "key", b"1")
                case 1:
                    await operations.perform(SOMETHING, CALLER, bucket.get, "missing")
                case 2:
                    await operations.perform(SOMETHING, CALLER, bucket.get, "large")
                case 3:
                    await operations.perform(SOMETHING, CALLER, bucket.increment, "text", 1, 0, 9)
                case 4:
                    await operations.perform(SOMETHING, CALLER, bucket.keys, 0)
                case 5:
                    await hasty.perform(SOMETHING, CALLER, bucket.get, "key")
                case 6:
                    await operations.perform(SOMETHING, CALLER, bucket.set, "key", bytes(1025))
                case _:
                    leaving = asyncio.create_task(bucket.increment("n", 1, 0, 1 << 62))
                    await asyncio.sleep(0)
                    if chance.randrange(2):
                        await asyncio.sleep(0)
                    leaving.cancel()
                    await leaving

        await many(one, 20)
        begun = Kept.now()
        await many(one, 380)
        await until(lambda: begun.holds(sockets=24))
        await bucket.set("key", b"2")
        assert await bucket.get("key") == b"2"
    if kind not in {"memory", "dict"}:
        await until(lambda: before.holds(sockets=0))
