"""What `wasi:keyvalue` needs of a store. Each backend implements two protocols, or four if it tells of changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from gateway.capabilities.backend import Backend, BackendError
from gateway.capabilities.subscription import Subscription

__all__ = [
    "MAX_BATCH",
    "MAX_KEY",
    "MAX_KEYS",
    "PAGE",
    "Batch",
    "Bucket",
    "Change",
    "Current",
    "KeyValueStore",
    "Page",
    "Quota",
    "WatchableBucket",
    "WatchableStore",
    "check_quota",
    "check_size",
    "decimal",
    "in_range",
    "too_large",
    "too_much",
]

MAX_BATCH: Final = 2 << 20
"""Bytes of values that one `get-many` returns at most. Threat: a guest that asks for thousands of large values at
once, of which each is in memory several times on its way. As much as an argument may have."""

MAX_KEY: Final = 1024
"""Bytes of a key in UTF-8. NATS and S3 have about as much, Redis more; what fits here fits everywhere."""

PAGE: Final = 1000
"""Keys that one call of `list-keys` returns, give or take a few. Arbitrary; S3 has as many."""

MAX_KEYS: Final = 1024
"""Keys that one call of `get-many`, `set-many` or `delete-many` takes: a page of them, however it came out.
Threat: a store in memory is used on the event loop, which 8192 keys at once held for 75 ms."""


class Quota(NamedTuple):
    """How much a component may keep in a bucket.

    Attributes:
        max_value: bytes of a value, written or read.
        max_keys: how many keys; None for no bound.
        max_bytes: bytes of all keys and values; None for no bound.
    """

    max_value: int
    max_keys: int | None = None
    max_bytes: int | None = None


class Page(NamedTuple):
    """Some of the keys of a bucket.

    Attributes:
        keys: about `PAGE` at most; none, where there are more, if the store found none in reasonable time.
        cursor: where the next page begins, 1 or more; None after the last.
    """

    keys: list[str]
    cursor: int | None


class Current(NamedTuple):
    """The value of a key at some moment.

    Attributes:
        value: the value; None where there was none.
        version: by which the store knows whether there was another since; opaque to others.
    """

    value: bytes | None
    version: Any


class Change(NamedTuple):
    """That a key was set or removed.

    Attributes:
        key: the key.
        value: what it was set to, the same as before or not; None where it was removed.
    """

    key: str
    value: bytes | None


class Bucket(Protocol):
    """The part of a store that a component may use. It sees its own keys there, and keeps to its quota.

    Each method raises `BackendError` where the store cannot be used, a quota is exceeded, or a value is larger
    than the quota has it. A write that raises has changed nothing, unless the store could not be heard any more.
    """

    async def get(self, key: str) -> bytes | None:
        """The value of a key."""

    async def set(self, key: str, value: bytes) -> None:
        """Set a key, whether it is there or not."""
        await self.set_many({key: value})

    async def delete(self, key: str) -> None:
        """Remove a key, if it is there."""
        await self.delete_many((key,))

    async def exists(self, key: str) -> bool:
        """Whether a key is there."""

    async def keys(self, cursor: int) -> Page:
        """A page of the keys. What is there all along is on one page at least, whatever changes meanwhile.

        Args:
            cursor: 0 for the first page, or what another returned.
        """

    async def increment(self, key: str, delta: int, low: int, high: int) -> int:
        """Add to a number that is kept as decimal text, from 0 where there is none; atomically.

        Args:
            key: the key.
            delta: what to add.
            low: the least that may come of it.
            high: the most.

        Returns:
            The sum.
        """

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of some keys, in their order."""

    async def set_many(self, values: Mapping[str, bytes]) -> None:
        """Set some keys; where the store can, all or none of them."""

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Remove some keys; where the store can, all or none of them."""

    async def current(self, key: str) -> Current:
        """The value of a key, for `swap`."""

    async def swap(self, key: str, version: Any, value: bytes) -> bool:
        """Set a key if nobody has since `version` was its; tells whether it was.

        A store that does not count writes compares values: then the same value again is none that was set since.
        """


class KeyValueStore(Backend, Protocol):
    """A store, for all components of a worker that name its URL."""

    def bucket(self, prefix: str, quota: Quota) -> Bucket:
        """The part of the store that a component may use.

        Args:
            prefix: what its keys begin with in there, where the store is shared; "" for no prefix.
            quota: how much it may keep.

        Raises:
            BackendUnusable: the store cannot keep to the quota.
        """


class WatchableBucket(Bucket, Protocol):
    """A bucket that tells of changes."""

    def watch(self, name: str, deliver: Callable[[Change], None]) -> Subscription[Change]:
        """Tell of each change that others than its owner make, after it is made; on the event loop.

        Where several workers share a store, each change is told to one of those that watch by this name for this
        owner.

        Args:
            name: what its owner calls the bucket.
            deliver: takes them, those of one key in their order.
        """


@runtime_checkable
class WatchableStore(KeyValueStore, Protocol):
    """A store that can tell of changes."""

    def watchable_bucket(self, prefix: str, quota: Quota, owner: str) -> WatchableBucket:
        """The part of the store that a component may use which watches some of it.

        Args:
            prefix: as of `bucket`.
            quota: ditto.
            owner: the component's name: what it changes itself, by this bucket or another of its own, it is not
                told of.

        Raises:
            BackendUnusable: as of `bucket`.
        """


_DECIMAL: Final = re.compile(rb"-?[0-9]{1,20}")
"""What all of 64 bits takes, with a sign or without."""


def decimal(value: bytes | None) -> int:
    """The number that a counter has; 0 where there is none yet.

    Raises:
        BackendError: the value is no number.
    """
    if value is None:
        return 0
    if not _DECIMAL.fullmatch(value):
        raise BackendError("the value is not a number in decimal text")
    return int(value)


def in_range(total: int, low: int, high: int) -> int:
    """A sum that may be kept.

    Raises:
        BackendError: it is out of range.
    """
    if not low <= total <= high:
        raise BackendError(f"the sum is not between {low} and {high}")
    return total


def check_size(value: bytes, quota: Quota) -> None:
    """Refuse a value that is too large to be written.

    Raises:
        BackendError: it is.
    """
    if len(value) > quota.max_value:
        raise BackendError(f"the value has {len(value)} bytes, and may have {quota.max_value}")


def check_quota(keys: int, size: int, quota: Quota) -> None:
    """Refuse what would be more than a component may keep.

    Args:
        keys: how many keys there would be.
        size: bytes of all keys and values.
        quota: how much there may be.

    Raises:
        BackendError: it is.
    """
    if quota.max_keys is not None and keys > quota.max_keys:
        raise BackendError(
            f"the store has {quota.max_keys} keys already, which is all that it may have"
        )
    if quota.max_bytes is not None and size > quota.max_bytes:
        raise BackendError(f"the store would have {size} bytes, and may have {quota.max_bytes}")


def too_large(size: int, quota: Quota) -> BackendError:
    """Why a value of so many bytes is not read."""
    return BackendError(f"the value has {size} bytes, and at most {quota.max_value} may be read")


def too_much() -> BackendError:
    """Why no more values are read at once."""
    return BackendError(f"the values have more than {MAX_BATCH} bytes: ask for fewer at once")


class Batch:
    """The values that one `get-many` returns, as they are found.

    Attributes:
        values: those that were added.
    """

    def __init__(self) -> None:
        self.values: Final[list[bytes | None]] = []
        self._left = MAX_BATCH

    def add(self, value: bytes | None) -> None:
        """Add the next.

        Raises:
            BackendError: together they are too much.
        """
        self._left -= len(value or b"")
        if self._left < 0:
            raise too_much()
        self.values.append(value)
