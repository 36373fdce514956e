"""Connections that serve several requests of a component, and those that must not."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from gateway.bindings.http.outbound import pool
from gateway.host.values import Ok, Variant
from tests.bindings.outbound.component import component, until
from tests.bindings.outbound.guest import HttpGuest, http_guest, request
from tests.bindings.outbound.peer import RESPONSE, Peer, Wire, answers, peer
from tests.harness import PATIENCE

pytestmark = pytest.mark.anyio


async def get(guest: HttpGuest, server: Peer) -> bytes:
    return await guest.text(await guest.fetch(request(server.authority)))


async def test_one_after_the_other_they_share_a_connection() -> None:
    async with component() as client, peer(answers()) as server:
        async with http_guest(client) as guest:
            for _ in range(3):
                assert await get(guest, server) == b"ok"
        # So do the invocations of a component.
        async with http_guest(client) as guest:
            assert await get(guest, server) == b"ok"
        assert server.connections == 1


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        RESPONSE + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
    ],
    ids=["close", "HTTP/1.0", "contradictory framing", "more than was asked for"],
)
async def test_a_connection_that_is_not_used_again(response: bytes) -> None:
    async with (
        component() as client,
        peer(answers(response)) as server,
        http_guest(client) as guest,
    ):
        for _ in range(2):
            assert await get(guest, server) == b"ok"
        assert server.connections == 2


async def test_a_response_that_nobody_asked_for_is_not_the_next_one() -> None:
    """Sent while the connection was idle: it closes that, instead of being taken for an answer."""
    idle = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(RESPONSE)
        if server.connections == 1:
            await idle.wait()
            await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
            await wire.hung_up()

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        assert await get(guest, server) == b"ok"
        idle.set()
        await server.finished()
        assert await get(guest, server) == b"ok"
        assert server.connections == 2


async def test_an_idle_connection_that_the_server_closes_is_forgotten() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(RESPONSE)
        wire.close()
        await wire.hung_up()

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        assert await get(guest, server) == b"ok"
        await server.finished()
        assert not client.pool
        assert await get(guest, server) == b"ok"


@pytest.mark.parametrize(("method", "repeated"), [("GET", True), ("DELETE", True), ("POST", False)])
async def test_a_request_that_met_a_closing_connection(method: str, repeated: bool) -> None:
    """RFC 9112 section 9.3.1: sent again if that does no harm, and the server has not said a word."""
    heads = 0

    async def script(wire: Wire) -> None:
        nonlocal heads
        with suppress(asyncio.IncompleteReadError):
            await wire.head()
            await wire.send(RESPONSE)
            await wire.head()
            heads += 1
            if server.connections > 1:
                await wire.send(RESPONSE)

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        assert await get(guest, server) == b"ok"
        outcome = await guest.outcome(await guest.begin(request(server.authority, method=method)))
        if repeated:
            assert await guest.text(outcome.value) == b"ok"
        else:
            assert outcome.value == Variant("connection-terminated")
        assert server.connections == 1 + repeated
        assert heads == 1


async def test_a_request_that_has_half_an_answer_is_not_sent_again() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(RESPONSE)
        await wire.head()
        await wire.send(b"HTTP/1.1 200")

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        assert await get(guest, server) == b"ok"
        code = await guest.failure(request(server.authority))
        assert code == Variant("HTTP-response-incomplete")
        assert server.connections == 1


async def test_an_idle_connection_is_watched_also_after_a_response_that_had_to_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was paused while the guest read slowly; its end is noticed nevertheless."""
    monkeypatch.setattr(pool, "IDLE_TIME", 2 * PATIENCE)
    content = bytes(1 << 20)
    sent = asyncio.Event()
    done = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(content) + content)
        sent.set()
        await done.wait()

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        handle = await guest.fetch(request(server.authority))
        await sent.wait()
        assert await guest.text(handle) == content
        await until(lambda: client.pool)
        done.set()
        await until(lambda: not client.pool)


async def test_a_new_connection_that_closes_is_not_tried_again() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        code = await guest.failure(request(server.authority))
        assert code == Variant("connection-terminated")
        assert server.connections == 1


async def test_a_request_whose_body_outlives_the_response_keeps_its_connection() -> None:
    responded = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(RESPONSE)
        await responded.wait()
        content = [chunk async for chunk in wire.chunks()]
        assert b"".join(content) == b"late"
        await wire.trailers()
        await answers()(wire)

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        made = await guest.own(request(server.authority, method="POST"))
        body, stream = await guest.open_body(made)
        response = await guest.fetch(made)
        assert await guest.text(response) == b"ok"
        responded.set()
        assert await guest.write(stream, b"late") == Ok()
        assert await guest.finish(body, stream) == Ok()
        await until(lambda: client.pool)
        assert await get(guest, server) == b"ok"
        assert server.connections == 1


async def test_idle_connections_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MAX_IDLE", 2)
    async with (
        component() as client,
        peer(answers()) as first,
        peer(answers()) as second,
        peer(answers()) as third,
        http_guest(client) as guest,
    ):
        for server in (first, second, third):
            assert await get(guest, server) == b"ok"
        assert len(client.pool) == 2
        await first.finished()


async def test_idle_connections_are_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "IDLE_TIME", 0.001)
    async with component() as client, peer(answers()) as server, http_guest(client) as guest:
        assert await get(guest, server) == b"ok"
        await server.finished()
        assert not client.pool
