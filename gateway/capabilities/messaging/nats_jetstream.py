"""Messages of a stream of NATS JetStream, at least once.

Theory of operation. All who name one durable consumer pull from it, over the connection of their broker, and over
the next one where that was lost. The client's own `fetch` would keep back what has come until all that it asked
for has, and lose what comes while it is cancelled. So pulls are asked for here, one at a time, for as many as may
be had besides those that are not settled yet. A pull has ended when they have come, or the server says so. While
nothing comes the server gives signs of life; without them the consumer may be gone, and is looked for.

A message is settled once somebody has said what became of it. That is said by whatever connection there is then.
Until then the server hears several times in each `ack_wait` that it is in progress; a worker that has died says
nothing, so what it had is delivered to another. What comes again although it is in progress here, since the server
heard nothing of it for too long, is not handled by two: its receipt is that of the one which is.

How often a message is delivered is bounded here and not by the server, which would forget one that kills whoever
handles it: that becomes a dead letter too.

Source: https://docs.nats.io/reference/reference-protocols/nats_api_reference
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, TypeAlias

import nats.errors as nats_errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as ClientSubscription
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, Header, StatusCode
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError, ServiceUnavailableError

from gateway.capabilities.availability import MAX_PAUSE, MIN_PAUSE
from gateway.capabilities.backend import BackendError
from gateway.capabilities.messaging.broker import Deliver, Message
from gateway.capabilities.nats_client import CLOSING, FAILURES, check_size
from gateway.capabilities.task import end
from gateway.config.messaging import JetStreamConfig

__all__ = ["Consumer", "Link"]

EXPIRES: Final = 30.0
"""Seconds after which the server forgets a pull. Arbitrary: the next one is a line of text."""

ANSWER: Final = 5.0
"""Seconds for an answer of the server. Arbitrary: one that is there needs a round trip, and writes to its disk."""

HEARTBEAT: Final = 2.0
"""Seconds between two signs of life of the server while nothing comes; after three of them the consumer is looked
for again."""

_SIGNS: Final = 3
"""How often in each `ack_wait` the server hears of a message that is in progress: one may be late."""

_IN_A_TURN: Final = 100
"""Of how many it hears in one turn of the event loop."""

_log = structlog.get_logger("gateway.capabilities")

_Place: TypeAlias = tuple[int, object]
"""What tells a message from all others that a stream of this name has had: its number there, and its time."""


class Link(Protocol):
    """The connection of a broker."""

    async def connection(self) -> tuple[Client, asyncio.Future[None]]:
        """The present one, or the next; and what is done when it is lost."""

    async def alive(self, client: Client) -> None:
        """As of `NATSBroker`."""

    def leave(self, client: Client) -> None:
        """As of `NATSBroker`."""


class Consumer:
    """An interest in messages of a stream: a `Subscription`.

    Args:
        link: the connection.
        subject: theirs.
        config: the stream, and how they are taken of it.
        max_messages: how many there may be that are not settled.
        deliver: takes them.

    Attributes:
        trouble: why none come, while the server is there.
    """

    def __init__(
        self,
        link: Link,
        subject: str,
        config: JetStreamConfig,
        max_messages: int,
        deliver: Deliver,
    ) -> None:
        self.deliver = deliver
        self.trouble: str | None = None
        self._link = link
        self._subject = subject
        self._config = config
        self._max_messages = max_messages
        self._ready = asyncio.Event()
        self._unsettled: dict[_Place, _Receipt] = {}
        self._made: tuple[Client, ClientSubscription] | None = None
        self._wanted = 0
        self._failure: str | None = None
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._telling: asyncio.Task[None] | None = None
        self._pause = MIN_PAUSE
        self._task = asyncio.create_task(self._stay())

    async def ready(self) -> None:
        """Wait until there is a consumer: `Subscription.ready`."""
        await self._ready.wait()

    async def aclose(self) -> None:
        """Pull no more: `Subscription.aclose`. What has come stays in progress until it is settled."""
        await end(self._task)
        await self._leave()

    # --- the consumer --------------------------------------------------------------------------------------

    async def _stay(self) -> None:
        while True:
            client, lost = await self._link.connection()
            pulling = asyncio.create_task(self._pull(client))
            try:
                await asyncio.wait((pulling, lost), return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end(pulling)
            if lost.done():  # of which the broker tells
                self._note(None)
                continue
            self._note(_reason(pulling.exception()))
            await self._leave()
            # Not all workers at the same time.
            await asyncio.sleep(self._pause * random.uniform(0.75, 1.0))  # noqa: S311
            self._pause = min(2 * self._pause, MAX_PAUSE)

    def _note(self, trouble: str | None) -> None:
        if trouble != self.trouble and trouble is not None:
            _log.warning("stream failed", reason=trouble, **self._context)
        self.trouble = trouble

    @property
    def _context(self) -> Mapping[str, str]:
        return {"stream": self._config.stream, "consumer": self._config.durable}

    async def _pull(self, client: Client) -> None:
        """Pull for as long as that goes well.

        Raises:
            Exception: it does not.
        """
        try:
            await self._prepare(client.jetstream(timeout=ANSWER))
        except nats_errors.TimeoutError:
            await self._link.alive(client)
            raise
        inbox = client.new_inbox()
        self._made = client, await client.subscribe(inbox, cb=self._take)
        self._failure = None
        self._note(None)
        self._ready.set()
        asked = f"$JS.API.CONSUMER.MSG.NEXT.{self._config.stream}.{self._config.durable}"
        while True:
            await self._until(lambda: len(self._unsettled) < self._max_messages)
            self._wanted = self._max_messages - len(self._unsettled)
            pull = {
                "batch": self._wanted,
                "expires": _nanoseconds(EXPIRES),
                "idle_heartbeat": _nanoseconds(HEARTBEAT),
            }
            await client.publish(asked, json.dumps(pull).encode(), inbox)
            while self._wanted:
                self._changed.clear()
                try:
                    async with asyncio.timeout(3 * HEARTBEAT):
                        await self._changed.wait()
                except TimeoutError:
                    await self._link.alive(client)
                    raise BackendError("the server says nothing of the consumer") from None
                if self._failure is not None:
                    raise BackendError(self._failure)
            self._pause = MIN_PAUSE

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def _prepare(self, stream: JetStreamContext) -> None:
        """See that everything is there, and make the consumer if it is not.

        Raises:
            BackendError: something is missing, and what makes it.
            nats.errors.Error: the server does not do it.
        """
        config = self._config
        try:
            await stream.stream_info(config.stream)
        except NotFoundError:
            raise BackendError(
                f"there is no stream {config.stream}: make it by `nats stream add {config.stream} --subjects "
                f"'{self._subject}' --defaults`"
            ) from None
        if config.dead_letter is not None:
            try:
                await stream.find_stream_name_by_subject(config.dead_letter)
            except NotFoundError:
                raise BackendError(_no_place(config)) from None
        try:
            present = (await stream.consumer_info(config.stream, config.durable)).config
        except NotFoundError:
            present = ConsumerConfig(name=config.durable, durable_name=config.durable)
        if present.deliver_subject or present.ack_policy != AckPolicy.EXPLICIT:
            raise BackendError(
                f"the consumer {config.durable} of the stream {config.stream} is none that is pulled from, with "
                f"explicit acknowledgements: name another, or remove it by `nats consumer rm {config.stream} "
                f"{config.durable}`"
            )
        wanted = present.evolve(
            filter_subject=self._subject,
            filter_subjects=None,
            ack_wait=config.ack_wait,
            backoff=None,
            max_deliver=-1,
            max_ack_pending=config.max_ack_pending,
        )
        if wanted != present:
            await stream.add_consumer(config.stream, wanted)

    async def _leave(self) -> None:
        """Have nothing more of what is pulled; what the server has sent still comes."""
        made, self._made = self._made, None
        if made is None:
            return
        client, subscription = made
        if not client.is_connected:
            return
        try:
            async with asyncio.timeout(CLOSING):
                await subscription.drain()  # type: ignore[no-untyped-call]
        except FAILURES:
            self._link.leave(client)

    # --- what comes ----------------------------------------------------------------------------------------

    async def _take(self, message: Msg) -> None:
        if not message.reply:
            self._hear(message.headers or {})
            return
        self._wanted = max(0, self._wanted - 1)
        self._changed.set()
        told = message.metadata
        place = (told.sequence.stream, told.timestamp)
        if (held := self._unsettled.get(place)) is not None:
            held.reply = message.reply
            return
        receipt = self._unsettled[place] = _Receipt(self, place, message)
        if self._timer is None:
            self._tell_later()
        headers = dict(message.headers or {})
        self.deliver(Message(message.subject, bytes(message.data), None, headers, receipt))

    def _hear(self, status: Mapping[str, str]) -> None:
        """Take note of what the server says of a pull."""
        match status.get(Header.STATUS):
            case StatusCode.CONTROL_MESSAGE:
                pass  # it lives
            case StatusCode.NO_MESSAGES | StatusCode.REQUEST_TIMEOUT:
                self._wanted = 0
            case code:
                self._failure = f"the server ended a pull: {status.get(Header.DESCRIPTION, code)}"
        self._changed.set()

    # --- what became of it ---------------------------------------------------------------------------------

    async def settle(self, receipt: _Receipt, say: Callable[[Client], Awaitable[None]]) -> None:
        """Have the server know what became of a message, as soon as there is a connection."""
        try:
            async with asyncio.timeout(self._config.ack_wait):
                while True:
                    client, lost = await self._link.connection()
                    try:
                        await say(client)
                    except FAILURES:
                        if client.is_connected:
                            raise
                        await asyncio.wait((lost,))
                    else:
                        return
        except FAILURES as error:
            # It is delivered again.
            _log.warning("message not settled", reason=_reason(error), **self._context)
        finally:
            self._unsettled.pop(receipt.place, None)
            self._changed.set()
            if not self._unsettled and self._telling is not None:
                self._telling.cancel()

    async def bury(self, receipt: _Receipt, reason: str) -> bool:
        """Make a message a dead letter, or have it delivered again; tells which."""
        buried = False

        async def say(client: Client) -> None:
            nonlocal buried
            buried = await self._is_kept(client, receipt, reason)
            delay = self._config.delay(receipt.deliveries)
            await client.publish(receipt.reply, Msg.Ack.Term if buried else _nak(delay))

        await self.settle(receipt, say)
        return buried

    async def _is_kept(self, client: Client, receipt: _Receipt, reason: str) -> bool:
        """Keep a dead letter, if there is a place for those; tells whether nothing is in the way of its end."""
        subject, headers = self._config.dead_letter, receipt.epitaph(reason)
        if subject is None:
            return True
        try:
            check_size(client, receipt.body, headers)
            stream = client.jetstream(timeout=ANSWER)
            await stream.publish(subject, receipt.body, headers=headers)
        except (nats_errors.Error, TimeoutError) as error:
            missing = isinstance(error, NoStreamResponseError)
            why = _no_place(self._config) if missing else _reason(error)
            _log.warning("dead letter failed", reason=why, **self._context)
            return False
        return True

    def _tell_later(self) -> None:
        seconds = self._config.ack_wait / _SIGNS
        self._timer = asyncio.get_running_loop().call_later(seconds, self._tell)

    def _tell(self) -> None:
        self._timer = None
        if self._unsettled:
            if self._telling is None or self._telling.done():
                self._telling = asyncio.create_task(self._tell_progress())
            self._tell_later()

    async def _tell_progress(self) -> None:
        with contextlib.suppress(*FAILURES):
            async with asyncio.timeout(self._config.ack_wait):
                client, _ = await self._link.connection()
                for number, receipt in enumerate(list(self._unsettled.values()), 1):
                    if receipt.place in self._unsettled:
                        await client.publish(receipt.reply, Msg.Ack.Progress)
                    if number % _IN_A_TURN == 0:
                        await asyncio.sleep(0)


class _Receipt:
    """Where a message is kept: `Receipt`."""

    def __init__(self, consumer: Consumer, place: _Place, message: Msg) -> None:
        self.deliveries: Final = message.metadata.num_delivered
        self.place: Final = place
        self.body: Final = bytes(message.data)
        self.reply = message.reply
        self._consumer = consumer
        self._subject = message.subject
        self._headers = dict(message.headers or {})

    async def ack(self) -> None:
        """It was handled: `Receipt.ack`."""
        await self._consumer.settle(self, lambda client: client.publish(self.reply, Msg.Ack.Ack))

    async def nak(self, delay: float = 0.0) -> None:
        """It is to be delivered again: `Receipt.nak`."""
        await self._consumer.settle(self, lambda client: client.publish(self.reply, _nak(delay)))

    async def term(self, reason: str) -> bool:
        """It is not: `Receipt.term`."""
        return await self._consumer.bury(self, reason)

    def epitaph(self, reason: str) -> dict[str, str]:
        """The headers of its dead letter: its own, but for those that say something to the server, and why."""
        own = {
            name: value
            for name, value in self._headers.items()
            if not name.lower().startswith("nats-")
        }
        stream, number = self._consumer._config.stream, self.place[0]
        consumer = self._consumer._config.durable
        return own | {
            # Of two who bury it, maybe since one was slow, the stream of dead letters takes one.
            Header.MSG_ID.value: f"{stream}.{consumer}.{number}",
            "Dead-Letter-Reason": "".join(filter(str.isprintable, " ".join(reason.split()))),
            "Dead-Letter-Subject": self._subject,
            "Dead-Letter-Stream": stream,
            "Dead-Letter-Sequence": str(number),
            "Dead-Letter-Consumer": consumer,
            "Dead-Letter-Deliveries": str(self.deliveries),
        }


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 10**9)


def _nak(delay: float) -> bytes:
    return b"%b %b" % (Msg.Ack.Nak, json.dumps({"delay": _nanoseconds(delay)}).encode())


def _no_place(config: JetStreamConfig) -> str:
    return (
        f"no stream takes dead letters at {config.dead_letter}: make one by `nats stream add {config.stream}_DEAD "
        f"--subjects '{config.dead_letter}' --defaults`"
    )


def _reason(error: BaseException | None) -> str:
    match error:
        case BackendError():
            return error.reason or error.message
        case ServiceUnavailableError():
            return "JetStream is not enabled on the server, or not for this user"
        case APIError():
            return error.description or str(error)
        case nats_errors.TimeoutError():
            return "no answer of JetStream: this user may not be allowed to ask at $JS.API.>"
        case TimeoutError():
            return "there was no connection in time"
    return str(error) or type(error).__name__
