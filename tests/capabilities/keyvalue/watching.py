"""Who watches a store, for tests."""

from __future__ import annotations

import asyncio

from gateway.capabilities.keyvalue import OPENERS, Change, WatchableStore
from gateway.config.backend_url import BackendURL
from tests.capabilities.keyvalue.conftest import QUOTA
from tests.patience import PATIENCE


class Worker:
    """A store as one worker has it, where "a" watches."""

    def __init__(self, url: str) -> None:
        parsed = BackendURL.parse(url)
        store = OPENERS[parsed.scheme](parsed)
        assert isinstance(store, WatchableStore)
        self.store = store
        self.own = self.store.watchable_bucket("p/", QUOTA, "a")
        self.changes: asyncio.Queue[Change] = asyncio.Queue()

    async def watch(self) -> None:
        self.subscription = self.own.watch("default", self.changes.put_nowait)
        async with asyncio.timeout(PATIENCE):
            await self.subscription.ready()

    async def next(self) -> Change:
        async with asyncio.timeout(PATIENCE):
            return await self.changes.get()

    async def leave(self) -> None:
        await self.subscription.aclose()
        await self.store.aclose()
