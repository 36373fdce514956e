"""Accepting connections, as long as there is a place for one more.

At the limit accepting stops, and newcomers wait in the kernel's queue (`backlog`), as with HAProxy's `maxconn`. To
refuse them, as Envoy does, would refuse what another worker could serve, for all workers accept from one queue.
Connections that have had no request for a while give up their places first, the oldest before the others, as in
nginx: a client must expect that of a connection that it keeps (RFC 9112, section 9.5).
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from gateway.host.scheduler import Lane, Scheduler
from gateway.observe.connection_end import ConnectionEnd
from gateway.server.http1.connections import Connections
from gateway.server.listener import Listener

__all__ = ["AT_ONCE", "Acceptor"]

_log = structlog.get_logger("gateway.server")

COST: Final = 0.0002
"""Seconds of the loop that a connection takes from its beginning to its end, but for its requests. They count as
time of the guests of new connections, so that who connects and leaves a thousand times a second takes no more than
those who stay. Twice what was measured on a quiet machine (0.09 to 0.12 ms): one beside others costs more."""

PACE: Final = 0.001
"""Seconds for each connection that is accepted beyond the first of a turn of the loop. A turn takes 5 ms where
many requests are served, and one connection in each would be 200 in a second. Arbitrary: a thousand in a second
count as a fifth of its time."""

SAVED: Final = 64
"""Connections that may have been saved up so while few came. Those of one client that begins to send come
together: while the last of them waited to be accepted, the first would be served for a second time."""

AT_ONCE: Final = 8
"""Connections that are accepted in one turn of the loop from one address, at most."""

IDLE: Final = 1.0
"""Seconds that a connection must have been idle to give up its place. Threat: of those that were just made, each
would be closed for the next before its request is there."""

PAUSE: Final = 1.0
"""Seconds until the next attempt where the system has no descriptor or memory for one more. asyncio's."""

SAY_AGAIN: Final = 60.0
"""Seconds between two lines of the log about it."""

_SHORT: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Acceptor:
    """Makes connections of what arrives at sockets.

    Args:
        listeners: where; they listen, and do not block.
        make_protocol: makes the protocol of a connection.
        connections: those there are.
        limit: how many there may be.
        on_full: called when accepting stops because there are so many.
        behind_guests: whether newcomers wait while many guests do that came before them. Whoever asks no guest
            must not: a health check would take the longer, the busier the gateway is.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        make_protocol: Callable[[], asyncio.Protocol],
        connections: Connections,
        limit: int,
        on_full: Callable[[], None],
        *,
        behind_guests: bool = True,
    ) -> None:
        self._listeners = listeners
        self._make_protocol = make_protocol
        self._connections = connections
        self._limit = limit
        self._on_full = on_full
        self._behind_guests = behind_guests
        self._loop = asyncio.get_running_loop()
        self._making: set[asyncio.Task[None]] = set()
        self._open = True
        self._accepting = False
        self._said = -SAY_AGAIN
        self._saved: float = SAVED
        self._accepted = self._loop.time()
        connections.on_lost = self.go_on
        self.go_on()

    def go_on(self) -> None:
        """Accept, unless that has ended."""
        if self._open and not self._accepting:
            self._accepting = True
            for each in self._listeners:
                self._loop.add_reader(each.sock, self._accept, each.sock)

    def stop(self) -> None:
        """Accept no more."""
        self._open = False
        self._pause()

    def make_room(self) -> None:
        """Where newcomers wait: end what has become idle for long enough. To be called every second."""
        if self._open and not self._accepting:
            self._evict()

    async def close(self) -> None:
        """Make connections of all that the kernel has accepted, whatever the limit is, and close the sockets."""
        self.stop()
        for each in self._listeners:
            # Nothing may come between the last look and the end of the socket: whoever connects in that time is
            # reset. One that was handed over does not end here: who waits there is served by the next gateway.
            with each.sock:
                while not each.handed_over and (connection := self._take(each.sock)) is not None:
                    self._make(connection)
        while self._making:
            await asyncio.wait(self._making)

    def _accept(self, sock: socket.socket) -> None:
        """Make a few connections. Those behind them have the next turns of the loop, beside all that is served."""
        scheduler, now = Scheduler.current(), self._loop.time()
        if self._behind_guests and not scheduler.may_come(Lane.NEW):
            return  # more connections would only be more to wait
        self._saved = min(SAVED, self._saved + (now - self._accepted) / PACE)
        self._accepted = now
        for _ in range(max(1, min(AT_ONCE, int(self._saved)))):
            if len(self._connections.open) + len(self._making) >= self._limit:
                if not self._making:  # which may be open already, and counted twice
                    self._pause()
                    self._evict()
                    self._say("too many connections", limit=self._limit)
                    self._on_full()
                return
            connection = self._take(sock)
            if connection is None:
                return
            self._saved = max(0.0, self._saved - 1)
            scheduler.spend(COST, Lane.NEW)
            self._make(connection)

    def _take(self, sock: socket.socket) -> socket.socket | None:
        while True:
            try:
                connection, _address = sock.accept()
            except ConnectionAbortedError:
                continue  # it was reset while it was queued
            except OSError as error:
                if error.errno in _SHORT:
                    self._pause()
                    self._loop.call_later(PAUSE, self.go_on)
                    self._say("cannot accept connections", reason=error.strerror)
                return None  # or none is left
            connection.setblocking(False)
            return connection

    def _make(self, connection: socket.socket) -> None:
        making = self._loop.create_task(self._connect(connection))
        self._making.add(making)
        making.add_done_callback(self._making.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError:  # the client has gone away again
            connection.close()

    def _pause(self) -> None:
        if self._accepting:
            self._accepting = False
            for each in self._listeners:
                self._loop.remove_reader(each.sock)

    def _evict(self) -> None:
        """End the connection that has been idle for the longest time; accepting goes on when it has ended."""
        late = self._loop.time() - IDLE
        for connection, since in self._connections.idle.items():
            if since > late:
                return
            if not connection.guard.more_to_come():  # else a request has arrived just now
                self._connections.count(ConnectionEnd.MAX_CONNECTIONS)
                connection.transport.close()
                del self._connections.idle[connection]
                return

    def _say(self, event: str, **fields: object) -> None:
        now = self._loop.time()
        if now - self._said >= SAY_AGAIN:
            self._said = now
            _log.warning(event, effect="new ones wait to be accepted", **fields)
