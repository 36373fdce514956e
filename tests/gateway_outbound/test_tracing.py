"""A trace through a whole gateway: from the client, through the component, to the server that it asks."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.bindings.outbound.peer import Wire
from tests.gateway_outbound.peers import StartPeer
from tests.harness import GuestPath, StartGateway
from tests.observe.test_telemetry import Collector, attributes, collecting
from tests.routes.wire import Client

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    with collecting() as found:
        yield found


def test_a_trace_goes_through_the_gateway(
    gateway: StartGateway,
    guest: GuestPath,
    start_peer: StartPeer,
    collector: tuple[Collector, str],
) -> None:
    heads: list[bytes] = []

    async def script(wire: Wire) -> None:
        heads.append(await wire.head())
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    peer = start_peer(script)
    collected, url = collector
    running = gateway(
        guest("js/echo"),
        *("--tracing", "--allow-outbound-host", "http://127.0.0.1:*"),
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": url},
    )
    with Client(running.port) as client:
        target = f"/get?{urlencode({'url': f'http://{peer.authority}/secret?token=1'})}"
        response = client.get(target, f"traceparent: 00-{TRACE}-{PARENT}-01")
    assert response.status == 200
    logged = running.wait_for_log(event="request", request_id=response["x-request-id"])
    assert logged["trace_id"] == TRACE
    assert running.stop() == 0  # hands over what it has

    outbound, invocation, request = collected.spans()
    assert {span.trace_id.hex() for span in (outbound, invocation, request)} == {TRACE}
    assert request.parent_span_id.hex() == PARENT
    assert invocation.parent_span_id == request.span_id
    assert outbound.parent_span_id == invocation.span_id
    assert f"traceparent: 00-{TRACE}-{outbound.span_id.hex()}-01".encode() in heads[0].lower()
    assert attributes(request)["http.response.status_code"] == 200
    for span in (outbound, invocation, request):
        assert "token" not in str(attributes(span))
