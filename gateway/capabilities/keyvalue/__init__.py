"""Key-value stores: what `wasi:keyvalue` needs of one, and those that there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.capabilities.backend import Opener, missing_extra
from gateway.capabilities.keyvalue.store import (
    Bucket,
    Change,
    Current,
    KeyValueStore,
    Page,
    Quota,
    WatchableBucket,
    WatchableStore,
)
from gateway.config.backend_url import BackendURL

__all__ = [
    "OPENERS",
    "Bucket",
    "Change",
    "Current",
    "KeyValueStore",
    "Page",
    "Quota",
    "WatchableBucket",
    "WatchableStore",
]


def _sqlite(url: BackendURL) -> KeyValueStore:
    from gateway.capabilities.keyvalue.sqlite import SQLiteStore  # noqa: PLC0415 - for those who use it

    return SQLiteStore.file(url)


def _memory(url: BackendURL) -> KeyValueStore:
    from gateway.capabilities.keyvalue.memory import MemoryStore  # noqa: PLC0415 - for those who use it

    return MemoryStore.named(url)


def _redis(url: BackendURL) -> KeyValueStore:
    try:
        from gateway.capabilities.keyvalue.redis import RedisStore  # noqa: PLC0415 - for those who use it
    except ModuleNotFoundError:
        raise missing_extra("redis") from None
    return RedisStore(url)


def _nats(url: BackendURL) -> KeyValueStore:
    try:
        from gateway.capabilities.keyvalue.nats import NATSStore  # noqa: PLC0415 - for those who use it
    except ModuleNotFoundError:
        raise missing_extra("nats") from None
    return NATSStore(url)


OPENERS: Final[Mapping[str, Opener[KeyValueStore]]] = {
    "memory": _memory,
    "nats": _nats,
    "redis": _redis,
    "rediss": _redis,
    "sqlite": _sqlite,
}
"""What opens a store, by the scheme of its URL."""
