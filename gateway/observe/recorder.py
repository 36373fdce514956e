"""The tracer that records, with OpenTelemetry.

Spans follow the semantic conventions for HTTP (https://opentelemetry.io/docs/specs/semconv/http/http-spans/). They
never have a query, and of outbound requests not even a path: paths of webhooks and bots are secrets as a whole.

The provider is not made the global one: the gateway may be mounted in an application that has its own.
"""

from __future__ import annotations

import os
import threading
from typing import Final

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.semconv.attributes import (
    client_attributes,
    error_attributes,
    http_attributes,
    network_attributes,
    server_attributes,
    url_attributes,
)
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.trace import Span as OpenTelemetrySpan
from starlette.types import Scope

from gateway import __version__
from gateway.http.forwarded import UNIX, Origin
from gateway.http.target import path_of
from gateway.http.trace_context import TraceContext
from gateway.observe.events import Outcome
from gateway.observe.tracer import Span, Tracer

__all__ = ["Recorder"]

_log = structlog.get_logger("gateway.telemetry")

BACKEND: Final = "gateway.backend"
COMPONENT: Final = "gateway.component"
DELIVERIES: Final = "gateway.deliveries"
EXPORT: Final = "gateway.export"
FUNCTION: Final = "gateway.function"
INTERFACE: Final = "gateway.interface"
MESSAGING_SUBSCRIPTION: Final = "messaging.destination.subscription.name"
MESSAGING_SYSTEM: Final = "messaging.system"
OUTCOME: Final = "gateway.outcome"
REQUEST_ID: Final = "gateway.request_id"
STORE: Final = "gateway.store"

# RFC 9110 section 9 and RFC 5789; the conventions want all others to be "_OTHER", so that names of spans are few.
_METHODS: Final = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
)

# The rest is the doing of clients, or of no one.
_FAULTS: Final = frozenset(
    (
        *(Outcome.ERR, Outcome.TRAP, Outcome.DEADLINE, Outcome.CPU_TIME),
        *(Outcome.EXHAUSTED, Outcome.FAILED),
    )
)

_Attributes = dict[str, str | int]


class Recorder(Tracer):
    """Makes spans that a collector is told of, in batches, by a thread of its own."""

    __slots__ = ("_ids", "_provider", "_tracer")

    def __init__(self) -> None:
        self._ids = _Ids()
        self._provider = TracerProvider(
            resource=_resource(), id_generator=self._ids, shutdown_on_exit=False
        )
        if os.environ.get("OTEL_TRACES_EXPORTER") != "none":
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("gateway", __version__)

    def request(self, trace: TraceContext, scope: Scope, origin: Origin, request_id: str) -> Span:
        """Begin the span of a request that came in: `Tracer.request`."""
        attributes = _method(scope["method"])
        attributes |= {
            url_attributes.URL_SCHEME: origin.scheme,
            url_attributes.URL_PATH: path_of(scope).partition("?")[0],
            network_attributes.NETWORK_PROTOCOL_VERSION: scope["http_version"],
            REQUEST_ID: request_id,
        }
        if origin.authority is not None:
            attributes |= _server(origin.authority)
        if origin.client is not None and origin.client != UNIX:
            attributes[client_attributes.CLIENT_ADDRESS] = origin.client
        return self._begin(_name(attributes), SpanKind.SERVER, self._parent(trace), attributes)

    def message(
        self,
        trace: TraceContext,
        system: str,
        subscription: str,
        request_id: str,
        deliveries: int | None = None,
    ) -> Span:
        """Begin the span of a message that came in: `Tracer.message`."""
        attributes: _Attributes = {
            MESSAGING_SYSTEM: system,
            MESSAGING_SUBSCRIPTION: subscription,
            REQUEST_ID: request_id,
        }
        if deliveries is not None:
            attributes[DELIVERIES] = deliveries
        name = f"process {subscription}"
        return self._begin(name, SpanKind.CONSUMER, self._parent(trace), attributes)

    def change(self, trace: TraceContext, backend: str, store: str, request_id: str) -> Span:
        """Begin the span of a change of a store: `Tracer.change`."""
        attributes: _Attributes = {BACKEND: backend, STORE: store, REQUEST_ID: request_id}
        return self._begin(f"watch {store}", SpanKind.CONSUMER, self._parent(trace), attributes)

    def invocation(self, trace: TraceContext, component: str, export: str) -> Span:
        """Begin the span of an invocation: `Tracer.invocation`."""
        attributes: _Attributes = {COMPONENT: component, EXPORT: export}
        return self._begin(export, SpanKind.INTERNAL, _inside(trace, is_remote=False), attributes)

    def outbound(self, trace: TraceContext, method: str, scheme: str, host: str, port: int) -> Span:
        """Begin the span of a request that a component makes: `Tracer.outbound`."""
        attributes = _method(method)
        attributes |= {
            url_attributes.URL_SCHEME: scheme,
            server_attributes.SERVER_ADDRESS: host.strip("[]"),
            server_attributes.SERVER_PORT: port,
        }
        return self._begin(
            _name(attributes), SpanKind.CLIENT, _inside(trace, is_remote=False), attributes
        )

    def operation(self, trace: TraceContext, interface: str, function: str, backend: str) -> Span:
        """Begin the span of what a component does with a capability: `Tracer.operation`."""
        attributes: _Attributes = {INTERFACE: interface, FUNCTION: function, BACKEND: backend}
        name = f"{interface}#{function}"
        return self._begin(name, SpanKind.CLIENT, _inside(trace, is_remote=False), attributes)

    def close(self, timeout: float) -> None:
        """Export what is left: `Tracer.close`."""
        # The SDK would go on for half a minute, and longer if the collector takes its time over each batch.
        flushing = threading.Thread(
            target=self._provider.shutdown, name="telemetry-flush", daemon=True
        )
        flushing.start()
        flushing.join(timeout)
        if flushing.is_alive():
            _log.warning(
                "spans lost", reason=f"the collector did not take them within {timeout:g} s"
            )

    def _parent(self, trace: TraceContext) -> Context:
        """What the first span of ours in a trace is part of, if of anything."""
        if trace.parent_id is not None:
            return _inside(trace, is_remote=True)
        self._ids.trace_id = int(trace.trace_id, 16)
        return Context()

    def _begin(self, name: str, kind: SpanKind, parent: Context, attributes: _Attributes) -> Span:
        span = self._tracer.start_span(name, parent, kind, attributes)
        return _Recorded(span, name, kind)


class _Recorded(Span):
    """A span of OpenTelemetry."""

    __slots__ = ("_kind", "_name", "_span", "_trace")

    def __init__(self, span: OpenTelemetrySpan, name: str, kind: SpanKind) -> None:
        self._trace = _trace_of(span.get_span_context())
        self._span = span
        self._name = name
        self._kind = kind

    @property
    def trace(self) -> TraceContext:
        """The trace as it goes on in here: `Span.trace`."""
        return self._trace

    def end(
        self,
        *,
        status: int = 0,
        route: str | None = None,
        component: str | None = None,
        outcome: Outcome | None = None,
        error: str | None = None,
    ) -> None:
        """It has ended: `Span.end`."""
        span = self._span
        if status:
            span.set_attribute(http_attributes.HTTP_RESPONSE_STATUS_CODE, status)
        if route is not None:
            span.set_attribute(http_attributes.HTTP_ROUTE, route)
            span.update_name(f"{self._name} {route}")
        if component is not None:
            span.set_attribute(COMPONENT, component)
        if outcome is not None:
            span.set_attribute(OUTCOME, outcome.value)
        error = error or self._error(status, outcome)
        if error is not None:
            span.set_attribute(error_attributes.ERROR_TYPE, error)
            span.set_status(StatusCode.ERROR)
        span.end()

    def _error(self, status: int, outcome: Outcome | None) -> str | None:
        if outcome in _FAULTS:
            return outcome.value
        # A client has not got what it asked for with 4xx; a server has said what is wrong with the request.
        return str(status) if status >= (400 if self._kind is SpanKind.CLIENT else 500) else None


class _Ids(RandomIdGenerator):
    """Ids of spans, and of the traces that begin here, which the gateway has chosen already.

    Attributes:
        trace_id: that of the next trace.
    """

    trace_id = 0

    def generate_trace_id(self) -> int:
        """The id of a trace that begins."""
        return self.trace_id

    def is_trace_id_random(self) -> bool:
        """Not for sure: it may be an id that the client gave its request."""
        return False


def _inside(trace: TraceContext, *, is_remote: bool) -> Context:
    """What makes a span a child of another."""
    parent = SpanContext(
        int(trace.trace_id, 16),
        int(trace.span_id, 16),
        is_remote,
        TraceFlags(trace.flags),
        None if trace.tracestate is None else TraceState.from_header([trace.tracestate]),
    )
    return set_span_in_context(NonRecordingSpan(parent), Context())


def _trace_of(span: SpanContext) -> TraceContext:
    return TraceContext(
        format_trace_id(span.trace_id),
        format_span_id(span.span_id),
        span.trace_flags,
        span.trace_state.to_header() or None,
    )


def _method(method: str) -> _Attributes:
    if method in _METHODS:
        return {http_attributes.HTTP_REQUEST_METHOD: method}
    return {
        http_attributes.HTTP_REQUEST_METHOD: "_OTHER",
        http_attributes.HTTP_REQUEST_METHOD_ORIGINAL: method,
    }


def _name(attributes: _Attributes) -> str:
    """The name of a span of HTTP: few values, so neither a target nor a method that anyone may invent."""
    method = str(attributes[http_attributes.HTTP_REQUEST_METHOD])
    return "HTTP" if method == "_OTHER" else method


def _server(authority: str) -> _Attributes:
    host, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = authority, ""
    attributes: _Attributes = {server_attributes.SERVER_ADDRESS: host.strip("[]")}
    if port:
        attributes[server_attributes.SERVER_PORT] = int(port)
    return attributes


def _resource() -> Resource:
    own = Resource({SERVICE_NAME: "component-gateway", SERVICE_VERSION: __version__})
    said = Resource.create()
    # What the operator says in OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES counts for more.
    if str(said.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return said.merge(own)
    return own.merge(said)
