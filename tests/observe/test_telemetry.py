"""Spans, as a collector of OpenTelemetry receives them over OTLP/HTTP."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from structlog.testing import capture_logs

from gateway.bindings.http.outbound import ExchangeOutcome
from gateway.bindings.http.outbound.connector import Origin as Peer
from gateway.http.forwarded import Origin
from gateway.http.trace_context import TraceContext, incoming
from gateway.observe import telemetry
from gateway.observe.events import Outcome
from gateway.observe.telemetry import TelemetryError, Tracer
from tests.bindings.outbound.component import component
from tests.bindings.outbound.guest import http_guest, request
from tests.bindings.outbound.peer import RESPONSE, Wire, peer
from tests.harness import PATIENCE

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
REQUEST = "0af7651916cd43dd8448eb211c80319c"

ORIGIN = Origin("203.0.113.7", "https", "gateway.test:8443")
PEER = Peer("https", "api.test", 443)


class Collector:
    """What has arrived.

    Attributes:
        requests: the bodies of the exports.
        resource: the attributes of the last one's resource.
    """

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.resource: dict[str, Any] = {}

    def spans(self) -> list[OtlpSpan]:
        """All spans, in the order in which they ended."""
        spans = []
        for body in self.requests:
            for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resource = attributes(resource_spans.resource)
                for scope_spans in resource_spans.scope_spans:
                    assert scope_spans.scope.name == "gateway"
                    spans.extend(scope_spans.spans)
        return sorted(spans, key=lambda span: span.end_time_unix_nano)


def attributes(of: Any) -> dict[str, Any]:
    """The attributes of a span or resource."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in of.attributes}


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    """A collector, and its address."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            assert self.headers["content-type"] == "application/x-protobuf"
            collector.requests.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        # How often it looks whether it should end, in seconds.
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield collector, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variables of the developer's own."""
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that the environment names."""
    with collecting() as (collector, url):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        yield collector


@contextmanager
def tracing() -> Iterator[Tracer]:
    """A tracer that has handed on everything at the end."""
    tracer = telemetry.start()
    assert tracer is not None
    try:
        yield tracer
    finally:
        tracer.close(PATIENCE)


def scope(method: str = "GET", path: str = "/hello", query: str = "") -> dict[str, Any]:
    """The ASGI scope of a request."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"authorization", b"Bearer s3cret"), (b"cookie", b"id=s3cret")],
    }


def continued(flags: str = "01", tracestate: str = "rojo=1") -> TraceContext:
    """A trace that somebody else has begun."""
    traceparent = f"00-{TRACE}-{PARENT}-{flags}"
    return incoming(
        {b"traceparent": [traceparent.encode()], b"tracestate": [tracestate.encode()]}, REQUEST
    )


def test_what_comes_by_itself_begins_a_trace_or_goes_on_with_one(collector: Collector) -> None:
    with tracing() as tracer:
        changed = tracer.change(incoming({}, REQUEST), "memory", "default", REQUEST)
        tracer.invocation(changed.trace, "shop", "on-set").end(outcome=Outcome.OK)
        changed.end(component="shop", outcome=Outcome.OK)
        tracer.message(continued(), "nats", "orders.*|shop", REQUEST, 3).end(outcome=Outcome.OK)
    invocation, change, message = collector.spans()
    assert (change.name, change.kind) == ("watch default", OtlpSpan.SPAN_KIND_CONSUMER)
    assert change.parent_span_id == b""
    assert attributes(change) == {
        "gateway.backend": "memory",
        "gateway.component": "shop",
        "gateway.outcome": "ok",
        "gateway.request_id": REQUEST,
        "gateway.store": "default",
    }
    assert invocation.parent_span_id == change.span_id
    assert (message.name, message.kind) == (
        "process orders.*|shop",
        OtlpSpan.SPAN_KIND_CONSUMER,
    )
    assert (message.trace_id.hex(), message.parent_span_id.hex()) == (TRACE, PARENT)


# --- what belongs to what ----------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_spans_are_inside_each_other_as_far_as_the_server_that_is_asked(
    collector: Collector,
) -> None:
    heads: list[bytes] = []
    outcomes: list[ExchangeOutcome] = []

    async def script(wire: Wire) -> None:
        heads.append(await wire.head())
        await wire.send(RESPONSE)

    with tracing() as tracer:
        server_span = tracer.request(continued(), scope(), ORIGIN, REQUEST)
        invocation = tracer.invocation(
            server_span.trace, "proxy", "wasi:http/incoming-handler#handle"
        )
        async with (
            component(tracer=tracer, on_request=outcomes.append) as client,
            peer(script) as server,
            http_guest(client, invocation.trace) as guest,
        ):
            response = await guest.fetch(request(server.authority, "/bot-s3cret?key=s3cret"))
            assert await guest.text(response) == b"ok"
        invocation.end(outcome=Outcome.OK)
        server_span.end(status=200, route="/hello", component="proxy", outcome=Outcome.OK)

    outbound, invoked, handled = collector.spans()
    assert {span.trace_id.hex() for span in (outbound, invoked, handled)} == {TRACE}
    assert handled.parent_span_id.hex() == PARENT
    assert invoked.parent_span_id == handled.span_id
    assert outbound.parent_span_id == invoked.span_id
    assert f"\r\ntraceparent: 00-{TRACE}-{outbound.span_id.hex()}-01\r\n".encode() in heads[0]
    assert b"\r\ntracestate: rojo=1\r\n" in heads[0]
    assert {span.trace_state for span in (outbound, invoked, handled)} == {"rojo=1"}
    assert outcomes == ["response"]

    assert outbound.kind == OtlpSpan.SPAN_KIND_CLIENT
    assert outbound.name == "GET"
    assert attributes(outbound) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "url.scheme": "http",
    }
    assert invoked.kind == OtlpSpan.SPAN_KIND_INTERNAL
    assert invoked.name == "wasi:http/incoming-handler#handle"
    assert attributes(invoked) == {
        "gateway.component": "proxy",
        "gateway.export": "wasi:http/incoming-handler#handle",
        "gateway.outcome": "ok",
    }


@pytest.mark.anyio
async def test_a_refused_request_is_a_span_with_its_error(collector: Collector) -> None:
    with tracing() as tracer:
        trace = tracer.invocation(continued(), "proxy", "run").trace
        async with component([], tracer=tracer) as client, http_guest(client, trace) as guest:
            await guest.failure(request("name.test"))
    [span] = collector.spans()
    assert span.parent_span_id.hex() == trace.span_id
    assert attributes(span)["server.address"] == "name.test"
    assert attributes(span)["error.type"] == "HTTP-request-denied"


def test_a_trace_that_begins_here_has_the_id_of_its_request(collector: Collector) -> None:
    with tracing() as tracer:
        for trace in (incoming({}, REQUEST), incoming({}, TRACE)):
            span = tracer.request(trace, scope(), ORIGIN, "x")
            assert span.trace.trace_id == trace.trace_id
            assert span.trace.sampled
            span.end(status=200)
    first, second = collector.spans()
    assert (first.trace_id.hex(), second.trace_id.hex()) == (REQUEST, TRACE)
    assert first.parent_span_id == second.parent_span_id == b""
    assert first.span_id != second.span_id


def test_what_the_caller_has_not_sampled_is_not_exported_and_passed_on_as_such(
    collector: Collector,
) -> None:
    with tracing() as tracer:
        span = tracer.request(continued("00"), scope(), ORIGIN, REQUEST)
        span.end(status=500)
        assert span.trace.traceparent == f"00-{TRACE}-{span.trace.span_id}-00"
        assert span.trace.span_id != PARENT
    assert collector.spans() == []


def test_the_sampler_is_that_of_the_environment(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    with tracing() as tracer:
        span = tracer.request(continued(), scope(), ORIGIN, REQUEST)
        span.end(status=200)
        assert not span.trace.sampled
    assert collector.spans() == []


# --- what is told ------------------------------------------------------------------------------------------


def test_a_request_is_told_by_the_conventions_and_without_secrets(collector: Collector) -> None:
    with tracing() as tracer:
        target = scope("POST", "/api/items/7", "token=s3cret")
        span = tracer.request(continued(), target, ORIGIN, REQUEST)
        span.end(status=201, route="/api", component="shop", outcome=Outcome.OK)
    [span_] = collector.spans()
    assert span_.kind == OtlpSpan.SPAN_KIND_SERVER
    assert span_.name == "POST /api"
    assert span_.status.code == Status.STATUS_CODE_UNSET
    assert attributes(span_) == {
        "client.address": "203.0.113.7",
        "gateway.component": "shop",
        "gateway.outcome": "ok",
        "gateway.request_id": REQUEST,
        "http.request.method": "POST",
        "http.response.status_code": 201,
        "http.route": "/api",
        "network.protocol.version": "1.1",
        "server.address": "gateway.test",
        "server.port": 8443,
        "url.path": "/api/items/7",
        "url.scheme": "https",
    }
    assert all(b"s3cret" not in body for body in collector.requests)


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        ("gateway.test", {"server.address": "gateway.test"}),
        ("[2001:db8::1]", {"server.address": "2001:db8::1"}),
        ("[2001:db8::1]:80", {"server.address": "2001:db8::1", "server.port": 80}),
        ("gateway.test:", {"server.address": "gateway.test"}),
        (None, {}),
    ],
)
def test_where_a_request_was_sent_is_told_as_far_as_it_says(
    collector: Collector, authority: str | None, expected: dict[str, object]
) -> None:
    with tracing() as tracer:
        origin = Origin(None, "http", authority)
        tracer.request(continued(), scope(), origin, REQUEST).end(status=200)
    told = attributes(collector.spans()[0])
    assert {key: value for key, value in told.items() if key.startswith("server.")} == expected
    assert "client.address" not in told


def test_methods_that_anyone_may_invent_are_in_no_name(collector: Collector) -> None:
    with tracing() as tracer:
        tracer.request(continued(), scope("BREW"), ORIGIN, REQUEST).end(status=501, route="/pot")
    [span] = collector.spans()
    assert span.name == "HTTP /pot"
    assert attributes(span)["http.request.method"] == "_OTHER"
    assert attributes(span)["http.request.method_original"] == "BREW"


def server(tracer: Tracer, **end: Any) -> None:
    """A request that came in."""
    tracer.request(continued(), scope(), ORIGIN, REQUEST).end(**end)


def client(tracer: Tracer, **end: Any) -> None:
    """A request that went out."""
    tracer.outbound(continued(), "GET", *PEER).end(**end)


def invocation(tracer: Tracer, **end: Any) -> None:
    """An invocation."""
    tracer.invocation(continued(), "shop", "run").end(**end)


@pytest.mark.parametrize(
    ("what", "end", "error"),
    [
        (server, {"status": 200}, None),
        (server, {"status": 404}, None),
        (server, {"status": 503}, "503"),
        (server, {"status": 200, "outcome": Outcome.TRAP}, "trap"),
        (server, {"status": 413, "outcome": Outcome.REJECTED}, None),
        (server, {"outcome": Outcome.CANCELLED}, None),
        (client, {"status": 302}, None),
        (client, {"status": 404}, "404"),
        (client, {"status": 502}, "502"),
        (client, {"status": 200, "error": "connection-terminated"}, "connection-terminated"),
        (invocation, {"outcome": Outcome.OK}, None),
        (invocation, {"outcome": Outcome.DEADLINE}, "deadline"),
        (invocation, {"outcome": Outcome.TRAP, "error": "unreachable"}, "unreachable"),
    ],
)
def test_what_went_wrong_is_told_by_whose_fault_it_is(
    collector: Collector,
    what: Callable[..., None],
    end: dict[str, Any],
    error: str | None,
) -> None:
    with tracing() as tracer:
        what(tracer, **end)
    [span] = collector.spans()
    assert attributes(span).get("error.type") == error
    assert span.status.code == (Status.STATUS_CODE_ERROR if error else Status.STATUS_CODE_UNSET)
    assert span.status.message == ""


def test_the_service_has_a_name(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    with tracing() as tracer:
        server(tracer, status=200)
    assert len(collector.spans()) == 1
    assert collector.resource["service.name"] == "component-gateway"
    assert collector.resource["service.version"]
    monkeypatch.setenv("OTEL_SERVICE_NAME", "edge")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    with tracing() as tracer:
        server(tracer, status=200)
    assert len(collector.spans()) == 2
    assert collector.resource["service.name"] == "edge"
    assert collector.resource["deployment.environment.name"] == "test"


# --- processes ---------------------------------------------------------------------------------------------


def work(name: str) -> None:
    """What a worker does."""
    with tracing() as tracer:
        tracer.invocation(continued(), name, "run").end(outcome=Outcome.OK)


def test_every_worker_tells_of_its_own(collector: Collector) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=(name,)) for name in ("first", "second")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)
    assert [worker.exitcode for worker in workers] == [0, 0]
    told = [attributes(span)["gateway.component"] for span in collector.spans()]
    assert sorted(told) == ["first", "second"]


def test_a_collector_that_is_silent_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        tracer = telemetry.start()
        assert tracer is not None
        server(tracer, status=200)
        with capture_logs() as lines:
            tracer.close(0.01)
    assert [line["event"] for line in lines] == ["spans lost"]
    for thread in threading.enumerate():
        if thread.name == "telemetry-flush":
            thread.join(PATIENCE)


# --- off, and not to be had --------------------------------------------------------------------------------


def test_the_sdk_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "True")
    assert telemetry.start() is None


def test_spans_can_be_made_without_being_exported(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    with tracing() as tracer:
        span = tracer.request(continued(), scope(), ORIGIN, REQUEST)
        span.end(status=200)
        assert span.trace.span_id != PARENT
    assert collector.requests == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
    ],
)
def test_ways_of_exporting_that_there_are_not_are_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(TelemetryError, match=f'^{variable} is "{value}": '):
        telemetry.start()


def test_the_protocol_of_spans_counts_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    telemetry.check()


def run(source: str) -> str:
    """What Python says to a source."""
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    return done.stdout.strip()


def test_the_rest_of_the_gateway_needs_no_opentelemetry() -> None:
    source = "import sys, gateway.serving.grants; print('opentelemetry' in sys.modules)"
    assert run(source) == "False"


@pytest.mark.parametrize("missing", ["opentelemetry", "opentelemetry.exporter"])
def test_without_the_extra_the_error_says_what_to_install(missing: str) -> None:
    source = f"""
import sys
sys.modules[{missing!r}] = None
from gateway.observe import telemetry
try:
    telemetry.start()
except telemetry.TelemetryError as error:
    print(error)
"""
    assert run(source) == (
        "tracing needs OpenTelemetry, which is not installed: pip install 'component-gateway[otel]', "
        "or set tracing = false"
    )
