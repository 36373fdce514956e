"""The outbound HTTP client of one component, and the requests of one invocation.

It is h11 over the transports of the loop, for no client on PyPI gives a guest what `wasi:http` promises it.
aiohttp hands on no trailers, either way, and rewrites targets ("/p?" is "/p") and header values that are not
UTF-8; httpx reads nothing of a response before all of the request is sent, and knows no trailers either.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from gateway.bindings.context import DEFAULT_LINK, Caller, State
from gateway.bindings.descriptors import UNCOUNTED, Share
from gateway.bindings.http.outbound.connected import ConnectedExchange
from gateway.bindings.http.outbound.connector import Connector
from gateway.bindings.http.outbound.exchange import (
    Exchange,
    ExchangeOutcome,
    ResponseHead,
    outcome_of,
    report,
)
from gateway.bindings.http.outbound.failure import EgressDenied, OutboundFailure
from gateway.bindings.http.outbound.linked import LinkedExchange, LinkedHandler
from gateway.bindings.http.outbound.pool import Pool
from gateway.bindings.http.outbound.request import OutboundRequest
from gateway.bindings.http.outbound.resolver import Resolve, SystemResolver
from gateway.host.values import Variant
from gateway.observe.tracer import Span, Tracer
from gateway.policy.egress import EgressPolicy, canonical_host

__all__ = ["OnRequest", "OutboundClient", "OutboundRequests"]

OnRequest: TypeAlias = Callable[[ExchangeOutcome], None]
"""Called once for each request that a component has wanted to send, when it has ended. Must not raise."""

MAX_OUTSTANDING: Final = 64
"""Exchanges of one invocation at once. Each has a connection and up to 3 MiB of buffers: a guest must not use up
the file descriptors and the memory of all. Arbitrary; Cloudflare's workers have 6, browsers 6 to an origin."""


class OutboundClient:
    """What the invocations of one component share: policy, idle connections, threads that look up names.

    Nothing is shared with other components: a connection that one may use must not serve another with a narrower
    policy. All of it belongs to the loop that it is used on.

    Args:
        component: the component's name, for the log.
        policy: what it may reach.
        tls: what makes servers trusted, of `tls_context`.
        resolve: how names are looked up; as the system does by default.
        tracer: what is told of requests that belong to a trace; None for nothing.
        on_request: what is told how each ended.
        share: where connections and lookups take their places among the file descriptors.
        linked: what answers requests to names in the place of servers: by the names of links, and then by those
            names in canonical form. The policy has no say in them.
    """

    def __init__(
        self,
        component: str,
        policy: EgressPolicy,
        *,
        tls: ssl.SSLContext,
        resolve: Resolve | None = None,
        tracer: Tracer | None = None,
        on_request: OnRequest | None = None,
        share: Share = UNCOUNTED,
        linked: Mapping[str, Mapping[str, LinkedHandler]] = MappingProxyType({}),
    ) -> None:
        self.component: Final = component
        self.policy: Final = policy
        self.tracer: Final = tracer
        self.on_request: Final = on_request
        self.linked: Final = linked
        self.pool: Final = Pool()
        self._system = SystemResolver(share)
        self.resolve: Final = resolve or self._system
        self.connector: Final = Connector(policy, tls, self.resolve, share, self.pool.make_room)
        self.exchanges: Final[set[Exchange]] = set()

    def invocation(self, caller: Caller) -> OutboundRequests:
        """The requests of one invocation."""
        return OutboundRequests(self, caller)

    async def aclose(self) -> None:
        """Cancel all that is under way, and close every connection. May be used again afterwards."""
        exchanges = list(self.exchanges)
        for exchange in exchanges:
            exchange.cancel()
        for exchange in exchanges:
            await exchange.wait()
        self.pool.close()
        self._system.close()


class OutboundRequests(State):
    """The outbound requests of one invocation.

    Args:
        client: that of the component.
        caller: the invocation; they are part of its trace, unless they say so themselves.

    Attributes:
        caller: ditto; where its instance is kept for others, that which is under way.
    """

    def __init__(self, client: OutboundClient, caller: Caller) -> None:
        self._client = client
        self.caller = caller
        self._exchanges: dict[Exchange, Span | None] = {}

    def send(self, request: OutboundRequest, link_name: str = DEFAULT_LINK) -> Exchange:
        """Begin to send a request.

        Args:
            request: the request.
            link_name: the name of the links that count. One that no host has is as good as none.

        Raises:
            EgressDenied: the component may not reach its host.
            OutboundFailure: too many are under way.
        """
        client, caller = self._client, self.caller
        context = caller.log_context
        span: Span | None = None
        trace = caller.trace
        if trace is not None:
            if client.tracer is not None:
                span = client.tracer.outbound(trace, request.head.method.decode(), *request.origin)
                trace = span.trace
            request = request.belonging_to(trace)
        linked = client.linked.get(link_name) or client.linked.get(DEFAULT_LINK)
        host = canonical_host(request.origin.host) if linked else None
        handler = linked.get(host) if linked and isinstance(host, str) else None
        try:
            self._check(request, linked=handler is not None)
        except OutboundFailure as failure:
            report(failure, request, context)
            self._tell(span, outcome_of(failure), error=failure.code.case)
            raise
        exchange: Exchange
        if handler is not None:
            caller = caller._replace(trace=trace)
            exchange = LinkedExchange(request, context, self._ended, handler=handler, caller=caller)
        else:
            exchange = ConnectedExchange(
                request,
                context,
                self._ended,
                pool=client.pool,
                connector=client.connector,
            )
        self._exchanges[exchange] = span
        client.exchanges.add(exchange)
        return exchange

    def close(self) -> None:
        """Cancel what is still under way: the invocation has ended. Never raises."""
        for exchange in self._exchanges:
            exchange.cancel()

    def _check(self, request: OutboundRequest, *, linked: bool) -> None:
        if not linked:
            verdict = self._client.policy.check_target(*request.origin)
            if not verdict.allowed:
                raise EgressDenied(verdict)
        if len(self._exchanges) >= MAX_OUTSTANDING:
            raise OutboundFailure(
                Variant("connection-limit-reached"),
                f"the invocation has {MAX_OUTSTANDING} requests under way, all that it may have",
            )

    def _ended(self, exchange: Exchange) -> None:
        span = self._exchanges.pop(exchange)
        self._client.exchanges.discard(exchange)
        head, failure = exchange.result, exchange.failure
        self._tell(
            span,
            exchange.outcome,
            status=head.status if isinstance(head, ResponseHead) else 0,
            error=None if failure is None else failure.code.case,
        )

    def _tell(
        self, span: Span | None, outcome: ExchangeOutcome, *, status: int = 0, error: str | None
    ) -> None:
        if span is not None:
            span.end(status=status, error=error)
        if self._client.on_request is not None:
            self._client.on_request(outcome)
