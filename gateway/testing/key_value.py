"""A key-value store that a test fills and looks into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.capabilities.availability import Availability
from gateway.capabilities.backend import BackendError
from gateway.capabilities.keyvalue.store import (
    PAGE,
    Batch,
    Current,
    Page,
    Quota,
    check_size,
    decimal,
    in_range,
    too_large,
)

__all__ = ["KeyValue"]


class KeyValue:
    """A store in a dictionary: a `gateway.capabilities.keyvalue.KeyValueStore`. It tells of no changes.

    Args:
        entries: what is there at first, by key.

    Attributes:
        entries: what is there; may be changed. The keys of a component with a `prefix` begin with that.
    """

    kind = "testing"
    waits = False
    availability: Availability | None = None

    def __init__(self, entries: Mapping[str, bytes] | None = None) -> None:
        self.entries: dict[str, bytes] = dict(entries or {})

    def bucket(self, prefix: str, quota: Quota) -> _Bucket:
        """`KeyValueStore.bucket`."""
        return _Bucket(self, prefix, quota)

    async def aclose(self) -> None:
        """`Backend.aclose`: what is there stays, for the test to look at."""


class _Bucket:
    """The keys with a prefix: a `Bucket`. Nothing here waits, so every operation is atomic."""

    def __init__(self, store: KeyValue, prefix: str, quota: Quota) -> None:
        self._entries = store.entries
        self._prefix = prefix
        self._quota = quota

    async def get(self, key: str) -> bytes | None:
        value = self._entries.get(self._prefix + key)
        if value is not None and len(value) > self._quota.max_value:
            raise too_large(len(value), self._quota)
        return value

    async def exists(self, key: str) -> bool:
        return self._prefix + key in self._entries

    async def set(self, key: str, value: bytes) -> None:
        await self.set_many({key: value})

    async def delete(self, key: str) -> None:
        await self.delete_many((key,))

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        batch = Batch()
        for key in keys:
            batch.add(await self.get(key))
        return batch.values

    async def set_many(self, values: Mapping[str, bytes]) -> None:
        for value in values.values():
            check_size(value, self._quota)
        after = self._own() | dict(values)
        if self._quota.max_keys is not None and len(after) > self._quota.max_keys:
            raise BackendError(f"there may be {self._quota.max_keys} keys")
        size = sum(len(key.encode()) + len(value) for key, value in after.items())
        if self._quota.max_bytes is not None and size > self._quota.max_bytes:
            raise BackendError(f"keys and values may have {self._quota.max_bytes} bytes")
        self._entries.update({self._prefix + key: value for key, value in values.items()})

    async def delete_many(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._entries.pop(self._prefix + key, None)

    async def keys(self, cursor: int) -> Page:
        found = list(self._own())
        after = cursor + PAGE
        return Page(found[cursor:after], after if len(found) > after else None)

    async def increment(self, key: str, delta: int, low: int, high: int) -> int:
        total = in_range(decimal(await self.get(key)) + delta, low, high)
        await self.set(key, str(total).encode())
        return total

    async def current(self, key: str) -> Current:
        value = await self.get(key)
        return Current(value, value)

    async def swap(self, key: str, version: Any, value: bytes) -> bool:
        if await self.get(key) != version:
            return False
        await self.set(key, value)
        return True

    def _own(self) -> dict[str, bytes]:
        return {
            key.removeprefix(self._prefix): value
            for key, value in self._entries.items()
            if key.startswith(self._prefix)
        }
