"""A connection to NATS for a key-value store: made when it is needed, and made anew when it broke."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import ConnectionClosedError, NoServersError
from nats.js import JetStreamContext
from nats.js.api import KeyValueConfig, StreamConfig
from nats.js.errors import NotFoundError

from gateway.capabilities.nats_client import close, when_lost, while_connected
from gateway.capabilities.task import end

__all__ = ["MAX_REQUESTS", "Connection", "Link"]

T = TypeVar("T")

MAX_REQUESTS: Final = 16
"""Requests of a worker to one server that are under way at once. Threat: each holds a value in memory, and they
wait where the server does not answer. As many as there are connections to other servers."""

_CONNECT: Final = 2
"""Seconds that a server has to let us in. Arbitrary; the client's own default."""

_PING: Final = 10
"""Seconds between two signs of life of a server that says nothing; without two of them the connection is lost. Who
watches asks for nothing, and would wait for ever."""


class Link:
    """The connection to a server.

    The client could connect again by itself. But then what was asked before would wait for an answer that never
    comes, and what is asked meanwhile would be sent late.

    Args:
        url: the server, with what is needed to be let in.
        bucket: the bucket, which is made where it is missing.
        replicas: in how many servers, if it is made.

    Attributes:
        config: what the server says of the bucket's stream; None before there was a connection.
        max_payload: bytes that it takes for a value and its headers; 0 before there was one.
    """

    def __init__(self, url: str, bucket: str, replicas: int) -> None:
        self.config: StreamConfig | None = None
        self.max_payload = 0
        self._url = url
        self._bucket = bucket
        self._replicas = replicas
        self._places = asyncio.Semaphore(MAX_REQUESTS)
        self._connection: asyncio.Task[Connection] | None = None

    async def ask(self, request: Callable[[JetStreamContext], Coroutine[Any, Any, T]]) -> T:
        """Ask the server something.

        Raises:
            nats.errors.Error, OSError, TimeoutError: there is no answer.
        """
        async with self._places:
            connection = await self.connected()
            return await connection.ask(request)

    async def look(self) -> None:
        """See that the bucket can be used, and close a connection by which it cannot.

        Raises:
            nats.errors.Error, OSError, TimeoutError: it cannot.
        """
        connection = await self.connected()
        try:
            await connection.ask(self._prepare)
        except BaseException:
            connection.lose()
            raise

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        task = self._connection
        if task is not None:
            await end(task)
            if not task.cancelled() and task.exception() is None:
                connection = task.result()
                connection.lose()
                await connection.closed()

    async def connected(self) -> Connection:
        """The connection, which is made where there is none.

        Raises:
            nats.errors.Error, OSError, TimeoutError: it cannot be made.
        """
        task = self._connection
        if task is not None and task.done() and task.exception() is None:
            if not (connection := task.result()).lost:
                return connection
            task = None
        if task is None or task.done():
            task = self._connection = asyncio.create_task(self._connect())
        # Whoever asks may leave; the connection is for all.
        return await asyncio.shield(task)

    async def _connect(self) -> Connection:
        connection = Connection()
        try:
            await connection.open(self._url)
            self.max_payload = connection.max_payload
            async with asyncio.timeout(_CONNECT):
                await self._prepare(connection.stream)
        except BaseException:
            connection.lose()
            raise
        return connection

    async def _prepare(self, stream: JetStreamContext) -> None:
        try:
            info = await stream.stream_info(f"KV_{self._bucket}")
        except NotFoundError:
            made = KeyValueConfig(bucket=self._bucket, replicas=self._replicas, direct=True)
            await stream.create_key_value(made)
            info = await stream.stream_info(f"KV_{self._bucket}")
        self.config = info.config


class Connection:
    """One connection, until it is lost.

    Attributes:
        gone: done when it is.
        stream: JetStream there.
    """

    def __init__(self) -> None:
        self._error: Exception | None = None
        self._client = Client()
        self._closing: asyncio.Task[None] | None = None
        self.gone: Final[asyncio.Future[None]] = asyncio.get_running_loop().create_future()
        # Who asks has a time limit of its own. Another is a timer for each request, and one more turn of the loop.
        self.stream: Final = self._client.jetstream(timeout=None)

    @property
    def lost(self) -> bool:
        """Whether it is of no use any more."""
        return self._closing is not None

    @property
    def max_payload(self) -> int:
        """Bytes of a message."""
        return self._client.max_payload

    async def open(self, url: str) -> None:
        """Make it.

        Raises:
            nats.errors.Error, OSError, TimeoutError: it cannot be made.
        """
        try:
            async with asyncio.timeout(_CONNECT):
                await self._client.connect(
                    url,
                    allow_reconnect=False,
                    # Of the first connection: otherwise the client would try for ever.
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=_CONNECT,
                    ping_interval=_PING,
                    error_cb=self._note,
                )
        except NoServersError as error:
            raise self._error or error from error
        when_lost(self._client, self.lose)

    async def subscribe(
        self, subject: str, queue: str, take: Callable[[Msg], Awaitable[None]]
    ) -> Subscription:
        """Have what is sent to a subject, shared with all of a queue.

        Raises:
            nats.errors.Error, OSError: the connection is lost.
        """
        if self.lost:
            raise ConnectionClosedError
        return await self._client.subscribe(subject, queue, cb=take)

    async def ask(self, request: Callable[[JetStreamContext], Coroutine[Any, Any, T]]) -> T:
        """Ask the server something.

        Raises:
            nats.errors.Error, OSError, TimeoutError: there is no answer.
        """
        if self.lost:
            raise ConnectionClosedError
        return await while_connected(request(self.stream), self.gone)

    def lose(self) -> None:
        """End what is under way, and close."""
        if self._closing is None:
            self.gone.set_result(None)
            self._closing = asyncio.create_task(close(self._client))

    async def closed(self) -> None:
        """Wait until it is closed, if it is being closed."""
        if self._closing is not None:
            await self._closing

    async def _note(self, error: Exception) -> None:
        self._error = error
