"""Key-value stores in the memory of one worker: SQLite without a file, which tells of what is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Self, TypeVar

from gateway.capabilities.backend import check_memory
from gateway.capabilities.keyvalue.sqlite import SQLiteBucket, SQLiteStore
from gateway.capabilities.keyvalue.store import Change, Quota
from gateway.capabilities.subscription import LocalSubscription
from gateway.config.backend_url import BackendURL

__all__ = ["MAX_MEMORY_KEYS", "MemoryStore"]

T = TypeVar("T")

MAX_MEMORY_KEYS: Final = 100_000
"""Keys of one bucket. Arbitrary: a page of them is found in some milliseconds, on the event loop."""


class MemoryStore(SQLiteStore):
    """A store in memory, which ends with this object: a `WatchableStore`."""

    def __init__(self) -> None:
        super().__init__(None)
        self._watches: list[_Watch] = []

    @classmethod
    def named(cls, url: BackendURL) -> Self:
        """The store of `memory:` or `memory:NAME`.

        Raises:
            BackendUnusable: it says something else.
        """
        check_memory(url)
        return cls()

    def bucket(self, prefix: str, quota: Quota) -> MemoryBucket:
        """The keys of a prefix: `KeyValueStore.bucket`."""
        return self.watchable_bucket(prefix, quota, None)

    def watchable_bucket(self, prefix: str, quota: Quota, owner: str | None) -> MemoryBucket:
        """The same, for a component that watches: `WatchableStore.watchable_bucket`."""
        quota = quota._replace(max_keys=min(quota.max_keys or MAX_MEMORY_KEYS, MAX_MEMORY_KEYS))
        return MemoryBucket(self, prefix, quota, owner)

    async def aclose(self) -> None:
        """Forget everything: `Backend.aclose`."""
        self._watches.clear()
        await super().aclose()

    def watch(self, space: str, owner: str | None, deliver: Callable[[Change], None]) -> _Watch:
        """Tell of what others than the owner change in a space, until that is closed."""
        return _Watch(space, owner, deliver, self._watches)

    def tell(self, space: str, writer: str | None, changes: Sequence[Change]) -> None:
        """Tell who watches a space what somebody has changed there."""
        for watch in self._watches:
            if watch.space == space and (writer is None or watch.owner != writer):
                for change in changes:
                    watch.deliver(change)


class MemoryBucket(SQLiteBucket):
    """A space of keys in a store: a `WatchableBucket`."""

    def __init__(self, store: MemoryStore, space: str, quota: Quota, owner: str | None) -> None:
        super().__init__(store, space, quota)
        self._memory = store
        self._owner = owner
        self._changes: list[Change] = []

    def watch(self, name: str, deliver: Callable[[Change], None]) -> _Watch:  # noqa: ARG002
        """`WatchableBucket.watch`: there is but one worker, which needs no name."""
        return self._memory.watch(self._space, self._owner, deliver)

    async def _change(self, function: Callable[[sqlite3.Connection], T]) -> T:
        # All of it is done in one turn of the loop: nobody sees the changes of another.
        self._changes = []
        result = await super()._change(function)
        self._memory.tell(self._space, self._owner, self._changes)
        return result

    def _write(self, connection: sqlite3.Connection, values: Mapping[str, bytes]) -> None:
        super()._write(connection, values)
        self._changes += (Change(key, value) for key, value in values.items())

    def _remove(self, connection: sqlite3.Connection, keys: Sequence[str]) -> list[str]:
        removed = super()._remove(connection, keys)
        self._changes += (Change(key, None) for key in removed)
        return removed


class _Watch(LocalSubscription[Change]):
    """An interest in the changes of a space."""

    def __init__(
        self,
        space: str,
        owner: str | None,
        deliver: Callable[[Change], None],
        among: list[_Watch],
    ) -> None:
        super().__init__(deliver, among)
        self.space = space
        self.owner = owner
