"""Messages by a NATS server, at most once: its core, without JetStream.

Theory of operation. A broker has one connection, made by a task when somebody first needs it and made anew for
as long as the broker is open. While there is none, what is asked of it fails at once, with why there is none;
only the first attempt is waited for. The client makes subscriptions again itself when it has connected again;
where it gave up for good, which it does when the server turns it out, they are made anew on the next connection.

What is published is written, and then the server is asked for a sign of life: only when that has come did it
have the message. One sign is for all who wait when it is asked for. A server that gives none in time is left,
since the client cannot forget a sign that it waits for, and so a stopped server is found out after seconds
rather than minutes.

Source: https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

import nats.errors as nats_errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as ClientSubscription

from gateway.capabilities.backend import BackendError, BackendUnusable, NoAnswer
from gateway.capabilities.messaging.broker import Deliver, Message
from gateway.capabilities.task import end
from gateway.config.backend_url import BackendURL

__all__ = ["NATSBroker"]

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

CLOSING: Final = 2.0
"""Seconds for a goodbye."""

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
        self._connecting: asyncio.Task[None] | None = None
        self._client: Client | None = None
        self._tried: asyncio.Event | None = None
        self.availability: Final = _Availability()
        self._told_at = -TOLD
        self._sign: asyncio.Task[str | None] | None = None
        self._next_sign: asyncio.Task[str | None] | None = None

    # --- what a broker does --------------------------------------------------------------------------------

    async def publish(self, message: Message) -> None:
        """Send a message: `Broker.publish`."""
        client = await self._connected()
        with _told_of():
            await client.publish(
                message.subject,
                message.body,
                reply=message.reply_to or "",
                headers=_fields(message.headers),
            )
        await self.alive(client)

    async def request(self, message: Message, seconds: float) -> Message:
        """Send a message, and wait for the first answer: `Broker.request`."""
        client = await self._connected()
        with _told_of():
            try:
                answer = await client.request(
                    message.subject, message.body, seconds, headers=_fields(message.headers)
                )
            except nats_errors.NoRespondersError:
                raise BackendError("nobody answers requests at this subject") from None
            except nats_errors.TimeoutError:
                reason = f"the request timed out: no answer within {seconds:g} s"
                raise NoAnswer(reason) from None
        return _message(answer)

    def subscribe(self, subject: str, queue: str | None, deliver: Deliver) -> _Subscription:
        """Take an interest in messages: `Broker.subscribe`."""
        subscription = _Subscription(self, subject, queue, deliver)
        self._subscriptions[subscription] = None
        self._begin()
        if self._client is not None and self._client.is_connected:
            subscription.make(self._client)
        return subscription

    def forget(self, subscription: _Subscription) -> None:
        """Make a subscription no more."""
        self._subscriptions.pop(subscription, None)

    async def aclose(self) -> None:
        """End the connection: `Backend.aclose`."""
        task, self._connecting = self._connecting, None
        for each in filter(None, (task, self._sign, self._next_sign)):
            await end(each)

    async def leave(self, client: Client) -> None:
        """Connect again: the server gave no sign of life."""
        if client.is_connected:
            await client.force_reconnect()

    # --- the connection ------------------------------------------------------------------------------------

    def _begin(self) -> asyncio.Event:
        if self._tried is None:
            self._tried = asyncio.Event()
            self._connecting = asyncio.create_task(self._stay_connected())
        return self._tried

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

    async def _stay_connected(self) -> None:
        while True:
            closed = asyncio.Event()

            async def gone(closed: asyncio.Event = closed) -> None:
                closed.set()

            client = Client()
            try:
                await client.connect(
                    self._servers,
                    name="component-gateway",
                    error_cb=self._failed,
                    disconnected_cb=self._disconnected,
                    reconnected_cb=self._reconnected,
                    closed_cb=gone,
                    connect_timeout=CONNECT,
                    ping_interval=PING,
                    reconnect_time_wait=AGAIN,
                    max_reconnect_attempts=-1,
                )
                self._client = client
                await self._reconnected()
                for subscription in list(self._subscriptions):
                    subscription.make(client)
                await closed.wait()
            except Exception as error:  # whatever it is, this goes on
                await self._failed(error)
            finally:
                self._client = None
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(CLOSING):
                        await client.close()
            await self._disconnected()
            await asyncio.sleep(AGAIN)

    async def _failed(self, error: Exception) -> None:
        """Take note of an error that the client tells of, which is of no one's operation."""
        reason = str(error) or type(error).__name__
        client = self._client
        if client is None or not client.is_connected:
            self.availability.set(reason)
            if self._tried is not None:
                self._tried.set()
        now = asyncio.get_running_loop().time()
        if now >= self._told_at + TOLD:
            self._told_at = now
            _log.warning("broker failed", broker=self._shown, reason=reason)

    async def _disconnected(self) -> None:
        self.availability.set(self.availability.trouble or "the connection was lost")
        if self._sign is not None:
            self._sign.cancel()

    async def _reconnected(self) -> None:
        if self.availability.trouble is not None:
            _log.info("broker connected", broker=self._shown)
        self.availability.set(None)
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
        if not client.is_connected:
            return "the connection was lost"
        try:
            await client.flush(SIGN_OF_LIFE)
        except (OSError, nats_errors.Error) as error:
            await self.leave(client)
            return f"no sign of life: {error}"
        return None


def _names_server(url: str) -> bool:
    """Whether a URL is one of a server."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in {"nats", "tls"} and bool(parts.hostname) and port != 0


class _Availability:
    """Whether there is a connection: `gateway.capabilities.backend.Availability`."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        self.on_change: Callable[[], None] | None = None

    def set(self, trouble: str | None) -> None:
        """Take note of why there is none; None if there is."""
        changed = (trouble is None) != (self.trouble is None)
        self.trouble = trouble
        if changed and self.on_change is not None:
            self.on_change()


class _Subscription:
    """An interest in messages: `Subscription`."""

    def __init__(
        self, broker: NATSBroker, subject: str, queue: str | None, deliver: Deliver
    ) -> None:
        self.deliver = deliver
        self._broker = broker
        self._subject = subject
        self._queue = queue or ""
        self._ready = asyncio.Event()
        self._making: asyncio.Task[None] | None = None
        self._made: tuple[Client, ClientSubscription] | None = None
        self._closed = False

    async def ready(self) -> None:
        """Wait until the server has it: `Subscription.ready`."""
        await self._ready.wait()

    def make(self, client: Client) -> None:
        """Make it on a connection."""
        self._making = asyncio.create_task(self._make(client))

    async def _make(self, client: Client) -> None:
        # Its queue is emptied in each turn of the loop: what comes in one is bounded by what is read at once.
        with contextlib.suppress(nats_errors.Error, OSError, BackendError):
            made = await client.subscribe(self._subject, self._queue, cb=self._take)
            self._made = client, made
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
        if self._making is not None:
            await end(self._making)
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
            await self._broker.leave(client)


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
    except BackendError:
        raise
    except nats_errors.MaxPayloadError:
        raise BackendError("the message is larger than the broker takes") from None
    except (nats_errors.Error, OSError) as error:
        raise BackendError(_UNREACHABLE, str(error) or type(error).__name__) from error
