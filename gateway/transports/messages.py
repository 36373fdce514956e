"""Messages that a component takes, by its `wasmcloud:messaging/handler`.

An err or a trap of the handler ends its message: it is logged, and not handled again, unless the message is one of
a stream. That is delivered again, so often and no more.

Source: `wasmcloud:messaging@0.2.0`, `messaging.wit`.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable, Iterator, Mapping

from gateway.bindings.messaging import message_record
from gateway.capabilities.messaging import Broker, DurableBroker, Message, Receipt
from gateway.capabilities.subscription import Subscription
from gateway.config.delivery import DeliveryLimits
from gateway.config.messaging import MessagingGrant, SubscriptionConfig
from gateway.http.trace_context import TraceContext
from gateway.observe.events import MessagingHandlerHandleMessageReturned, Outcome
from gateway.observe.telemetry import Span, Tracer
from gateway.rpc.procedure import Function
from gateway.serving.service import Service
from gateway.transports.deliveries import Deliveries, Delivery, Dropped

__all__ = ["Messages", "subscriptions"]


def subscriptions(services: Iterable[Service]) -> Iterator[Messages]:
    """Those of components in service."""
    for service in services:
        grant, handler, broker = (
            service.config.messaging,
            service.handlers.message,
            service.grants.backends.broker,
        )
        if grant is not None and handler is not None and broker is not None:
            for config in grant.subscriptions:
                yield Messages(service, handler, broker, grant, config)


class Messages(Deliveries[Message]):
    """The messages of one subscription.

    Args:
        service: the component.
        handler: its `handle-message`.
        broker: where they come from.
        grant: what the operator says of its messages.
        config: and of these.
    """

    what = "messages"
    by = "subscription"

    def __init__(
        self,
        service: Service,
        handler: Function,
        broker: Broker,
        grant: MessagingGrant,
        config: SubscriptionConfig,
    ) -> None:
        limits: DeliveryLimits = config
        if config.jetstream is not None:
            # No more come than may be handled at once, but some may before the tasks of others have quite ended.
            no_limit = {"max_pending": config.max_concurrency, "max_pending_bytes": sys.maxsize}
            limits = config.model_copy(update=no_limit)
        super().__init__(
            service, broker, str(config), limits, grant.max_message, max_rate=config.max_rate
        )
        self._handler = handler
        self._broker = broker
        self._config = config
        self._stream = config.jetstream

    @property
    def identity(self) -> Hashable:
        """That of how messages are taken of a stream, too: `Transport.identity`."""
        stream = self._stream
        return super().identity, stream, None if stream is None else self._config.max_concurrency

    def subscribe(self) -> Subscription[Message]:
        """`Deliveries.subscribe`."""
        config, broker = self._config, self._broker
        if self._stream is not None and isinstance(broker, DurableBroker):
            return broker.consume(config.subject, self._stream, config.max_concurrency, self.take)
        return broker.subscribe(config.subject, config.queue, self.take)

    def take(self, item: Message) -> None:
        """`Deliveries.take`."""
        receipt, stream = item.receipt, self._stream
        if receipt is not None and receipt.deliveries > 1:
            self.service.message_redelivered()
        if receipt is not None and stream is not None and receipt.deliveries > stream.max_deliver:
            # Whoever had it for the last time said nothing.
            self.drop(item, Dropped.GIVEN_UP)
        else:
            super().take(item)

    def size(self, item: Message) -> int:
        """`Deliveries.size`."""
        return len(item.body)

    def delivery(self, item: Message) -> Delivery:
        """`Deliveries.delivery`."""
        return Delivery(
            self._handler,
            (message_record(item),),
            MessagingHandlerHandleMessageReturned,
            headers=item.headers,
            answers=item.reply_to,
            deliveries=None if item.receipt is None else item.receipt.deliveries,
        )

    def failed(self, reason: str, context: Mapping[str, str]) -> None:
        """`Deliveries.failed`."""
        self.service.log.warning(
            "message handler failed", subscription=self.route, reason=reason, **context
        )

    def span(self, item: Message, tracer: Tracer, trace: TraceContext, request_id: str) -> Span:
        """`Deliveries.span`."""
        deliveries = None if item.receipt is None else item.receipt.deliveries
        return tracer.message(trace, self._broker.kind, self.route, request_id, deliveries)

    def drop(self, item: Message, why: Dropped) -> None:
        """`Deliveries.drop`. One of a stream is for others to handle, or for nobody."""
        receipt = item.receipt
        if receipt is None:
            super().drop(item, why)
        elif why is Dropped.TOO_LARGE:
            reason = f"it has {len(item.body)} bytes, more than the component takes"
            self.afterwards(self._give_up(item, receipt, why, reason))
        elif why is Dropped.GIVEN_UP:
            reason = "whoever had it did not say what became of it"
            self.afterwards(self._give_up(item, receipt, why, reason))
        else:
            self.afterwards(receipt.nak())

    def ended(self, item: Message, outcome: Outcome, reason: str) -> None:
        """`Deliveries.ended`."""
        receipt, stream = item.receipt, self._stream
        if receipt is None or stream is None:
            return
        if outcome is Outcome.OK:
            self.afterwards(receipt.ack())
        elif outcome is Outcome.CANCELLED:  # the gateway stops
            self.afterwards(receipt.nak())
        elif receipt.deliveries < stream.max_deliver:
            self.afterwards(receipt.nak(stream.delay(receipt.deliveries)))
        else:
            reason = f"{outcome.value}: {reason}" if reason else outcome.value
            self.afterwards(self._give_up(item, receipt, Dropped.GIVEN_UP, reason))

    async def _give_up(self, item: Message, receipt: Receipt, why: Dropped, reason: str) -> None:
        if not await receipt.term(reason):
            return
        kept = self._stream is not None and self._stream.dead_letter is not None
        if kept:
            self.service.message_dead_lettered(why)
        else:
            self.service.delivery_dropped(self.what, why)
        self.service.log.warning(
            "message dead-lettered" if kept else "message given up",
            component=self.service.name,
            subscription=self.route,
            subject=item.subject,
            deliveries=receipt.deliveries,
            reason=reason,
        )
