"""A socket that is listened on, and the connections that were made there.

Closing it loses nothing that a client could have taken for accepted. The kernel accepts connections before the
server does, and resets those that are still in its queue when the socket is closed: so they are taken out of it
first. Idle connections end at once; a request that has already arrived on one of them, or is about to on one that
is new, is answered first (`gateway.protocols.limits.Guard.may_end`).
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final, cast

import uvicorn
from uvicorn.server import ServerState

from gateway.protocols import GuardedProtocol

__all__ = ["Endpoint"]

POLL: Final = 0.02
"""Seconds between two looks at whether the last connection has ended."""

CANCELLED: Final = 1.0
"""Seconds for requests that were cancelled to end. Arbitrary: nothing should take any time."""


class Endpoint:
    """A socket that is listened on, and its connections."""

    _server: asyncio.Server

    def __init__(
        self, config: uvicorn.Config, app_state: dict[str, Any], sock: socket.socket
    ) -> None:
        """Take a socket, which belongs to the endpoint from now on.

        Args:
            config: how to serve what, loaded.
            app_state: what each request's scope is given of the application's lifespan.
            sock: where; it may listen already.
        """
        sock.setblocking(False)
        self._socket = sock
        self._queue = sock.dup()
        self._config = config
        self._app_state = app_state
        self._state = ServerState()
        self._draining = False

    @property
    def connections(self) -> set[GuardedProtocol]:
        """The connections that are open."""
        return cast("set[GuardedProtocol]", self._state.connections)

    async def open(self, backlog: int) -> None:
        """Accept connections.

        Args:
            backlog: how many may wait for it.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, sock=self._socket, backlog=backlog)

    def drain(self) -> None:
        """Have each connection end after its next response, new ones too."""
        self._draining = True
        for connection in self.connections:
            connection.guard.drain()

    async def close(self) -> None:
        """Accept no more, but for what the kernel has accepted already, and end connections that are idle."""
        self._server.close()
        # The loop has let go of the socket, which goes on to listen as long as this copy is open.
        with self._queue as queue:
            accepted = _take_all(queue)
        loop = asyncio.get_running_loop()
        await asyncio.gather(
            *(loop.connect_accepted_socket(self._protocol, connection) for connection in accepted),
            return_exceptions=True,  # clients that have gone away again
        )
        for connection in list(self.connections):
            connection.shutdown()

    async def ended(self, seconds: float, sooner: asyncio.Event | None = None) -> bool:
        """Wait until the last connection has ended.

        Args:
            seconds: how long to wait at most.
            sooner: set to wait no longer.

        Returns:
            Whether it has.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self.connections or self._state.tasks:
            if loop.time() >= deadline or (sooner is not None and sooner.is_set()):
                return False
            await asyncio.sleep(POLL)
        return True

    def unanswered(self) -> int:
        """How many connections have a response that was not sent whole."""
        return sum(
            connection.guard.answering() or connection.transport.get_write_buffer_size() > 0
            for connection in self.connections
        )

    async def abort(self) -> None:
        """End all connections, and cancel what was to be answered."""
        connections = list(self.connections)
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CANCELLED)
        for connection in connections:
            connection.transport.abort()

    def _protocol(self) -> asyncio.Protocol:
        protocol = self._config.http_protocol_class(
            config=self._config,  # type: ignore[call-arg]
            server_state=self._state,
            app_state=self._app_state,
        )
        cast("GuardedProtocol", protocol).guard.ending = self._draining
        return protocol


def _take_all(queue: socket.socket) -> list[socket.socket]:
    """Accept all connections that a listening socket has queued."""
    accepted: list[socket.socket] = []
    while True:
        try:
            connection, _address = queue.accept()
        except ConnectionAbortedError:
            continue  # it was reset while it was queued
        except OSError:
            return accepted  # none is left, or there are no descriptors for one more
        connection.setblocking(False)
        accepted.append(connection)
