"""Connections that wait for another exchange."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from gateway.bindings.http.outbound.connection import Connection
from gateway.bindings.http.outbound.connector import Origin

__all__ = ["Pool"]

IDLE_TIME: Final = 4.0
"""Seconds until an idle connection is closed: before the 5 s after which Node, uvicorn and Apache close theirs, so
that a request seldom meets a connection that is just being closed."""

MAX_IDLE: Final = 64
"""Idle connections of one component; the oldest is closed for one more. Arbitrary: each is a file descriptor, of
which a process often has 1024."""


class _Idle(NamedTuple):
    origin: Origin
    expiry: asyncio.TimerHandle


class Pool:
    """The idle connections of one component, which no other component may use."""

    def __init__(self) -> None:
        self._idle: dict[Connection, _Idle] = {}

    def __len__(self) -> int:
        return len(self._idle)

    def take(self, origin: Origin) -> Connection | None:
        """The connection to an origin that was used last, if there is one."""
        for connection in reversed(self._idle):
            if self._idle[connection].origin == origin:
                self._idle.pop(connection).expiry.cancel()
                connection.wake()
                return connection
        return None

    def put(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection, which is reusable, for a while."""
        if len(self._idle) >= MAX_IDLE:
            self.make_room()
        expiry = asyncio.get_running_loop().call_later(IDLE_TIME, self._discard, connection)
        self._idle[connection] = _Idle(origin, expiry)
        connection.rest(lambda: self._discard(connection))

    def make_room(self) -> bool:
        """Close the connection that has been idle for the longest time; whether there was one."""
        if not self._idle:
            return False
        self._discard(next(iter(self._idle)))
        return True

    def close(self) -> None:
        """Close all of them."""
        for connection in list(self._idle):
            self._discard(connection)

    def _discard(self, connection: Connection) -> None:
        idle = self._idle.pop(connection, None)
        if idle is not None:
            idle.expiry.cancel()
            connection.abort()
