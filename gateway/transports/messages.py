"""Messages that a component takes, by its `wasmcloud:messaging/handler`.

An err or a trap of the handler ends its message: it is logged, and not handled again.

Source: `wasmcloud:messaging@0.2.0`, `messaging.wit`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gateway.bindings.messaging import message_record
from gateway.capabilities.messaging import Broker, Message
from gateway.capabilities.subscription import Subscription
from gateway.config.messaging import MessagingGrant, SubscriptionConfig
from gateway.http.trace_context import TraceContext
from gateway.observe.events import MessagingHandlerHandleMessageReturned
from gateway.observe.telemetry import Span, Tracer
from gateway.rpc.procedure import Function
from gateway.serving.service import Service
from gateway.transports.deliveries import Deliveries, Delivery

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
        super().__init__(
            service, broker, str(config), config, grant.max_message, max_rate=config.max_rate
        )
        self._handler = handler
        self._broker = broker
        self._config = config

    def subscribe(self) -> Subscription[Message]:
        """`Deliveries.subscribe`."""
        return self._broker.subscribe(self._config.subject, self._config.queue, self.take)

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
        )

    def failed(self, reason: str, context: Mapping[str, str]) -> None:
        """`Deliveries.failed`."""
        self.service.log.warning(
            "message handler failed", subscription=self.route, reason=reason, **context
        )

    def span(self, tracer: Tracer, trace: TraceContext, request_id: str) -> Span:
        """`Deliveries.span`."""
        return tracer.message(trace, self._broker.kind, self.route, request_id)
