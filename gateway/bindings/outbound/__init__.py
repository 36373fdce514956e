"""Outbound HTTP requests: what `wasi:http/outgoing-handler` does beyond its interface."""

from gateway.bindings.outbound.client import OnRequest, OutboundClient, OutboundRequests
from gateway.bindings.outbound.connector import tls_context
from gateway.bindings.outbound.exchange import Exchange, ExchangeOutcome, ResponseHead
from gateway.bindings.outbound.failure import EgressDenied, OutboundFailure
from gateway.bindings.outbound.request import OutboundRequest, Timeouts, outbound_request
from gateway.bindings.outbound.resolver import Resolve

__all__ = [
    "EgressDenied",
    "Exchange",
    "ExchangeOutcome",
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
