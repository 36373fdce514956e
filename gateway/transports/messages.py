"""Messages that a component takes, by its `wasmcloud:messaging/handler`.

Each is one invocation, under what bounds every invocation of the component: its deadline, its memory, its
places. So many of one subscription are handled at once, so many more wait here, and what comes beyond that is
dropped and counted: a broker that is not drained in time drops them itself, of all who share its connection.

An err or a trap of the handler ends its message: it is logged, and not handled again.

Source: `wasmcloud:messaging@0.2.0`, `messaging.wit`.
"""

from __future__ import annotations

import asyncio
import enum
import os
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from typing import Final, cast

import structlog

from gateway.bindings.messaging import message_record
from gateway.capabilities.messaging import Broker, Message, Subscription
from gateway.config.messaging import MessagingGrant, SubscriptionConfig
from gateway.host.values import Err
from gateway.http.field_lines import FieldLines
from gateway.http.trace_context import incoming
from gateway.observe.events import MessagingHandlerHandleMessageReturned, Outcome
from gateway.rpc.procedure import Procedure
from gateway.serving.admission import NoRoom, Place
from gateway.serving.call import Call
from gateway.serving.perform import perform
from gateway.serving.service import Service
from gateway.transports.transport import Transport

__all__ = ["Dropped", "Messages", "subscriptions"]

_log = structlog.get_logger("gateway.messages")

_TOLD: Final = 10.0
"""Seconds between two lines about messages of one subscription that are dropped. Arbitrary."""

_MAX_REASON: Final = 1024
"""Characters of what a handler says is wrong that are logged. Arbitrary: a line, not a document."""


class Dropped(enum.StrEnum):
    """Why a message was not handled. The values are labels of metrics."""

    PENDING = "pending"
    """As many waited as may."""
    TOO_LARGE = "too-large"
    """It is larger than the component takes."""
    STOPPED = "stopped"
    """The gateway stopped, or the component went, before it was handled."""


def subscriptions(services: Iterable[Service]) -> Iterator[Messages]:
    """Those of components in service."""
    for service in services:
        grant, handler, broker = (
            service.config.messaging,
            service.message_handler,
            service.grants.broker,
        )
        if grant is not None and handler is not None and broker is not None:
            for config in grant.subscriptions:
                yield Messages(service, handler, broker, grant, config)


class Messages:
    """The messages of one subscription, on their way to the component: a `Transport`.

    Args:
        service: the component.
        handler: its `handle-message`.
        broker: where they come from.
        grant: what the operator says of its messages.
        config: and of these.
    """

    def __init__(
        self,
        service: Service,
        handler: Procedure,
        broker: Broker,
        grant: MessagingGrant,
        config: SubscriptionConfig,
    ) -> None:
        self._service = service
        self._handler = handler
        self._broker = broker
        self._max_message = grant.max_message
        self._config = config
        self._route = str(config)
        self._subscription: Subscription | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._pending: deque[Message] = deque()
        self._pending_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._placeless: set[asyncio.Task[None]] = set()
        self._untold = 0
        self._tell_after = 0.0

    @property
    def identity(self) -> Hashable:
        """The component and the subscription, at this broker: `Transport.identity`."""
        return self._service.name, self._route, id(self._broker)

    @property
    def busy(self) -> bool:
        """Whether messages are still to be handled: `Transport.busy`."""
        return bool(self._tasks) or (self._leaving is not None and not self._leaving.done())

    def start(self, before: Transport | None = None) -> None:
        """Begin to take them: `Transport.start`. What waits at the one before is handled there."""
        if isinstance(before, Messages) and before._subscription is not None:
            self._subscription, before._subscription = before._subscription, None
            self._subscription.deliver = self._take
        else:
            config = self._config
            self._subscription = self._broker.subscribe(config.subject, config.queue, self._take)

    async def ready(self) -> None:
        """Wait until the broker knows of it: `Transport.ready`."""
        if self._subscription is not None:
            await self._subscription.ready()

    def drain(self, *, inside: bool) -> None:
        """Have no more: `Transport.drain`. Those that the broker has sent by now still come."""
        if not (inside or self._broker.waits):
            return
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self._leaving = asyncio.create_task(subscription.aclose())

    async def finished(self) -> None:
        """Wait until all that came are handled: `Transport.finished`."""
        if self._leaving is not None:
            await asyncio.wait((self._leaving,))
        while self._tasks:
            await asyncio.wait(self._tasks)

    def abandon(self) -> None:
        """Give up those that are not being handled: `Transport.abandon`."""
        self._dropped(Dropped.STOPPED, len(self._pending))
        self._service.pending_changed(-len(self._pending))
        self._pending.clear()
        self._pending_bytes = 0
        for task in self._placeless:
            task.cancel()

    async def aclose(self) -> None:
        """Have no more, and handle none: `Transport.aclose`."""
        self.drain(inside=True)
        if self._leaving is not None:
            await asyncio.wait((self._leaving,))
        self.abandon()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- what comes ----------------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        config, size = self._config, len(message.body)
        if size > self._max_message:
            self._dropped(Dropped.TOO_LARGE)
        elif len(self._tasks) < config.max_concurrency:
            self._begin(message)
        elif (
            len(self._pending) >= config.max_pending
            or self._pending_bytes + size > config.max_pending_bytes
        ):
            self._dropped(Dropped.PENDING)
        else:
            self._pending.append(message)
            self._pending_bytes += size
            self._service.pending_changed(1)

    def _dropped(self, why: Dropped, count: int = 1) -> None:
        for _ in range(count):
            self._service.message_dropped(why)
        self._untold += count
        now = asyncio.get_running_loop().time()
        if self._untold and now >= self._tell_after:
            self._tell_after = now + _TOLD
            _log.warning(
                "messages dropped",
                component=self._service.name,
                subscription=self._route,
                messages=self._untold,
                reason=why.value,
            )
            self._untold = 0

    def _begin(self, message: Message) -> None:
        task = asyncio.create_task(self._work(message))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.remove(task)
        # What came after the task had looked, or while it was cancelled.
        if self._pending:
            self._begin(self._next())

    def _next(self) -> Message:
        message = self._pending.popleft()
        self._pending_bytes -= len(message.body)
        self._service.pending_changed(-1)
        return message

    async def _work(self, message: Message) -> None:
        """Handle a message, and then those that wait."""
        while True:
            try:
                await self._handle(message)
            except Exception:
                _log.exception(
                    "gateway failed", component=self._service.name, subscription=self._route
                )
            if not self._pending:
                return
            message = self._next()
            # A handler that never waited has not given the loop to anyone.
            await asyncio.sleep(0)

    async def _handle(self, message: Message) -> None:
        try:
            place = self._service.gate.try_enter() or await self._wait()
        except NoRoom:
            self._dropped(Dropped.STOPPED)
            return
        except asyncio.CancelledError:
            self._dropped(Dropped.STOPPED)
            raise
        with place:
            await self._invoke(message, place)

    async def _wait(self) -> Place:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._placeless.add(task)
        try:
            return await self._service.wait(patiently=True)
        finally:
            self._placeless.remove(task)

    async def _invoke(self, message: Message, place: Place) -> None:
        service = self._service
        request_id = os.urandom(16).hex()
        lines = FieldLines(
            (name.lower().encode(), value.encode()) for name, value in message.headers.items()
        )
        trace = incoming(lines, request_id)
        span = None
        if service.tracer is not None:
            span = service.tracer.message(trace, self._broker.kind, self._route, request_id)
            trace = span.trace
        outcome = Outcome.CANCELLED
        try:
            with Call(
                service,
                self._handler.export,
                (message_record(message),),
                place=place,
                event=MessagingHandlerHandleMessageReturned,
                request_id=request_id,
                trace=trace,
                route=self._route,
                in_pieces=True,
                answers=message.reply_to,
            ) as call:
                call.bytes_in = len(message.body)
                answer = await perform(call, self._handler)
                outcome = call.outcome
                if isinstance(answer, Err):
                    service.log.warning(
                        "message handler failed",
                        subscription=self._route,
                        reason=str(answer.value)[:_MAX_REASON],
                        **call.context,
                    )
        finally:
            if span is not None:
                span.end(component=service.name, outcome=outcome)
