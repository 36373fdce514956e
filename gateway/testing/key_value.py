"""A key-value store that a test fills and looks into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.capabilities.availability import Availability
from gateway.capabilities.keyvalue.store import (
    PAGE,
    Batch,
    Bucket,
    Current,
    Page,
    Quota,
    check_quota,
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
        self._writes = Counter[str]()
        self._numbers: dict[str, int] = {}
        self._last = 0

    def wrote(self, key: str) -> None:
        """Count what a component writes, or removes."""
        self._writes[key] += 1

    def version(self, key: str) -> tuple[bytes | None, int]:
        """What differs after each write of a key, by a component or by the test."""
        return self.entries.get(key), self._writes[key]

    def numbered(self) -> dict[str, int]:
        """A number for each key that is there, which it has for as long as it is: by them they are listed."""
        for key in self._numbers.keys() - self.entries.keys():
            del self._numbers[key]
        for key in self.entries:
            if key not in self._numbers:
                self._last += 1
                self._numbers[key] = self._last
        return self._numbers

    def bucket(self, prefix: str, quota: Quota) -> _Bucket:
        """`KeyValueStore.bucket`."""
        return _Bucket(self, prefix, quota)

    async def aclose(self) -> None:
        """`Backend.aclose`: what is there stays, for the test to look at."""


class _Bucket(Bucket):
    """The keys with a prefix: a `Bucket`. Nothing here waits, so every operation is atomic."""

    def __init__(self, store: KeyValue, prefix: str, quota: Quota) -> None:
        self._store = store
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

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        batch = Batch()
        for key in keys:
            batch.add(await self.get(key))
        return batch.values

    async def set_many(self, values: Mapping[str, bytes]) -> None:
        for value in values.values():
            check_size(value, self._quota)
        after = self._own() | dict(values)
        size = sum(len(key.encode()) + len(value) for key, value in after.items())
        check_quota(len(after), size, self._quota)
        for key, value in values.items():
            self._entries[self._prefix + key] = value
            self._store.wrote(self._prefix + key)

    async def delete_many(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._entries.pop(self._prefix + key, None)
            self._store.wrote(self._prefix + key)

    async def keys(self, cursor: int) -> Page:
        numbers = self._store.numbered()
        found = sorted(
            (number, key) for key in self._own() if (number := numbers[self._prefix + key]) > cursor
        )
        page = found[:PAGE]
        return Page([key for _, key in page], page[-1][0] if len(found) > PAGE else None)

    async def increment(self, key: str, delta: int, low: int, high: int) -> int:
        total = in_range(decimal(await self.get(key)) + delta, low, high)
        await self.set(key, str(total).encode())
        return total

    async def current(self, key: str) -> Current:
        return Current(await self.get(key), self._store.version(self._prefix + key))

    async def swap(self, key: str, version: Any, value: bytes) -> bool:
        if self._store.version(self._prefix + key) != version:
            return False
        await self.set(key, value)
        return True

    def _own(self) -> dict[str, bytes]:
        return {
            key.removeprefix(self._prefix): value
            for key, value in self._entries.items()
            if key.startswith(self._prefix)
        }
