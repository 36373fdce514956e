"""Messages by a NATS server, at most once by its core. At least once by JetStream: `nats_jetstream`.

Theory of operation. A broker has one connection, made by a task when somebody first needs it and made anew, with
its subscriptions, for as long as the broker is open. The client could connect again itself, but it leaves a socket
open for each server that takes the connection and then says nothing. While there is no connection, what is asked
of the broker fails at once, with why there is none; only the first attempt is waited for.

What is published is written, and then the server is asked for a sign of life: only when that has come did it
have the message. One sign is for all who wait when it is asked for. A server that gives none in time is left,
since the client cannot forget a sign that it waits for, and so a stopped server is found out after seconds
rather than minutes.

Source: https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import nats.errors as nats_errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as ClientSubscription

from gateway.capabilities.availability import Known
from gateway.capabilities.backend import BackendError, BackendUnusable, NoAnswer
from gateway.capabilities.messaging.broker import Deliver, Message
from gateway.capabilities.messaging.nats_jetstream import Consumer
from gateway.capabilities.nats_client import (
    CLOSING,
    FAILURES,
    check_size,
    close,
    when_lost,
    while_connected,
)
from gateway.capabilities.task import end
from gateway.config.backend_url import BackendURL
from gateway.config.messaging import JetStreamConfig

__all__ = ["NATSBroker"]

T = TypeVar("T")

SIGN_OF_LIFE: Final = 5
"""Seconds for a sign of life. Arbitrary: a server that is there needs a round trip."""

CONNECT: Final = 2
"""Seconds for one attempt to connect."""

PING: Final = 20
"""Seconds between two signs of life that are asked for where nobody else does; after three, the connection is
stale."""

AGAIN: Final = 1
"""Seconds between two attempts to connect."""

TOLD: Final = 10.0
"""Seconds between two lines of the log about one broker's trouble. Arbitrary."""

_UNREACHABLE: Final = "the broker cannot be reached"

_log = structlog.get_logger("gateway.capabilities")


class NATSBroker:
    """A connection to a NATS server.

    Args:
        url: `nats://` or `tls://`, with user and password or a token if it needs some; several servers of one
            cluster with commas between them.

    Raises:
        BackendUnusable: it names no server.
    """

    kind = "nats"
    waits = True

    def __init__(self, url: BackendURL) -> None:
        hosts = url.rest.removeprefix("//").split(",")
        self._shown = repr(url)
        self._servers = [host if "://" in host else f"{url.scheme}://{host}" for host in hosts]
        if not url.rest.startswith("//") or not all(map(_names_server, self._servers)):
            raise BackendUnusable('must be "nats://HOST:PORT", with commas between several')
        self._subscriptions: dict[_Subscription, None] = {}
        self._there = asyncio.Event()
        self._connecting: asyncio.Task[None] | None = None
        self._client: Client | None = None
        self._lost: asyncio.Future[None] | None = None
        self._tried: asyncio.Event | None = None
        self.availability: Final = Known()
        self._told_at = -TOLD
        self._sign: asyncio.Task[str | None] | None = None
        self._next_sign: asyncio.Task[str | None] | None = None

    # --- what a broker does --------------------------------------------------------------------------------

    async def publish(self, message: Message) -> None:
        """Send a message: `Broker.publish`."""

        async def publish(client: Client) -> Client:
            check_size(client, message.body, message.headers)
            await client.publish(
                message.subject,
                message.body,
                reply=message.reply_to or "",
                headers=_fields(message.headers),
            )
            return client

        await self.alive(await self._do(publish))

    async def request(self, message: Message, seconds: float) -> Message:
        """Send a message, and wait for the first answer: `Broker.request`."""

        async def request(client: Client) -> Msg:
            check_size(client, message.body, message.headers)
            return await client.request(
                message.subject, message.body, seconds, headers=_fields(message.headers)
            )

        try:
            return _message(await self._do(request))
        except nats_errors.NoRespondersError:
            raise BackendError("nobody answers requests at this subject") from None
        except nats_errors.TimeoutError:
            reason = f"the request timed out: no answer within {seconds:g} s"
            raise NoAnswer(reason) from None

    def subscribe(self, subject: str, queue: str | None, deliver: Deliver) -> _Subscription:
        """Take an interest in messages: `Broker.subscribe`."""
        subscription = _Subscription(self, subject, queue, deliver)
        self._subscriptions[subscription] = None
        self._begin()
        if self._client is not None:
            subscription.make_soon(self._client)
        return subscription

    def consume(
        self, subject: str, config: JetStreamConfig, max_messages: int, deliver: Deliver
    ) -> Consumer:
        """Take messages of a stream: `DurableBroker.consume`."""
        return Consumer(self, subject, config, max_messages, deliver)

    def forget(self, subscription: _Subscription) -> None:
        """Make a subscription no more."""
        self._subscriptions.pop(subscription, None)

    async def aclose(self) -> None:
        """End the connection: `Backend.aclose`."""
        task, self._connecting = self._connecting, None
        for each in filter(None, (task, self._sign, self._next_sign)):
            await end(each)

    def leave(self, client: Client) -> None:
        """Connect again: the server gave no sign of life."""
        if client is self._client and self._lost is not None:
            _complete(self._lost)

    # --- the connection ------------------------------------------------------------------------------------

    def _begin(self) -> asyncio.Event:
        if self._tried is None:
            self._tried = asyncio.Event()
            self._connecting = asyncio.create_task(self._stay_connected())
        return self._tried

    async def connection(self) -> tuple[Client, asyncio.Future[None]]:
        """The connection, once there is one; and what is done when it is lost."""
        self._begin()
        while (client := self._client) is None or (lost := self._lost) is None or lost.done():
            self._there.clear()
            await self._there.wait()
        return client, lost

    async def _connected(self) -> Client:
        """The connection, once the first attempt has shown whether there is one.

        Raises:
            BackendError: there is none.
        """
        await self._begin().wait()
        client = self._client
        if client is None or not client.is_connected:
            trouble = self.availability.trouble
            raise BackendError(_UNREACHABLE, trouble or "it is being connected to")
        return client

    async def _do(self, work: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """Have the client do something.

        Raises:
            BackendError: there is no connection, or not any more; or it fails.
            nats.errors.NoRespondersError, nats.errors.TimeoutError: nobody answers.
        """
        client = await self._connected()
        lost = self._lost
        assert lost is not None  # noqa: S101 - there is a connection
        with _told_of():
            return await while_connected(work(client), lost)

    async def _stay_connected(self) -> None:
        while True:
            client = Client()
            lost = self._lost = asyncio.get_running_loop().create_future()
            try:
                await client.connect(
                    self._servers,
                    name="component-gateway",
                    error_cb=self._failed,
                    connect_timeout=CONNECT,
                    ping_interval=PING,
                    allow_reconnect=False,
                    reconnect_time_wait=AGAIN,
                    max_reconnect_attempts=1,
                )
                when_lost(client, partial(_complete, lost))
                # Before anything is published: whoever publishes may wait for what comes of it.
                while missing := [it for it in self._subscriptions if not it.is_on(client)]:
                    for subscription in missing:
                        await subscription.make(client)
                self._client = client
                self._there.set()
                self._connected_again()
                for subscription in self._subscriptions:
                    subscription.confirm_soon(client)
                await lost
                self._client = None
                self._disconnected()
            except Exception as error:  # whatever it is, this goes on
                await self._failed(error)
                await asyncio.sleep(AGAIN)
            finally:
                self._client = None
                _complete(lost)
                await close(client)

    async def _failed(self, error: Exception) -> None:
        """Take note of an error that the client tells of, which is of no one's operation."""
        reason = str(error) or type(error).__name__
        client = self._client
        if client is None or not client.is_connected:
            self.availability.note(reason)
            if self._tried is not None:
                self._tried.set()
        now = asyncio.get_running_loop().time()
        if now >= self._told_at + TOLD:
            self._told_at = now
            _log.warning("broker failed", broker=self._shown, reason=reason)

    def _disconnected(self) -> None:
        self.availability.note(self.availability.trouble or "the connection was lost")
        if self._sign is not None:
            self._sign.cancel()

    def _connected_again(self) -> None:
        if self.availability.trouble is not None:
            _log.info("broker connected", broker=self._shown)
        self.availability.note(None)
        self._told_at = -TOLD
        if self._tried is not None:
            self._tried.set()

    # --- signs of life -------------------------------------------------------------------------------------

    async def alive(self, client: Client) -> None:
        """Wait until the server has had all that was written so far.

        Raises:
            BackendError: the connection is lost, or it does not answer.
        """
        if self._next_sign is None:
            self._next_sign = asyncio.create_task(self._ask(client, self._sign))
        sign = self._next_sign
        # Whoever is cancelled here leaves the sign to the others who wait for it.
        await asyncio.wait((sign,))
        failure = "the connection was lost" if sign.cancelled() else sign.result()
        if failure is not None:
            raise BackendError(_UNREACHABLE, failure)

    async def _ask(self, client: Client, before: asyncio.Task[str | None] | None) -> str | None:
        """Ask for a sign of life when the one before has come; returns what is wrong if there is none."""
        if before is not None:
            await asyncio.wait((before,))
        # What is written from now on is for the next one.
        self._sign, self._next_sign = self._next_sign, None
        if client is not self._client or not client.is_connected:
            return "the connection was lost"
        try:
            await client.flush(SIGN_OF_LIFE)
        except FAILURES as error:
            self.leave(client)
            return f"no sign of life: {error}"
        return None


def _complete(lost: asyncio.Future[None]) -> None:
    if not lost.done():
        lost.set_result(None)


def _names_server(url: str) -> bool:
    """Whether a URL is one of a server."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in {"nats", "tls"} and bool(parts.hostname) and port != 0


class _Subscription:
    """An interest in messages: `Subscription`."""

    trouble = None

    def __init__(
        self, broker: NATSBroker, subject: str, queue: str | None, deliver: Deliver
    ) -> None:
        self.deliver = deliver
        self._broker = broker
        self._subject = subject
        self._queue = queue or ""
        self._ready = asyncio.Event()
        self._making: asyncio.Task[None] | None = None
        self._confirming: asyncio.Task[None] | None = None
        self._made: tuple[Client, ClientSubscription] | None = None
        self._closed = False

    async def ready(self) -> None:
        """Wait until the server has it: `Subscription.ready`."""
        await self._ready.wait()

    def is_on(self, client: Client) -> bool:
        """Whether it was made on a connection."""
        return self._made is not None and self._made[0] is client

    async def make(self, client: Client) -> None:
        """Make it on a connection.

        Raises:
            nats.errors.Error: there is none any more.
        """
        # Its queue is emptied in each turn of the loop: what comes in one is bounded by what is read at once.
        self._made = client, await client.subscribe(self._subject, self._queue, cb=self._take)

    def confirm_soon(self, client: Client) -> None:
        """Find out when the server has it."""
        self._confirming = asyncio.create_task(self._confirm(client))

    def make_soon(self, client: Client) -> None:
        """Make it on the present connection."""
        self._making = asyncio.create_task(self._make(client))

    async def _make(self, client: Client) -> None:
        with contextlib.suppress(*FAILURES):
            await self.make(client)
            await self._confirm(client)

    async def _confirm(self, client: Client) -> None:
        """Note when the server has it; where the connection is lost first, the next one does."""
        with contextlib.suppress(BackendError):
            await self._broker.alive(client)
            self._ready.set()

    async def _take(self, message: Msg) -> None:
        self.deliver(_message(message))

    async def aclose(self) -> None:
        """Have no more messages: `Subscription.aclose`."""
        if self._closed:
            return
        self._closed = True
        self._broker.forget(self)
        for task in filter(None, (self._making, self._confirming)):
            await end(task)
        if self._made is None:
            return
        client, made = self._made
        try:
            async with asyncio.timeout(CLOSING):
                if client.is_connected:
                    await made.drain()  # type: ignore[no-untyped-call]  # what has been sent still comes
                else:
                    await made.unsubscribe()
        except (OSError, TimeoutError, nats_errors.Error):
            self._broker.leave(client)


def _message(message: Msg) -> Message:
    return Message(
        message.subject, bytes(message.data), message.reply or None, dict(message.headers or {})
    )


def _fields(headers: Mapping[str, str]) -> dict[str, str] | None:
    return dict(headers) or None


@contextlib.contextmanager
def _told_of() -> Iterator[None]:
    """What goes wrong with the client, as errors of a backend."""
    try:
        yield
    except (nats_errors.NoRespondersError, nats_errors.TimeoutError):
        raise
    except nats_errors.MaxPayloadError:
        raise BackendError("the message is larger than the broker takes") from None
    except FAILURES as error:
        raise BackendError(_UNREACHABLE, str(error) or type(error).__name__) from error
