"""Several outbound requests at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from gateway.bindings.http.outbound.client import MAX_OUTSTANDING
from gateway.host.values import Err, Ok, Variant
from tests.bindings.outbound.component import component
from tests.bindings.outbound.guest import http_guest, request
from tests.bindings.outbound.peer import Wire, answers, peer

pytestmark = pytest.mark.anyio


async def test_many_requests_are_under_way_at_once() -> None:
    """The peer answers none of them before all have arrived."""
    arrived = asyncio.Barrier(MAX_OUTSTANDING)

    async def script(wire: Wire) -> None:
        target = (await wire.head()).split()[1]
        await arrived.wait()
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(target) + target)

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        paths = [f"/{number}" for number in range(MAX_OUTSTANDING)]
        futures = [await guest.begin(request(server.authority, path)) for path in paths]
        for path, future in zip(paths, futures, strict=True):
            response = (await guest.outcome(future)).value
            assert await guest.text(response) == path.encode()


async def test_an_invocation_has_so_many_and_no_more() -> None:
    async def script(wire: Wire) -> None:
        with suppress(asyncio.IncompleteReadError):  # of those that the guest leaves
            while await wire.head():
                await release.wait()
                await wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    release = asyncio.Event()
    async with (
        component() as client,
        peer(script) as server,
        http_guest(client) as guest,
    ):
        made = [request(server.authority) for _ in range(MAX_OUTSTANDING)]
        futures = [await guest.begin(each) for each in made]
        refused = await guest.handle(request(server.authority))
        assert refused == Err(Variant("connection-limit-reached"))
        # Another invocation has its own.
        async with http_guest(client) as other:
            await other.begin(request(server.authority))
        release.set()
        response = (await guest.outcome(futures[0])).value
        assert await guest.text(response) == b""
        # One that has ended makes room.
        assert await guest.status(await guest.fetch(request(server.authority))) == 204


async def test_a_slow_server_does_not_hold_up_another() -> None:
    async with (
        component() as client,
        peer(_hung) as slow,
        peer(answers()) as quick,
        http_guest(client) as guest,
    ):
        await guest.begin(request(slow.authority))
        assert await guest.text(await guest.fetch(request(quick.authority))) == b"ok"


async def _hung(wire: Wire) -> None:
    await wire.hung_up()


async def test_a_component_without_a_file_descriptor_left_is_told_so() -> None:
    async def script(wire: Wire) -> None:
        with suppress(asyncio.IncompleteReadError):
            while await wire.head():
                await release.wait()
                await wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    release = asyncio.Event()
    async with (
        component(places=2) as client,
        peer(script) as server,
        http_guest(client) as guest,
    ):
        futures = [await guest.begin(request(server.authority)) for _ in range(3)]
        limit = Err(Variant("connection-limit-reached"))
        assert await guest.outcome(futures[2]) == limit
        release.set()
        for future in futures[:2]:
            assert isinstance(await guest.outcome(future), Ok)


async def test_an_idle_connection_makes_room_for_another() -> None:
    async with (
        component(places=1) as client,
        peer(answers()) as first,
        peer(answers()) as second,
        http_guest(client) as guest,
    ):
        for server in (first, second, second, first):
            response = await guest.fetch(request(server.authority))
            assert await guest.text(response) == b"ok"
        assert (first.connections, second.connections) == (2, 1)
