"""Outbound HTTP requests: what `wasi:http/outgoing-handler` does beyond its interface."""

from gateway.bindings.http.outbound.client import OnRequest, OutboundClient, OutboundRequests
from gateway.bindings.http.outbound.connector import tls_context
from gateway.bindings.http.outbound.exchange import Exchange, ExchangeOutcome, ResponseHead
from gateway.bindings.http.outbound.failure import EgressDenied, OutboundFailure
from gateway.bindings.http.outbound.linked import (
    CLIENTS,
    OUTGOING_HANDLER,
    LinkedHandler,
    LinkedRequest,
)
from gateway.bindings.http.outbound.request import OutboundRequest, Timeouts, outbound_request
from gateway.bindings.http.outbound.resolver import Resolve

__all__ = [
    "CLIENTS",
    "OUTGOING_HANDLER",
    "EgressDenied",
    "Exchange",
    "ExchangeOutcome",
    "LinkedHandler",
    "LinkedRequest",
    "OnRequest",
    "OutboundClient",
    "OutboundFailure",
    "OutboundRequest",
    "OutboundRequests",
    "Resolve",
    "ResponseHead",
    "Timeouts",
    "outbound_request",
    "tls_context",
]
