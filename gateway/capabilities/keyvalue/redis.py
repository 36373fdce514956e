"""Key-value stores in Redis, or in what speaks its protocol as Valkey does.

A key of a component is a key of the server, with the prefix before it, and its value is a string there: other
programs may read and write it too. So there is nowhere to note how often a key was written, and `swap` compares
values.

Scripts do what must be one step, or must not load what is too large. Nothing is sent twice: of a connection that
broke nobody knows whether the server has done what it was asked.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import redis.asyncio as client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    OutOfMemoryError,
    RedisError,
    ResponseError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from gateway.capabilities.availability import Availability
from gateway.capabilities.backend import BackendError, BackendUnusable, Unavailable, refuse_bounds
from gateway.capabilities.keyvalue.redis_watch import OURS, RedisWatch, as_owner, own_channel
from gateway.capabilities.keyvalue.store import (
    MAX_BATCH,
    MAX_KEY,
    PAGE,
    Bucket,
    Change,
    Current,
    Page,
    Quota,
    check_size,
    decimal,
    in_range,
    too_large,
    too_much,
)
from gateway.config.backend_url import BackendURL

__all__ = ["MAX_CONNECTIONS", "RedisStore"]

T = TypeVar("T")

MAX_CONNECTIONS: Final = 16
"""Connections of a worker to one server. Arbitrary: each has one operation under way, and a server of one thread
is busy long before as many wait for it."""

_EMPTY_SCANS: Final = 100
"""Steps of `SCAN` without a key of ours, after which a page is returned without any: a small part of a large
server is not found in the time of one operation."""

_READ: Final = """
    local found, left = {}, tonumber(ARGV[2])
    for i, key in ipairs(KEYS) do
        local size = redis.call('STRLEN', key)
        left = left - size
        if size > tonumber(ARGV[1]) then return size end
        if left < 0 then return -1 end
        found[i] = redis.call('GET', key)
    end
    return found
"""
"""Gives the values of KEYS; or the size of one that is larger than ARGV[1], or -1 where they have more than
ARGV[2] bytes together. What is too large is not loaded."""

_ADD: Final = """
    if redis.call('STRLEN', KEYS[1]) > 21 then return {0, 'x'} end
    local value = redis.call('GET', KEYS[1])
    local text = value or '0'
    if #text > 15 or #ARGV[1] > 15 or not string.match(text, '^-?%d+$') then return {0, value} end
    local sum = tonumber(text) + tonumber(ARGV[1])
    local told = string.format('%.0f', sum)
    if sum >= tonumber(ARGV[2]) and sum <= tonumber(ARGV[3]) then
        redis.call('SET', KEYS[1], told, 'KEEPTTL')
    end
    return {1, told}
"""
"""Adds ARGV[1] to a number, if the sum is from ARGV[2] to ARGV[3]. Gives 1 and the sum; or 0 and the value, where
it is no number, or so large that one of Lua, which is floating, would not be exact."""

_SWAP: Final = """
    if redis.call('STRLEN', KEYS[1]) ~= #ARGV[1] or redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[2], unpack(ARGV, 3))
    return 1
"""
"""Sets a key to ARGV[2], with further words of `SET`, if it has the value ARGV[1]. Gives 1 if it had."""

_COMMAND: Final = "return redis.call(unpack(ARGV))"
"""Executes a command."""


class RedisStore:
    """A server.

    Args:
        url: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or with `rediss` by TLS.

    Attributes:
        kind: `redis`.
        waits: that it may wait.
        availability: whether the server can be used.
        options: what the client is told of the server.

    Raises:
        BackendUnusable: the URL says something else.
    """

    kind: Final = "redis"
    waits: Final = True

    def __init__(self, url: BackendURL) -> None:
        options = _options(url)
        self.options: Final = options
        # Nobody waits in the pool, which has a connection for each place.
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)
        pool = client.ConnectionPool(max_connections=MAX_CONNECTIONS, **options)
        self._client = client.Redis(connection_pool=pool)
        # Who looks whether the server is there must not wait for those who wait for it.
        self._look_client = client.Redis(
            connection_pool=client.ConnectionPool(max_connections=1, **options)
        )
        self.availability: Final = Availability(self._look)
        self.read: Final = self._client.register_script(_READ)
        self.add: Final = self._client.register_script(_ADD)
        self.swap: Final = self._client.register_script(_SWAP)
        self.own_add: Final = self._client.register_script(as_owner(_ADD))
        self.own_swap: Final = self._client.register_script(as_owner(_SWAP))
        self.own_command: Final = self._client.register_script(as_owner(_COMMAND))

    def bucket(self, prefix: str, quota: Quota) -> RedisBucket:
        """The keys of a prefix: `KeyValueStore.bucket`."""
        return self.watchable_bucket(prefix, quota, None)

    def watchable_bucket(self, prefix: str, quota: Quota, owner: str | None) -> RedisBucket:
        """The same, for a component that watches: `WatchableStore.watchable_bucket`."""
        refuse_bounds(
            "a Redis server",
            "the server by its maxmemory",
            max_keys=quota.max_keys,
            max_bytes=quota.max_bytes,
        )
        return RedisBucket(self, prefix, quota, owner)

    async def aclose(self) -> None:
        """Close the connections: `Backend.aclose`."""
        await self.availability.aclose()
        for each in (self._client, self._look_client):
            await _disconnect(each)

    async def execute(self, *command: Any, **options: Any) -> Any:
        """Have the server execute a command.

        Raises:
            BackendError: it does not.
        """
        execute: Callable[..., Awaitable[Any]] = self._client.execute_command
        return await self.perform(lambda: execute(*command, **options))

    async def perform(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something that takes one connection at a time.

        Raises:
            BackendError: it failed.
        """
        try:
            with self.availability.watching(RedisConnectionError, RedisTimeoutError, OSError):
                async with self._places:
                    return await work()
        except (RedisError, OSError) as error:
            raise _failure(error) from error

    async def _look(self) -> None:
        try:
            await self._look_client.ping()
        except (RedisError, OSError) as error:
            raise _failure(error) from error
        finally:
            await _disconnect(self._look_client)


def _options(url: BackendURL) -> dict[str, Any]:
    """What the client is told of a server.

    Raises:
        BackendUnusable: the URL is none of a server.
    """
    parts = urlsplit(str(url))
    tls = parts.scheme == "rediss"
    options: dict[str, Any] = {
        "connection_class": client.SSLConnection if tls else client.Connection,
        "host": parts.hostname,
        "port": _port(parts),
        "db": _database(parts),
        # One sends nothing twice, and waits for as long as the operation may.
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": None,
        # That of all versions of the server.
        "protocol": 2,
    }
    if not parts.hostname or parts.fragment:
        raise BackendUnusable(f'must name a server, such as "{parts.scheme}://HOST:6379/0"')
    if parts.username:
        options["username"] = unquote(parts.username)
    if parts.password:
        options["password"] = unquote(parts.password)
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if not tls or name not in _TLS_FILES or not value:
            known = ", ".join(_TLS_FILES)
            raise BackendUnusable(
                f"has a parameter of the query that is not known; of rediss:// there are {known}"
            )
        options[name] = value
    return options


_TLS_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""Files of PEM, by the names that the client's own URLs have for them."""


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or 6379
    except ValueError:
        raise BackendUnusable("has a port that is not a number from 1 to 65535") from None


def _database(parts: SplitResult) -> int:
    number = parts.path.removeprefix("/")
    if not re.fullmatch("[0-9]{0,9}", number):
        raise BackendUnusable('must have the number of a database for its path, such as "/0"')
    return int(number or "0")


async def _disconnect(connected: client.Redis) -> None:
    with suppress(RedisError, OSError):  # it is closed all the same
        await connected.connection_pool.disconnect()


def _failure(error: RedisError | OSError) -> BackendError:
    reason = str(error) or type(error).__name__
    if isinstance(error, OutOfMemoryError) or "OOM command not allowed" in reason:
        return BackendError("the store is full", reason)
    if isinstance(error, ResponseError) and "WRONGTYPE" in reason:
        return BackendError("the key has something in the store that is not a value in bytes")
    return Unavailable(reason)


class RedisBucket(Bucket):
    """The keys of a server that begin with a prefix: a `WatchableBucket`."""

    def __init__(self, store: RedisStore, prefix: str, quota: Quota, owner: str | None) -> None:
        self._store = store
        self._prefix = prefix.encode()
        self._pattern = re.sub(rb"[*?\[\]\\]", rb"\\\g<0>", self._prefix) + b"*"
        self._quota = quota
        self._owner = owner
        self._channel = None if owner is None else own_channel(owner)

    async def get(self, key: str) -> bytes | None:
        """`Bucket.get`."""
        most = self._quota.max_value
        # As fast as GET, of which nobody knows how much it loads; but nothing may be an empty value or none.
        found: bytes = await self._store.execute("GETRANGE", self._name(key), 0, most)
        if found and len(found) <= most:
            return found
        return (await self._read([key], most))[0]

    async def set(self, key: str, value: bytes) -> None:
        """`Bucket.set`."""
        check_size(value, self._quota)
        await self._change("SET", self._name(key), value)

    async def exists(self, key: str) -> bool:
        """`Bucket.exists`."""
        return bool(await self._store.execute("EXISTS", self._name(key)))

    async def keys(self, cursor: int) -> Page:
        """`Bucket.keys`."""
        if cursor >= _NO_CURSOR:
            return Page([], None)
        for _ in range(_EMPTY_SCANS):
            command = ("SCAN", cursor, "MATCH", self._pattern, "COUNT", PAGE, "TYPE", "string")
            cursor, found = await self._store.execute(*command)
            keys = [key for name in found if (key := self._key(name)) is not None]
            if keys or not cursor:
                break
        return Page(keys, cursor or None)

    async def increment(self, key: str, delta: int, low: int, high: int) -> int:
        """`Bucket.increment`."""
        while True:
            done, found = await self._run(
                self._store.add, self._store.own_add, [self._name(key)], delta, low, high
            )
            if done:
                return in_range(int(found), low, high)
            # Few numbers are so large that this takes several steps, between which another may come.
            total = in_range(decimal(found) + delta, low, high)
            if await self._swap(key, found, str(total).encode(), b"KEEPTTL"):
                return total

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """`Bucket.get_many`."""
        return await self._read(keys, MAX_BATCH)

    async def set_many(self, values: Mapping[str, bytes]) -> None:
        """`Bucket.set_many`."""
        words: list[bytes] = []
        for key, value in values.items():
            check_size(value, self._quota)
            words += (self._name(key), value)
        if words:
            await self._change("MSET", *words)

    async def delete_many(self, keys: Sequence[str]) -> None:
        """`Bucket.delete_many`."""
        if keys:
            await self._change("UNLINK", *map(self._name, keys))

    async def current(self, key: str) -> Current:
        """`Bucket.current`: the value is its own version."""
        value = await self.get(key)
        return Current(value, value)

    async def swap(self, key: str, version: Any, value: bytes) -> bool:
        """`Bucket.swap`: that the value is the one which was seen is all that can be told."""
        check_size(value, self._quota)
        return await self._swap(key, version, value)

    async def _swap(self, key: str, seen: bytes | None, value: bytes, *words: bytes) -> bool:
        name = self._name(key)
        if seen is None:
            return bool(await self._change("SET", name, value, "NX"))
        store = self._store
        return bool(await self._run(store.swap, store.own_swap, [name], seen, value, *words))

    async def _change(self, *command: Any) -> Any:
        """Have the server execute a command that changes something."""
        if self._channel is None:
            return await self._store.execute(*command)
        return await self._run(self._store.own_command, self._store.own_command, [], *command)

    async def _run(
        self, script: AsyncScript, own: AsyncScript, keys: list[bytes], *args: Any
    ) -> Any:
        """Have it run a script that does, or the same for a component that is told of what others do."""
        if self._channel is not None:
            script, args = own, (*args, self._channel)
        return await self._store.perform(lambda: script(keys=keys, args=args))

    def watch(self, name: str, deliver: Callable[[Change], None]) -> RedisWatch:
        """`WatchableBucket.watch`."""
        return RedisWatch(
            self._store.options,
            self._owner or "",
            name,
            prefix=self._prefix,
            pattern=self._pattern,
            most=self._quota.max_value,
            key=self._key,
            deliver=deliver,
            availability=self._store.availability,
        )

    async def _read(self, keys: Sequence[str], most: int) -> list[bytes | None]:
        if not keys:
            return []
        names, args = [self._name(key) for key in keys], [self._quota.max_value, most]
        found: int | list[bytes | None] = await self._store.perform(
            lambda: self._store.read(keys=names, args=args)
        )
        if not isinstance(found, int):
            return found
        raise too_much() if found < 0 else too_large(found, self._quota)

    def _name(self, key: str) -> bytes:
        return self._prefix + key.encode()

    def _key(self, name: bytes) -> str | None:
        """The key that a name of the server is; None where it cannot be one, or is our own."""
        if name.startswith(OURS):
            return None
        try:
            key = name[len(self._prefix) :].decode()
        except UnicodeDecodeError:
            return None
        return key if key and len(name) - len(self._prefix) <= MAX_KEY else None


_NO_CURSOR: Final = 1 << 63
"""From here on, no number is a cursor of the server, whose tables have no so many places. It takes any for one,
and would begin somewhere."""
