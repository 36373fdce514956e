"""Sockets that are listened on together, and the connections that were made there.

Closing them loses nothing that a client could have taken for accepted. The kernel accepts connections before the
server does, and resets those that are still in its queue when a socket is closed: so they are taken out of it
first. Idle connections end at once; a request that has already arrived on one of them, or is about to on one that
is new, is answered first (`gateway.server.http1.limits.Guard.may_end`).
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import uvicorn

from gateway.config import ServerConfig
from gateway.observe.connection_end import ConnectionEnd
from gateway.server.acceptor import Acceptor
from gateway.server.application import ConnectionMetrics
from gateway.server.http1 import Http1Connection
from gateway.server.http1.connections import Connections, Timeouts
from gateway.server.listener import Listener

__all__ = ["Endpoint"]

POLL: Final = 0.02
"""Seconds between two looks at whether the last connection has ended."""

CANCELLED: Final = 1.0
"""Seconds for requests that were cancelled to end. Arbitrary: nothing should take any time."""


MOST_CONNECTIONS: Final = 10_000
"""Connections that one endpoint of a worker has at once, where the configuration does not say. Threat: each takes
a descriptor and memory, before it has sent anything. Arbitrary: where there are so many clients, somebody has
set limits. No more than half of the descriptors that the process may have: the rest is for files and for what
components open."""


class Endpoint:
    """Sockets that are listened on, and their connections."""

    _acceptor: Acceptor

    def __init__(
        self,
        config: uvicorn.Config,
        app_state: dict[str, Any],
        listeners: Sequence[Listener],
        server: ServerConfig,
        metrics: ConnectionMetrics | None = None,
        *,
        has_guests: bool = True,
    ) -> None:
        """Take sockets, which belong to the endpoint from now on.

        Args:
            config: how to serve what, loaded.
            app_state: what each request's scope is given of the application's lifespan.
            listeners: where; they may listen already.
            server: the limits of connections.
            metrics: hears of connections; None where nobody does.
            has_guests: whether guests answer there.
        """
        for each in listeners:
            each.sock.setblocking(False)
        self._listeners = listeners
        self._config = config
        self._app_state = app_state
        self._limit = server.max_connections or _max_connections()
        self._metrics = metrics
        self._has_guests = has_guests
        timeouts = Timeouts(server.header_timeout, server.body_timeout, server.write_timeout)
        self._state = Connections(timeouts, self._count)
        self._state.set_date()
        self._draining = False

    @property
    def connections(self) -> set[Http1Connection]:
        """The connections that are open."""
        return cast("set[Http1Connection]", self._state.open)

    async def open(self, backlog: int) -> None:
        """Accept connections.

        Args:
            backlog: how many may wait for it.
        """
        for each in self._listeners:
            each.listen(backlog)
        self._acceptor = Acceptor(
            self._listeners,
            self._protocol,
            self._state,
            self._limit,
            self._accepting_stopped,
            behind_guests=self._has_guests,
        )

    def tick(self) -> None:
        """Do what is due. To be called every second."""
        self._state.set_date()
        self._state.look(asyncio.get_running_loop().time())
        self._acceptor.make_room()
        if self._metrics is not None:
            self._metrics.connections_open(len(self.connections))

    def _count(self, end: ConnectionEnd) -> None:
        if self._metrics is not None:
            self._metrics.connection_ended(end.value)

    def _accepting_stopped(self) -> None:
        if self._metrics is not None:
            self._metrics.accepting_stopped()

    def drain(self) -> None:
        """Have each connection end after its next response, new ones too."""
        self._draining = True
        for connection in self.connections:
            connection.guard.drain()

    async def close(self) -> None:
        """Accept no more, but for what the kernel has accepted already, and end connections that are idle."""
        await self._acceptor.close()
        for connection in list(self.connections):
            connection.shutdown()

    async def ended(
        self,
        seconds: float,
        sooner: asyncio.Event | None = None,
        *,
        busy: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Wait until the last connection has ended.

        Args:
            seconds: how long to wait at most.
            sooner: set to wait no longer.
            busy: whether there is something else to wait for.

        Returns:
            Whether it has.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self.connections or self._state.tasks or busy():
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
        self._state.departures.close()

    def _protocol(self) -> asyncio.Protocol:
        kind = cast("type[Http1Connection]", self._config.http_protocol_class)
        connection = kind(self._config, self._state, self._app_state)
        connection.guard.ending = self._draining
        return connection


def _max_connections() -> int:
    """How many connections there may be where the configuration does not say."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(1, min(descriptors // 2, MOST_CONNECTIONS))
