"""What is changed in Redis, as long as somebody wants to know, over as many connections as it takes.

The server tells of the keys that are changed (its keyspace notifications) to each connection that listens. Of all
who watch by one name, one leads: who has a lock in the server, and has it anew every other second. It alone tells,
after it has read the value, which no notification has. The others listen as well: when the lock is free, each
keeps what it hears until it is known whose the lock is, so between two that lead nothing is lost if the one before
gave the lock back.

What a component writes itself is done in scripts that surround it by messages on a channel of its own. All who
listen have everything in the order in which the server did it: so what is between those is what it wrote.

Source: https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
from collections import deque
from collections.abc import Callable, Mapping
from hashlib import sha256
from math import inf
from typing import Any, Final

import redis.asyncio as client
import structlog
from redis.exceptions import RedisError, ResponseError

from gateway.capabilities.availability import LOOK_TIMEOUT, MAX_PAUSE, MIN_PAUSE, Availability
from gateway.capabilities.keyvalue.store import Change
from gateway.capabilities.task import end

__all__ = ["LEASE", "OURS", "RedisWatch", "as_owner", "own_channel"]

_log = structlog.get_logger("gateway.capabilities")

OURS: Final = b"component-gateway:"
"""What the names of our own keys and channels begin with."""

LEASE: Final = 6.0
"""Seconds after which another may lead in place of one that was killed, or stopped. Arbitrary: what is changed
meanwhile is told to nobody."""

_RENEW: Final = LEASE / 3
"""Seconds between two times that who leads says so: it may be late by twice that."""

MAX_EVENTS: Final = 10_000
"""Changes that wait for their values to be read. Threat: one that writes faster than that is done. A key has 1 KiB
at most, so that they have some MiB."""

_BATCH: Final = 16
"""Values that are read at once: as many as may be told at once by default."""

_TURN: Final = 128
"""Messages of the server that are heard in one turn of the loop: some milliseconds."""

_FLAGS: Final = "Kg$xe"
"""Of `notify-keyspace-events`: by the names of keys, what is removed and renamed, strings, what expires, and what
makes room."""

_SETS: Final = frozenset(
    (
        *(b"set", b"setrange", b"setbit", b"append", b"incrby", b"incrbyfloat", b"pfadd"),
        *(b"rename_to", b"copy_to", b"move_to", b"restore"),
    )
)
_REMOVALS: Final = frozenset((b"del", b"expired", b"evicted", b"rename_from", b"move_from"))

_LOCK: Final = """
    local holder = redis.call('GET', KEYS[1])
    if holder and holder ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return 1
"""
"""Takes the lock KEYS[1] for ARGV[2] milliseconds, or keeps it. Gives 1 if ARGV[1] has it."""

_UNLOCK: Final = """
    if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""

_VALUES: Final = """
    local found = {}
    for i, key in ipairs(KEYS) do
        local is_text = redis.call('TYPE', key).ok == 'string'
        found[i] = is_text and redis.call('GETRANGE', key, 0, ARGV[1])
    end
    return found
"""
"""Gives the values of KEYS, or as much of each as shows that it is too large; nil where there is none in bytes."""

_OWN: Final = """
    local channel = table.remove(ARGV)
    redis.call('PUBLISH', channel, '+')
    local done, result = pcall(function() WORK end)
    redis.call('PUBLISH', channel, '-')
    if done then return result end
    return redis.error_reply(type(result) == 'table' and result.err or result)
"""


def as_owner(script: str) -> str:
    """A script that does the same, and says on the channel that is its last argument when it begins and ends."""
    return _OWN.replace("WORK", script)


def own_channel(owner: str) -> bytes:
    """The channel on which a component says what it writes itself."""
    return OURS + b"own:" + _digest(owner)


def _digest(*words: str) -> bytes:
    return sha256("\0".join(words).encode()).hexdigest()[:20].encode()


class _Untold(Exception):
    """The server does not tell of changes."""


class RedisWatch:
    """An interest in changes: a `Subscription`.

    Args:
        options: what the client is told of the server.
        owner: the component.
        name: what it calls the store.
        prefix: what its keys begin with.
        pattern: the same as a pattern of keys.
        most: bytes of a value that are read at most.
        key: makes the component's key of one of the server's; None where it is not the component's.
        deliver: takes the changes.
        availability: whether the server can be used.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        owner: str,
        name: str,
        *,
        prefix: bytes,
        pattern: bytes,
        most: int,
        key: Callable[[bytes], str | None],
        deliver: Callable[[Change], None],
        availability: Availability,
    ) -> None:
        self.deliver = deliver
        self._options = dict(options)
        self._make: Callable[..., client.Connection] = self._options.pop("connection_class")
        self._client = client.Redis(
            connection_pool=client.ConnectionPool(max_connections=2, **options)
        )
        self._take_lock = self._client.register_script(_LOCK)
        self._give_lock = self._client.register_script(_UNLOCK)
        self._read_values = self._client.register_script(_VALUES)
        self._key = key
        self._most = most
        self._availability = availability
        self._notifies = f"__keyspace@{options['db']}__:".encode()
        self._pattern = self._notifies + pattern
        self._own_channel = own_channel(owner)
        self._lock = OURS + b"watch:" + _digest(owner, name, prefix.decode())
        self._token = os.urandom(16).hex()
        self._loop = asyncio.get_running_loop()
        self._connection: client.Connection | None = None
        self._pings: deque[asyncio.Future[None]] = deque()
        self._leads_until = 0.0
        self._free = True
        self._freed = asyncio.Event()
        self._own = False
        self._telling = False
        self._turn = asyncio.Lock()
        self._leaving = self._left = False
        self._told: set[bytes] = set()
        self._events: deque[tuple[bytes, str, bool]] = deque()
        self._some = asyncio.Event()
        self._none = asyncio.Event()
        self._ready = asyncio.Event()
        self._failed = False
        self._pause = MIN_PAUSE
        self._task = asyncio.create_task(self._stay())

    async def ready(self) -> None:
        """Wait until it is known who leads: `Subscription.ready`."""
        await self._ready.wait()

    async def aclose(self) -> None:
        """Have no more: `Subscription.aclose`."""
        if not self._task.done() and self._connection is not None:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(LOOK_TIMEOUT):
                    await self._leave(self._connection)
        await end(self._task)
        self._availability.say(None)

    async def _leave(self, connection: client.Connection) -> None:
        """Give the lock back, and tell all that was changed before."""
        async with self._turn:
            self._leaving = True
            led = self._leads
            await self._give_lock(keys=[self._lock], args=[self._token])
        await self._hear_all(connection)
        if led:
            self._leads_until = inf  # of what was before that, nobody else has told anything
            self._some.set()
            while self._events or self._telling:
                self._none.clear()
                await self._none.wait()

    @property
    def _leads(self) -> bool:
        return self._loop.time() < self._leads_until

    async def _stay(self) -> None:
        while True:
            try:
                await self._watch()
            except Exception as error:  # whatever it is, this goes on
                first: BaseException = error
                while isinstance(first, BaseExceptionGroup):
                    first = first.exceptions[0]
                reason = str(first) or type(first).__name__
                if not self._failed:
                    _log.warning("watch failed", backend="redis", reason=reason)
                self._failed = True
                self._availability.say(f"changes are not told: {reason}")
                self._availability.doubt()
            # Not all workers at the same time.
            await asyncio.sleep(self._pause * random.uniform(0.75, 1.0))  # noqa: S311
            self._pause = min(2 * self._pause, MAX_PAUSE)

    async def _watch(self) -> None:
        """Listen, until the connection is lost."""
        connection = self._make(**self._options)
        self._leads_until, self._free, self._own, self._telling = 0.0, True, False, False
        self._told.clear()
        self._events.clear()
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_command("PSUBSCRIBE", self._pattern)
                await connection.send_command(
                    "SUBSCRIBE", self._own_channel, self._notifies + self._lock
                )
                await self._turn_on()
            self._connection = connection
            async with asyncio.TaskGroup() as group:
                for work in (self._hear(connection), self._lead(connection), self._tell()):
                    group.create_task(work)
        finally:
            self._connection = None
            while self._pings:
                self._pings.popleft().cancel()
            with contextlib.suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)
            with contextlib.suppress(RedisError, OSError):
                await self._client.connection_pool.disconnect()

    async def _turn_on(self) -> None:
        """Have the server tell, if that can be asked for; where it cannot, it may tell all the same."""
        with contextlib.suppress(ResponseError):
            name = "notify-keyspace-events"
            flags = str((await self._client.config_get(name))[name])
            told = set(flags) | (set(_FLAGS) - {"K"} if "A" in flags else set())
            if missing := "".join(flag for flag in _FLAGS if flag not in told):
                await self._client.config_set(name, flags + missing)
                _log.info("notifications turned on", backend="redis", **{"from": flags}, by=missing)

    # --- who leads -----------------------------------------------------------------------------------------

    async def _lead(self, connection: client.Connection) -> None:
        while True:
            async with asyncio.timeout(LOOK_TIMEOUT), self._turn:
                if self._leaving:
                    return
                self._freed.clear()
                asked = self._loop.time()
                if self._leads_until and not self._leads:
                    self._follow()  # late: another may have led meanwhile
                mine = await self._take_lock(
                    keys=[self._lock], args=(self._token, int(LEASE * 1000))
                )
                await self._hear_all(connection)  # which shows that there is a connection
                if not mine:
                    if not self._freed.is_set():  # or it may be free again
                        self._follow()
                else:
                    if not self._leads_until and not {b"set", b"expire"} <= self._told:
                        raise _Untold(
                            f'the server does not tell of changes: set its notify-keyspace-events to "{_FLAGS}", '
                            "or let this user CONFIG GET and CONFIG SET it"
                        )
                    self._leads_until, self._free = asked + LEASE, False
                    self._some.set()
            self._ready.set()
            self._failed, self._pause = False, MIN_PAUSE
            self._availability.say(None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RENEW):
                    await self._freed.wait()

    def _follow(self) -> None:
        self._leads_until, self._free = 0.0, False
        self._events.clear()

    async def _hear_all(self, connection: client.Connection) -> None:
        """Wait until all is heard that the server had done when this began."""
        heard: asyncio.Future[None] = self._loop.create_future()
        self._pings.append(heard)
        await connection.send_command("PING")
        await heard

    # --- what is told --------------------------------------------------------------------------------------

    async def _hear(self, connection: client.Connection) -> None:
        for number in itertools.count(1):
            if number % _TURN == 0:
                await asyncio.sleep(0)  # what has come already is not waited for
            match await connection.read_response():
                case [b"pong", *_]:
                    heard = self._pings.popleft()
                    if not heard.done():
                        heard.set_result(None)
                case [b"message", self._own_channel, word]:
                    self._own = word == b"+"
                case [b"message", _, event]:
                    self._told.add(event)
                    if event in _REMOVALS and self._leaving:
                        self._left = True
                    elif event in _REMOVALS and not self._leads:
                        self._free = True
                        self._freed.set()
                case [b"pmessage", _, channel, event]:
                    self._note(channel.removeprefix(self._notifies), event)

    def _note(self, name: bytes, event: bytes) -> None:
        """Have a change be told, if it is one that this is to tell."""
        was_set = event in _SETS
        if self._own or self._left or not (self._leads or self._free):
            return
        if not (was_set or event in _REMOVALS):
            return
        if (key := self._key(name)) is None:
            return
        if len(self._events) >= MAX_EVENTS:
            raise _Untold(f"more than {MAX_EVENTS} changes wait to be read")
        self._events.append((name, key, was_set))
        self._some.set()

    async def _tell(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._events and self._leads:
                batch = [self._events.popleft() for _ in range(min(len(self._events), _BATCH))]
                self._telling = True
                names = [name for name, _, was_set in batch if was_set]
                found: list[bytes | None] = []
                if names:
                    async with asyncio.timeout(LOOK_TIMEOUT):
                        found = await self._read_values(keys=names, args=[self._most])
                values = iter(found)
                for _, key, was_set in batch:
                    value = next(values) if was_set else None
                    # What has gone since is told as that.
                    if self._leads and (value is not None or not was_set):
                        self.deliver(Change(key, value))
                self._telling = False
            self._none.set()
