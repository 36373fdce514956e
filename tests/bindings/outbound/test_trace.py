"""Outbound requests as part of a trace: what their servers see of it, and what is told of how they ended."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from gateway.bindings.http.outbound import ExchangeOutcome
from gateway.host.values import Variant
from gateway.http.trace_context import TraceContext, incoming
from tests.bindings.outbound.component import component, until
from tests.bindings.outbound.guest import http_guest, request
from tests.bindings.outbound.peer import RESPONSE, Script, Wire, answers, peer, silent

pytestmark = pytest.mark.anyio

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
OTHER = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"

CONTINUED = incoming(
    {b"traceparent": [TRACEPARENT.encode()], b"tracestate": [b"rojo=1, congo=2"]}, "request-1"
)


async def seen(
    trace: TraceContext | None, headers: Sequence[tuple[str, bytes]] = (), *, requests: int = 1
) -> list[list[bytes]]:
    """The headers of so many requests of one invocation, but for `host`, as their server sees them."""
    heads: list[bytes] = []

    async def script(wire: Wire) -> None:
        while len(heads) < requests:
            heads.append(await wire.head())
            await wire.send(RESPONSE)

    async with component() as client, peer(script) as server, http_guest(client, trace) as guest:
        for _ in range(requests):
            response = await guest.fetch(request(server.authority, headers=headers))
            assert await guest.text(response) == b"ok"
    return [head.split(b"\r\n")[2:-2] for head in heads]


async def test_the_trace_of_the_request_that_came_in_is_passed_on() -> None:
    [headers] = await seen(CONTINUED, [("x-first", b"1")])
    assert headers == [
        b"x-first: 1",
        b"traceparent: " + TRACEPARENT.encode(),
        b"tracestate: rojo=1,congo=2",
    ]


async def test_a_trace_that_begins_here_has_one_parent_for_all_requests() -> None:
    trace = incoming({}, TRACE)
    first, second = await seen(trace, requests=2)
    assert first == second == [b"traceparent: " + trace.traceparent.encode()]
    assert trace.trace_id == TRACE


async def test_without_a_trace_nothing_is_said() -> None:
    assert await seen(None) == [[]]


async def test_what_the_guest_says_of_its_trace_counts() -> None:
    [headers] = await seen(CONTINUED, [("Traceparent", OTHER)])
    assert headers == [b"traceparent: " + OTHER]


async def test_a_state_of_the_guest_is_not_doubled() -> None:
    [headers] = await seen(CONTINUED, [("tracestate", b"mine=1")])
    assert headers == [b"tracestate: mine=1", b"traceparent: " + TRACEPARENT.encode()]


async def test_lines_of_the_log_name_the_trace() -> None:
    with capture_logs() as lines:
        async with component([]) as client, http_guest(client, CONTINUED) as guest:
            await guest.failure(request("name.test"))
        async with component([]) as client, http_guest(client) as guest:
            await guest.failure(request("name.test"))
    assert [line["event"] for line in lines] == ["outbound request refused"] * 2
    assert [line.get("trace_id") for line in lines] == [TRACE, None]


# --- how they ended ----------------------------------------------------------------------------------------


async def outcome(script: Script, *, allowed: str = "http://127.0.0.1:*") -> list[ExchangeOutcome]:
    """What is told of a request whose guest reads all that it can get."""
    told: list[ExchangeOutcome] = []
    async with component([allowed], on_request=told.append) as client, peer(script) as server:
        async with http_guest(client) as guest:
            handled = await guest.handle(request(server.authority))
            if isinstance(handled.value, int):
                got = await guest.outcome(handled.value)
                if isinstance(got.value, int):
                    _, stream = await guest.consume(got.value)
                    await guest.read_all(stream)
        await until(lambda: told)
    return told


async def test_a_response_is_told() -> None:
    assert await outcome(answers()) == ["response"]


async def test_a_response_that_breaks_off_is_a_failure() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(RESPONSE[:-1])

    assert await outcome(script) == ["failed"]


async def test_no_response_is_a_failure() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()

    assert await outcome(script) == ["failed"]


async def test_a_refusal_by_the_policy_is_told() -> None:
    assert await outcome(answers(), allowed="http://name.test") == ["refused"]


async def test_a_name_whose_addresses_are_refused_is_told() -> None:
    told: list[ExchangeOutcome] = []
    async with (
        component(["http://*:*"], on_request=told.append) as client,
        http_guest(client) as guest,
    ):
        code = await guest.failure(request("localhost"))
        assert code == Variant("HTTP-request-denied")
        await until(lambda: told)
    assert told == ["refused"]


async def test_what_the_guest_gives_up_before_a_response_is_cancelled() -> None:
    told: list[ExchangeOutcome] = []
    async with component(on_request=told.append) as client, peer(silent) as server:
        async with http_guest(client) as guest:
            future = await guest.begin(request(server.authority))
            await until(lambda: server.connections == 1)
            assert told == []
            await guest.call("drop future-incoming-response", future)
            await until(lambda: told)
        async with http_guest(client) as guest:
            await guest.begin(request(server.authority))
            await until(lambda: server.connections == 2)
        await until(lambda: len(told) == 2)
    assert told == ["cancelled", "cancelled"]


async def test_a_response_that_the_guest_wants_no_more_of_was_one() -> None:
    told: list[ExchangeOutcome] = []

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(RESPONSE[:-1])
        await wire.hung_up()

    async with component(on_request=told.append) as client, peer(script) as server:
        async with http_guest(client) as guest:
            response = await guest.fetch(request(server.authority))
            await guest.call("drop incoming-response", response)
        await until(lambda: told)
    assert told == ["response"]
