"""What ends an outbound request early: its peer sees the connection close, and nothing of it is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from gateway.bindings.context import Caller
from gateway.bindings.http.fields import Fields
from gateway.bindings.http.outbound import Timeouts, outbound_request
from gateway.host.errors import Trap
from gateway.host.values import Ok, Variant
from gateway.policy.egress import IPAddress
from tests.bindings.outbound.component import component, until
from tests.bindings.outbound.guest import CLOSED, HttpGuest, http_guest, request
from tests.bindings.outbound.peer import Peer, Wire, answers, peer, silent

pytestmark = pytest.mark.anyio


async def half(wire: Wire) -> None:
    """A script that begins a response, and says no more."""
    await wire.head()
    await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf")
    await wire.hung_up()


class Waiting:
    """A script that never answers.

    Attributes:
        arrived: whether a request is there.
    """

    def __init__(self) -> None:
        self.arrived = asyncio.Event()

    async def __call__(self, wire: Wire) -> None:
        await wire.head()
        self.arrived.set()
        await wire.hung_up()


@asynccontextmanager
async def waiting() -> AsyncIterator[tuple[Peer, Waiting]]:
    """A peer that never answers, and its script."""
    script = Waiting()
    async with peer(script) as server:
        yield server, script


async def begun(guest: HttpGuest, server: Peer, script: Waiting) -> int:
    """The future of a request that has arrived."""
    future = await guest.begin(request(server.authority))
    await script.arrived.wait()
    return future


# --- handles that are dropped ------------------------------------------------------------------------------


async def test_a_future_dropped_before_it_is_ready() -> None:
    async with component() as client, waiting() as (server, script), http_guest(client) as guest:
        future = await begun(guest, server, script)
        await guest.call("drop future-incoming-response", future)
        await server.finished()
        assert not client.exchanges


async def test_a_future_dropped_at_once() -> None:
    async with component() as client, peer(silent) as server, http_guest(client) as guest:
        future = await guest.begin(request(server.authority))
        await guest.call("drop future-incoming-response", future)
        await until(lambda: not client.exchanges)
        await server.finished()


async def test_a_future_dropped_while_the_name_is_looked_up() -> None:
    looked_up = asyncio.Event()
    cancelled = asyncio.Event()

    async def resolve(_name: str) -> Sequence[IPAddress]:
        looked_up.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError("unreachable")

    async with (
        component(["http://name.test"], resolve=resolve) as client,
        http_guest(client) as guest,
    ):
        future = await guest.begin(request("name.test"))
        await looked_up.wait()
        await guest.call("drop future-incoming-response", future)
        await cancelled.wait()


async def test_a_future_dropped_with_a_response_that_was_not_taken() -> None:
    async with component() as client, peer(half) as server, http_guest(client) as guest:
        future = await guest.begin(request(server.authority))
        await guest.block("types#future-incoming-response.subscribe", future)
        await guest.call("drop future-incoming-response", future)
        await server.finished()


async def test_a_response_dropped_before_it_is_consumed() -> None:
    async with component() as client, peer(half) as server, http_guest(client) as guest:
        response = await guest.fetch(request(server.authority))
        await guest.call("drop incoming-response", response)
        await server.finished()


async def test_a_body_dropped_before_its_end() -> None:
    async with component() as client, peer(half) as server, http_guest(client) as guest:
        response = await guest.fetch(request(server.authority))
        body, stream = await guest.consume(response)
        # The response is not the body: it may go.
        await guest.call("drop incoming-response", response)
        assert await guest.read(stream) == Ok(b"half")
        await guest.driven.call("streams#drop input-stream", stream)
        await guest.call("drop incoming-body", body)
        await server.finished()


async def test_trailers_dropped_before_they_are_there() -> None:
    async with component() as client, peer(half) as server, http_guest(client) as guest:
        response = await guest.fetch(request(server.authority))
        body = (await guest.call("incoming-response.consume", response)).value
        trailers = await guest.call("incoming-body.finish", body)
        await guest.call("drop future-trailers", trailers)
        await server.finished()


async def test_what_is_dropped_closes_the_body_of_the_request() -> None:
    async with component() as client, waiting() as (server, script), http_guest(client) as guest:
        made = await guest.own(request(server.authority, method="POST"))
        body, stream = await guest.open_body(made)
        future = await guest.begin(made)
        await script.arrived.wait()
        await guest.call("drop future-incoming-response", future)
        await server.finished()
        assert await guest.write(stream, b"content") == CLOSED
        await guest.driven.call("streams#drop output-stream", stream)
        await guest.call("drop outgoing-body", body)


async def test_handles_of_what_has_ended_may_be_dropped() -> None:
    async with component() as client, peer(answers()) as server, http_guest(client) as guest:
        future = await guest.begin(request(server.authority))
        response = (await guest.outcome(future)).value
        body, stream = await guest.consume(response)
        assert await guest.read_all(stream) == (b"ok", Variant("closed"))
        await guest.driven.call("streams#drop input-stream", stream)
        trailers = await guest.call("incoming-body.finish", body)
        await guest.block("types#future-trailers.subscribe", trailers)
        await guest.call("drop future-trailers", trailers)
        await guest.call("drop incoming-response", response)
        await guest.call("drop future-incoming-response", future)
        # It had been complete: its connection serves another.
        assert await guest.text(await guest.fetch(request(server.authority))) == b"ok"
        assert server.connections == 1


# --- the end of an invocation ------------------------------------------------------------------------------


async def test_a_guest_that_returns_with_a_request_under_way() -> None:
    async with component() as client, waiting() as (server, script):
        async with http_guest(client) as guest:
            await begun(guest, server, script)
        await server.finished()


async def test_a_guest_that_returns_with_half_a_response() -> None:
    async with component() as client, peer(half) as server:
        async with http_guest(client) as guest:
            _, stream = await guest.consume(await guest.fetch(request(server.authority)))
            assert await guest.read(stream) == Ok(b"half")
        await server.finished()


async def test_a_guest_that_returns_while_its_request_is_sent() -> None:
    """The peer reads nothing: much is still to be sent, and never will be."""

    async def script(wire: Wire) -> None:
        await wire.head()
        await left.wait()
        await wire.hung_up()

    left = asyncio.Event()
    async with component() as client, peer(script) as server:
        async with http_guest(client) as guest:
            made = await guest.own(request(server.authority, method="POST"))
            body, stream = await guest.open_body(made)
            await guest.begin(made)
            for _ in range(64):
                assert await guest.write(stream, bytes(4096)) == Ok()
            assert await guest.finish(body, stream) == Ok()
        left.set()
        await server.finished()


async def test_a_guest_that_traps() -> None:
    async with component() as client, waiting() as (server, script):
        async with http_guest(client) as guest:
            await begun(guest, server, script)
            with pytest.raises(Trap):
                await guest.driven.call("poll#poll", [])
        await server.finished()


async def test_a_guest_that_is_cancelled_while_it_waits_for_a_response() -> None:
    async with component() as client, waiting() as (server, script):
        async with http_guest(client) as guest:
            future = await begun(guest, server, script)
            blocked = asyncio.create_task(guest.outcome(future))
            await asyncio.sleep(0)
            await guest.driven.abort()
            blocked.cancel()
            await asyncio.wait((blocked,))
        await server.finished()


async def test_an_invocation_that_is_closed_ends_what_no_handle_leads_to() -> None:
    """Such as a response whose handle did not fit into the guest's table any more."""
    async with component() as client, waiting() as (server, script):
        requests = client.invocation(Caller(client.component, "request-1"))
        requests.send(
            outbound_request(
                method="GET",
                scheme="http",
                authority=server.authority,
                path_with_query="/",
                headers=Fields(),
                content=None,
                timeouts=Timeouts(),
            )
        )
        await script.arrived.wait()
        requests.close()
        await server.finished()


async def test_a_client_that_is_closed_ends_all_requests() -> None:
    async with component() as client, waiting() as (server, script), http_guest(client) as guest:
        future = await begun(guest, server, script)
        await client.aclose()
        assert (await guest.outcome(future)).value == Variant("connection-terminated")
        await server.finished()


async def test_a_client_that_is_closed_cuts_responses_off() -> None:
    async with component() as client, peer(half) as server, http_guest(client) as guest:
        _, stream = await guest.consume(await guest.fetch(request(server.authority)))
        assert await guest.read(stream) == Ok(b"half")
        await client.aclose()
        result = await guest.read(stream)
        assert await guest.code(result.value) == Variant("connection-terminated")
        await server.finished()
