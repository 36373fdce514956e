"""Key-value stores in the buckets of NATS JetStream.

A key is one of the bucket, escaped (`gateway.capabilities.keyvalue.nats_key`), so other programs may read and
write it. The server numbers all writes of a bucket, and takes one that is to follow a certain other: that is what
`increment` and `swap` are made of, and the number of a write is the cursor of `list-keys`. It cannot take several
writes at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlsplit, urlunsplit
from weakref import WeakValueDictionary

import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, Header
from nats.js.errors import APIError, NotFoundError

from gateway.capabilities.availability import Availability
from gateway.capabilities.backend import BackendError, BackendUnusable, Unavailable, refuse_bounds
from gateway.capabilities.keyvalue.nats_key import decode, encode, subject_of
from gateway.capabilities.keyvalue.nats_link import MAX_REQUESTS, Link
from gateway.capabilities.keyvalue.nats_watch import NATSWatch
from gateway.capabilities.keyvalue.store import (
    MAX_KEY,
    PAGE,
    Batch,
    Change,
    Current,
    Page,
    Quota,
    check_size,
    decimal,
    in_range,
    too_large,
)
from gateway.capabilities.nats_client import FAILURES
from gateway.config.backend_url import BackendURL

__all__ = ["NATSStore"]

T = TypeVar("T")

_MAX_NAME: Final = 3500
"""Bytes of a key as NATS has it. The server closes connections of who sends a line of more than 4096 bytes, of
which the names of the bucket and of where the answer goes are some."""

_MARKER: Final = 3600.0
"""Seconds that the server remembers of a key that it was removed, where the bucket lets it forget at all."""

_LISTING: Final = 10.0
"""Seconds after which the server forgets a listing that nobody goes on with."""

_WRITER: Final = "Component-Gateway-Writer"
"""The header that has the name of a component which watches, in what it writes."""

_HEADERS: Final = 256
"""Bytes that the headers of a write have at most."""

_FAILURES: Final = (*FAILURES, ValueError)
"""What comes of a server that cannot be used; the last of one whose name is none."""

_WRONG_SEQUENCE: Final = frozenset((10071, 10164))
_FULL: Final = frozenset((10023, 10047, 10077))
_TOO_LARGE: Final = 10054
"""Numbers of errors of the server: another write came first; no more room; a message too large for the bucket."""


class NATSStore:
    """A bucket.

    Args:
        url: `nats://[USER:PASSWORD@]HOST[:PORT]/BUCKET`, with `?replicas=N` for a bucket that is to be made in a
        cluster.

    Attributes:
        kind: `nats`.
        waits: that it may wait.
        availability: whether the bucket can be used.
        bucket_name: the bucket's.
        link: the connection.

    Raises:
        BackendUnusable: the URL says something else.
    """

    kind: Final = "nats"
    waits: Final = True

    def __init__(self, url: BackendURL) -> None:
        parts = urlsplit(str(url))
        try:
            valid = parts.hostname and (parts.port is None or parts.port) and not parts.fragment
        except ValueError:
            valid = None
        self.bucket_name: Final = parts.path.removeprefix("/")
        if not valid or not re.fullmatch("[-_a-zA-Z0-9]+", self.bucket_name):
            raise BackendUnusable(
                'must name a server and a bucket, such as "nats://HOST:4222/BUCKET"'
            )
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        replicas = query.pop("replicas", "1")
        if query or replicas not in {"1", "2", "3", "4", "5"}:
            raise BackendUnusable(
                'may have "replicas=N" for its query, from 1 to 5, and nothing else'
            )
        server = urlunsplit((parts.scheme, parts.netloc, "", "", ""))
        self.link: Final = Link(server, self.bucket_name, int(replicas))
        self.availability: Final = Availability(self._look)

    def bucket(self, prefix: str, quota: Quota) -> NATSBucket:
        """The keys of a prefix: `KeyValueStore.bucket`."""
        return self.watchable_bucket(prefix, quota, None)

    def watchable_bucket(self, prefix: str, quota: Quota, owner: str | None) -> NATSBucket:
        """The same, for a component that watches: `WatchableStore.watchable_bucket`."""
        refuse_bounds(
            "a bucket of NATS",
            "the bucket (nats kv add --max-bucket-size)",
            max_keys=quota.max_keys,
            max_bytes=quota.max_bytes,
        )
        return NATSBucket(self, prefix, quota, owner)

    async def aclose(self) -> None:
        """Close the connection: `Backend.aclose`."""
        await self.availability.aclose()
        await self.link.aclose()

    async def ask(self, request: Callable[[JetStreamContext], Coroutine[Any, Any, T]]) -> T:
        """Ask the server something.

        Raises:
            BackendError: that failed.
            Overtaken: another write came first.
        """
        try:
            with self.availability.watching(*_FAILURES):
                # What the server, or its client, says to what it does not do is no sign that it is away.
                try:
                    return await self.link.ask(request)
                except nats.errors.MaxPayloadError as error:
                    raise BackendError("the value is larger than the store takes") from error
                except APIError as error:
                    if error.err_code in _WRONG_SEQUENCE:
                        raise Overtaken from error
                    raise _refusal(error) from error
        except _FAILURES as error:
            raise _failure(error) from error

    async def _look(self) -> None:
        try:
            await self.link.look()
        except _FAILURES as error:
            raise _failure(error) from error


class Overtaken(Exception):
    """A write was not done that was to follow another."""


def _refusal(error: APIError) -> BackendError:
    if error.err_code in _FULL:
        return BackendError("the store is full", error.description or str(error))
    if error.err_code == _TOO_LARGE:
        return BackendError("the value is larger than the store takes")
    return _failure(error)


def _failure(error: Exception) -> BackendError:
    return Unavailable(str(error) or type(error).__name__)


class _Found(NamedTuple):
    """What the server has of a key.

    Attributes:
        value: the value; None where there is none.
        revision: the number of its last write, which may have removed it; 0 where there was none.
    """

    value: bytes | None
    revision: int


class NATSBucket:
    """The keys of a bucket that begin with a prefix: a `WatchableBucket`."""

    def __init__(self, store: NATSStore, prefix: str, quota: Quota, owner: str | None) -> None:
        self._store = store
        self._prefix = prefix
        self._quota = quota
        self._stream = f"KV_{store.bucket_name}"
        self._subjects = f"$KV.{store.bucket_name}."
        self._owner = owner
        self._headers: dict[str, Any] = {} if owner is None else {_WRITER: owner}
        # Increments of one key take turns here, in place of each being overtaken by the others.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, key: str) -> bytes | None:
        """`Bucket.get`."""
        return self._small((await self._find(key)).value)

    async def set(self, key: str, value: bytes) -> None:
        """`Bucket.set`."""
        check_size(value, self._quota)
        await self._write(key, value)

    async def delete(self, key: str) -> None:
        """`Bucket.delete`."""
        if (await self._find(key)).value is None:
            return  # or there would be a note of each key that somebody made up
        config = self._store.link.config
        forgets = config is not None and config.allow_msg_ttl
        subject = self._subject(key)
        await self._store.ask(
            lambda stream: stream.publish(
                subject,
                headers={"KV-Operation": "DEL", **self._headers},
                msg_ttl=_MARKER if forgets else None,
            )
        )

    async def exists(self, key: str) -> bool:
        """`Bucket.exists`."""
        return (await self._find(key)).value is not None

    async def keys(self, cursor: int) -> Page:
        """`Bucket.keys`."""
        if cursor >= _NO_CURSOR:
            return Page([], None)
        return await self._store.ask(lambda stream: self._page(stream, cursor))

    async def increment(self, key: str, delta: int, low: int, high: int) -> int:
        """`Bucket.increment`."""
        async with self._turns.setdefault(key, asyncio.Lock()):
            while True:
                found = await self._find(key)
                total = in_range(decimal(found.value) + delta, low, high)
                if await self.swap(key, found.revision, str(total).encode()):
                    return total
                # Another worker came first. Whoever waits for a random while is not always the same.
                await asyncio.sleep(random.uniform(0, 0.005))  # noqa: S311

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """`Bucket.get_many`."""
        batch = Batch()
        for key in keys:
            batch.add(await self.get(key))
        return batch.values

    async def set_many(self, values: Mapping[str, bytes]) -> None:
        """`Bucket.set_many`: one by one, of which some may be done and others not."""
        for value in values.values():
            check_size(value, self._quota)
        await _each(values.items(), lambda item: self._write(*item))

    async def delete_many(self, keys: Sequence[str]) -> None:
        """`Bucket.delete_many`: one by one, as `set_many`."""
        await _each(keys, self.delete)

    async def current(self, key: str) -> Current:
        """`Bucket.current`."""
        found = await self._find(key)
        return Current(self._small(found.value), found.revision)

    async def swap(self, key: str, version: Any, value: bytes) -> bool:
        """`Bucket.swap`."""
        check_size(value, self._quota)
        try:
            await self._write(key, value, {Header.EXPECTED_LAST_SUBJECT_SEQUENCE: str(version)})
        except Overtaken:
            return False
        return True

    async def _find(self, key: str) -> _Found:
        config = self._store.link.config
        direct = config is not None and bool(config.allow_direct)
        subject = self._subject(key)

        async def find(stream: JetStreamContext) -> _Found:
            try:
                message = await stream.get_msg(self._stream, subject=subject, direct=direct)
            except NotFoundError:
                return _Found(None, 0)
            gone = _is_marker(message.headers)
            return _Found(None if gone else message.data or b"", message.seq or 0)

        return await self._store.ask(find)

    def _small(self, value: bytes | None) -> bytes | None:
        if value is not None and len(value) > self._quota.max_value:
            raise too_large(len(value), self._quota)
        return value

    def watch(self, name: str, deliver: Callable[[Change], None]) -> NATSWatch:
        """`WatchableBucket.watch`."""
        who = "\0".join((self._owner or "", name, self._prefix))
        return NATSWatch(
            self._store.link,
            self._stream,
            f"component-gateway-{sha256(who.encode()).hexdigest()[:20]}",
            self._subjects + subject_of(self._prefix),
            read=self._changed,
            deliver=deliver,
            on_failure=self._store.availability.doubt,
        )

    def _changed(self, message: Msg) -> Change | None:
        """What a message of the bucket's stream says; None if that is not for its owner."""
        headers = message.headers or {}
        key = self._key(message.subject.removeprefix(self._subjects))
        if key is None or headers.get(_WRITER, "") == self._owner:
            return None
        return Change(key, None if _is_marker(headers) else bytes(message.data))

    async def _write(self, key: str, value: bytes, headers: dict[str, Any] | None = None) -> None:
        headers = {**(headers or {}), **self._headers} or None
        subject = self._subject(key)

        async def write(stream: JetStreamContext) -> None:
            # The client does not count headers, and the server ends the connection of who sends too much.
            if len(value) + (_HEADERS if headers else 0) > self._store.link.max_payload:
                raise nats.errors.MaxPayloadError
            await stream.publish(subject, value, headers=headers)

        await self._store.ask(write)

    def _subject(self, key: str) -> str:
        name = encode(self._prefix + key)
        if len(name) > _MAX_NAME:
            raise BackendError(
                "the key is too long for the store, which writes some bytes as three"
            )
        return self._subjects + name

    async def _page(self, stream: JetStreamContext, cursor: int) -> Page:
        """The keys that were last written from a revision on."""
        config = self._store.link.config
        if config is not None and config.max_msgs_per_subject != 1:
            raise BackendError("a store that keeps old values cannot list its keys")
        subject = self._subjects + subject_of(self._prefix)
        consumer = await stream.add_consumer(
            self._stream,
            ConsumerConfig(
                filter_subject=subject,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=max(cursor, 1),
                ack_policy=AckPolicy.NONE,
                headers_only=True,
                inactive_threshold=_LISTING,
                mem_storage=True,
                num_replicas=1,
            ),
        )
        found: list[Msg] = []
        if consumer.num_pending:
            listing = await stream.pull_subscribe_bind(consumer.name, stream=self._stream)
            try:
                found = await listing.fetch(min(PAGE, consumer.num_pending), timeout=_LISTING)
            finally:
                await listing.unsubscribe()
        # Those of a guest that lists all the time would be thousands before the server forgets the first.
        with contextlib.suppress(NotFoundError):
            await stream.delete_consumer(self._stream, consumer.name)
        if not found:
            return Page([], None)
        names = [
            message.subject.removeprefix(self._subjects)
            for message in found
            if not _is_marker(message.headers)
        ]
        last = found[-1].metadata
        more = last.sequence.stream + 1 if last.num_pending else None
        return Page([key for name in names if (key := self._key(name)) is not None], more)

    def _key(self, name: str) -> str | None:
        """The key of a name in the bucket; None where it is another component's, or no key."""
        full = decode(name)
        if full is None or not full.startswith(self._prefix):
            return None
        key = full.removeprefix(self._prefix)
        return key if key and len(key.encode()) <= MAX_KEY else None


def _is_marker(headers: Mapping[str, str] | None) -> bool:
    """Whether a message only says that a key was removed."""
    return headers is not None and (
        headers.get("KV-Operation") in {"DEL", "PURGE"} or "Nats-Marker-Reason" in headers
    )


async def _each(items: Sequence[T] | Any, work: Callable[[T], Awaitable[None]]) -> None:
    """Do something with each, of which some at the same time. What fails ends it."""
    left = iter(items)

    async def some() -> None:
        for item in left:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(MAX_REQUESTS):
                group.create_task(some())
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


_NO_CURSOR: Final = 1 << 63
"""More than a server can have numbered."""
