"""wasi:http/outgoing-handler: peers that misbehave, and the `error-code` that tells how."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from gateway.host.values import Err, Ok, Variant
from tests.bindings.outbound.component import component
from tests.bindings.outbound.guest import CLOSED, http_guest, request
from tests.bindings.outbound.peer import Wire, peer

pytestmark = pytest.mark.anyio


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections: taken, but nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def test_a_server_that_refuses(closed_port: int) -> None:
    async with component() as client, http_guest(client) as guest:
        code = await guest.failure(request(f"127.0.0.1:{closed_port}"))
        assert code == Variant("connection-refused")


# --- no response -------------------------------------------------------------------------------------------

TOO_LONG = b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * (200 << 10)

NO_RESPONSE = {
    "closed without a word": (b"", Variant("connection-terminated")),
    "closed in the head": (b"HTTP/1.1 200 OK\r\nx-a: 1\r\n", Variant("HTTP-response-incomplete")),
    "closed after an informational response": (
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        Variant("HTTP-response-incomplete"),
    ),
    "not HTTP": (b"220 mail.example.com ESMTP\r\n\r\n", Variant("HTTP-protocol-error")),
    "not HTTP, and not text": (
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\r\n\r\n",
        Variant("HTTP-protocol-error"),
    ),
    "a status of two digits": (b"HTTP/1.1 20 OK\r\n\r\n", Variant("HTTP-protocol-error")),
    "a status that is no number": (b"HTTP/1.1 OK\r\n\r\n", Variant("HTTP-protocol-error")),
    "another HTTP": (b"HTTP/2.0 200 OK\r\n\r\n", Variant("HTTP-protocol-error")),
    "a version that there is not": (b"HTTP/12.9 200 OK\r\n\r\n", Variant("HTTP-protocol-error")),
    "a header without a colon": (
        b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
        Variant("HTTP-protocol-error"),
    ),
    "a header with NUL": (b"HTTP/1.1 200 OK\r\nx: \0\r\n\r\n", Variant("HTTP-protocol-error")),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        Variant("HTTP-protocol-error"),
    ),
    "a negative length": (
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        Variant("HTTP-protocol-error"),
    ),
    "an upgrade that nobody asked for": (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        Variant("HTTP-protocol-error"),
    ),
    "an unknown transfer coding": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        Variant("HTTP-response-transfer-coding"),
    ),
    "a head without end": (TOO_LONG, Variant("HTTP-response-header-section-size")),
}


@pytest.mark.parametrize("name", NO_RESPONSE)
async def test_no_response(name: str) -> None:
    """wasi:http/outgoing-handler: the error in the future."""
    sent, code = NO_RESPONSE[name]

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(sent)
        if not name.startswith("closed"):
            await wire.hung_up()

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        assert await guest.failure(request(server.authority)) == code
        await server.finished()


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n"])
async def test_a_reset_before_the_response(sent: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(sent)
        wire.reset()

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        code = await guest.failure(request(server.authority))
        assert code == Variant("connection-terminated")


# --- half a response ---------------------------------------------------------------------------------------

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"
LONG = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf"

HALF = {
    "closed": (LONG, Variant("HTTP-response-incomplete")),
    "closed between chunks": (CHUNKED, Variant("HTTP-response-incomplete")),
    "closed in a chunk": (CHUNKED[:-2], Variant("HTTP-response-incomplete")),
    "closed in the trailers": (CHUNKED + b"0\r\nx-a: 1\r\n", Variant("HTTP-response-incomplete")),
    "a chunk size that is no number": (CHUNKED + b"zz\r\n", Variant("HTTP-protocol-error")),
    "a chunk that is too long": (CHUNKED + b"1\r\nxxxx\r\n", Variant("HTTP-protocol-error")),
    "trailers that are none": (CHUNKED + b"0\r\nnonsense\r\n\r\n", Variant("HTTP-protocol-error")),
    "trailers without end": (
        CHUNKED + b"0\r\nx-long: " + b"x" * (200 << 10),
        Variant("HTTP-response-trailer-section-size"),
    ),
}


@pytest.mark.parametrize("name", HALF)
async def test_half_a_response(name: str) -> None:
    """wasi:http/types, incoming-body: what was there, then the failure with its `error-code`, then the end."""
    sent, code = HALF[name]

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(sent)
        if not name.startswith("closed"):
            await wire.hung_up()

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        body, stream = await guest.consume(await guest.fetch(request(server.authority)))
        data, end = await guest.read_all(stream)
        assert data.startswith(b"half")
        assert await guest.code(end) == code
        assert await guest.read(stream) == CLOSED
        await guest.driven.call("streams#drop input-stream", stream)
        # The failure was told; what WIT gives a body that ended badly is no trailers.
        assert await guest.trailers(body) == Ok(None)
        await server.finished()


async def test_a_reset_half_way() -> None:
    gone = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(LONG)
        await gone.wait()
        wire.reset()

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        _, stream = await guest.consume(await guest.fetch(request(server.authority)))
        assert await guest.read(stream) == Ok(b"half")
        gone.set()
        result = await guest.read(stream)
        assert await guest.code(result.value) == Variant("connection-terminated")


async def test_trailers_of_a_response_that_broke_off() -> None:
    """wasi:http/types, future-trailers: the failure, where no read has told it."""

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(LONG)

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        body, stream = await guest.consume(await guest.fetch(request(server.authority)))
        await guest.driven.call("streams#drop input-stream", stream)
        assert await guest.trailers(body) == Err(Variant("HTTP-response-incomplete"))


# --- too much ----------------------------------------------------------------------------------------------

MUCH = 64 << 20
"""More bytes than the buffers of the kernel hold, and 4 MiB that the guest reads."""


async def test_a_response_that_is_longer_than_announced_is_cut_and_its_connection_closed() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ncontent")
        await wire.hung_up()

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        for _ in range(2):
            assert await guest.text(await guest.fetch(request(server.authority))) == b"cont"
        await server.finished()
    assert server.connections == 2


@pytest.mark.parametrize("framing", [b"transfer-encoding: chunked\r\n", b""])
async def test_a_response_without_end_waits_for_the_guest_and_ends_with_it(framing: bytes) -> None:
    """wasi:http/types, incoming-body: what the guest does not read is not received; dropped, it is cut off."""
    chunk = b"10000\r\n" + bytes(65536) + b"\r\n" if framing else bytes(65536)
    sent = 0

    async def script(wire: Wire) -> None:
        nonlocal sent
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
        with suppress(ConnectionError):
            while True:
                await wire.send(chunk)
                sent += len(chunk)

    async def stuck() -> bool:
        """Whether the peer can send no more."""
        before, turns = sent, 0
        while turns < 1000 and sent < MUCH:
            await asyncio.sleep(0)
            before, turns = sent, turns + 1 if sent == before else 0
        return turns == 1000

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        body, stream = await guest.consume(await guest.fetch(request(server.authority)))
        assert await stuck()
        for _ in range(64):
            assert (await guest.read(stream)).value
        assert await stuck()
        await guest.driven.call("streams#drop input-stream", stream)
        await guest.call("drop incoming-body", body)
        await server.finished()


# --- while the guest still sends ---------------------------------------------------------------------------


async def test_a_server_that_answers_before_it_has_read_all() -> None:
    """It says that it will close: what the guest still writes is for nobody."""
    closed = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(
            b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno"
        )
        await closed.wait()

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        made = await guest.own(request(server.authority, method="POST"))
        _, stream = await guest.open_body(made)
        future = await guest.begin(made)
        assert await guest.write(stream, b"content") == Ok()
        response = (await guest.outcome(future)).value
        assert await guest.status(response) == 413
        assert await guest.text(response) == b"no"
        while (written := await guest.write(stream, b"more")) != CLOSED:
            assert written == Ok()
        closed.set()


async def test_a_server_that_goes_away_while_it_is_written_to() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.reset()

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        made = await guest.own(request(server.authority, method="POST"))
        _, stream = await guest.open_body(made)
        future = await guest.begin(made)
        while (written := await guest.write(stream, bytes(4096))) != CLOSED:
            assert written == Ok()
        assert await guest.outcome(future) == Err(Variant("connection-terminated"))
