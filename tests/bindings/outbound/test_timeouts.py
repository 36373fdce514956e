"""wasi:http/types, request-options: what each timeout covers, and the `error-code` when it has passed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

import pytest
import trustme

from gateway.host.values import Ok, Variant
from gateway.policy.egress import IPAddress
from tests.bindings.outbound.component import component
from tests.bindings.outbound.guest import CLOSED, http_guest, options, request
from tests.bindings.outbound.peer import RESPONSE, Wire, answers, peer, silent

pytestmark = pytest.mark.anyio

TINY = 1_000_000
"""A millisecond: passes for certain where the other side waits for ever."""

LONGEST = 2**64 - 1
"""The longest `duration`: 585 years."""

READ_TIMEOUT = Variant("connection-read-timeout")
HTTPS = Variant("HTTPS")


async def never(_name: str) -> Sequence[IPAddress]:
    """A name server that does not answer."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def test_a_name_that_is_not_found_in_time() -> None:
    async with (
        component(["http://name.test"], resolve=never) as client,
        http_guest(client) as guest,
    ):
        code = await guest.failure(request("name.test"), options(connect_timeout=TINY))
        assert code == Variant("DNS-timeout")


async def test_a_server_that_does_not_shake_hands_in_time() -> None:
    async with component() as client, peer(silent) as server, http_guest(client) as guest:
        made = request(server.authority, scheme=HTTPS)
        code = await guest.failure(made, options(connect_timeout=TINY))
        assert code == Variant("connection-timeout")
        await server.finished()


async def test_no_time_at_all_to_connect() -> None:
    async with component() as client, peer(silent) as server, http_guest(client) as guest:
        code = await guest.failure(request(server.authority), options(connect_timeout=0))
        assert code == Variant("connection-timeout")


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nx-a", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_response_that_does_not_begin_in_time(head: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(head)
        await wire.hung_up()

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        code = await guest.failure(request(server.authority), options(first_byte_timeout=TINY))
        assert code == READ_TIMEOUT
        await server.finished()


async def test_a_response_that_does_not_begin_while_its_request_is_not_read() -> None:
    """The first byte is waited for from the head of the request on, however long its body takes."""

    async def script(wire: Wire) -> None:
        await wire.head()
        await release.wait()

    release = asyncio.Event()
    async with component() as client, peer(script) as server, http_guest(client) as guest:
        made = await guest.own(request(server.authority, method="POST"))
        _, stream = await guest.open_body(made)
        future = await guest.begin(made, options(first_byte_timeout=TINY))
        while (written := await guest.write(stream, bytes(4096))) != CLOSED:
            assert written == Ok()
        assert (await guest.outcome(future)).value == READ_TIMEOUT
        release.set()


@pytest.mark.parametrize(
    "part",
    [
        b"content-length: 8\r\n\r\nhalf",
        b"transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nx-a: 1\r\n",
        b"\r\nhalf",
    ],
)
async def test_a_response_that_stalls_half_way(part: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\n" + part)
        await wire.hung_up()

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        made = request(server.authority)
        response = await guest.fetch(made, options(between_bytes_timeout=TINY))
        _, stream = await guest.consume(response)
        data, end = await guest.read_all(stream)
        assert data == b"half"
        assert await guest.code(end) == READ_TIMEOUT
        assert await guest.read(stream) == CLOSED
        await server.finished()


async def test_a_guest_that_takes_its_time_is_no_stalling_server() -> None:
    """Between the bytes that it has not asked for, no time passes."""
    content = bytes(4 << 20)

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(content) + content)

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        made = request(server.authority)
        response = await guest.fetch(made, options(between_bytes_timeout=1000 * TINY))
        _, stream = await guest.consume(response)
        # Time itself is what passes here; a longer time changes nothing. Less than a second is no time for a busy
        # machine.
        await asyncio.sleep(1.5)
        data, end = await guest.read_all(stream)
        assert (data == content, end) == (True, Variant("closed"))


async def test_timeouts_that_never_pass() -> None:
    longest = options(
        connect_timeout=LONGEST, first_byte_timeout=LONGEST, between_bytes_timeout=LONGEST
    )
    async with component() as client, peer(answers()) as server, http_guest(client) as guest:
        assert await guest.text(await guest.fetch(request(server.authority), longest)) == b"ok"


async def test_timeouts_that_never_pass_and_tls() -> None:
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(serving)
    async with (
        component(tls=trusting) as client,
        peer(answers(RESPONSE), serving) as server,
        http_guest(client) as guest,
    ):
        made = request(server.authority, scheme=HTTPS)
        assert await guest.text(await guest.fetch(made, options(connect_timeout=LONGEST))) == b"ok"
