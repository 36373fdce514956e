"""wasi:sockets, TCP: the streams of a connection."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.bindings.sockets.tcp_streams import PERMIT
from gateway.host.errors import Trap
from gateway.host.values import Err, Ok
from tests.bindings.sockets.guest import (
    ALL_LOOPBACK,
    BLOCK,
    BLOCKING_READ,
    BLOCKING_WRITE,
    CHECK_WRITE,
    CLOSED,
    FLUSH,
    READ,
    READY,
    WRITE,
    Connection,
    SocketsGuest,
    fill,
    networked,
)
from tests.bindings.sockets.peer import Peer, listening
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio

SUBSCRIBE_INPUT = "streams#input-stream.subscribe"
SUBSCRIBE_OUTPUT = "streams#output-stream.subscribe"


@asynccontextmanager
async def connected(
    family: str = "ipv4", *, small: bool = False
) -> AsyncIterator[tuple[SocketsGuest, Connection, Peer]]:
    """A guest and its peer. With `small`, the system takes little that the other side has not received."""
    with listening(family, small=small) as listener:
        async with networked(*ALL_LOOPBACK) as guest:
            connection = await guest.connect(listener.address)
            peer = await listener.accept()
            if small:
                assert await guest.tcp("set-send-buffer-size", connection.socket, 1) == Ok()
            try:
                yield guest, connection, peer
            finally:
                peer.close()


# --- reading -----------------------------------------------------------------------------------------------


async def test_nothing_is_read_before_something_has_arrived(family: str) -> None:
    async with connected(family) as (guest, connection, peer):
        pollable = await guest.call(SUBSCRIBE_INPUT, connection.input)
        assert not await guest.call(READY, pollable)
        assert await guest.call(READ, connection.input, 10) == Ok(b"")
        await peer.send(b"hello")
        await guest.call(BLOCK, pollable)
        assert await guest.call(READ, connection.input, 0) == Ok(b"")
        assert await guest.call(READ, connection.input, 2) == Ok(b"he")
        assert await guest.call(READ, connection.input, 2**64 - 1) == Ok(b"llo")


async def test_a_guest_that_waits_to_read_is_woken() -> None:
    async with connected() as (guest, connection, peer):
        reading = asyncio.create_task(guest.call(BLOCKING_READ, connection.input, 10))
        await peer.send(b"here")
        assert await asyncio.wait_for(reading, PATIENCE) == Ok(b"here")


async def test_the_input_is_closed_by_the_peer_after_all_that_it_has_sent(family: str) -> None:
    async with connected(family) as (guest, connection, peer):
        await peer.send(b"last words")
        peer.close()
        assert await guest.read_all(connection.input) == b"last words"
        assert await guest.call(READ, connection.input, 10) == CLOSED
        assert await guest.call(READ, connection.input, 0) == CLOSED
        pollable = await guest.call(SUBSCRIBE_INPUT, connection.input)
        assert await guest.call(READY, pollable)


async def test_the_input_is_closed_by_shutdown_even_if_something_has_arrived(family: str) -> None:
    async with connected(family) as (guest, connection, peer):
        await peer.send(b"Lorem ipsum dolor sit amet")
        await guest.block("streams#input-stream", connection.input)
        assert await guest.tcp("shutdown", connection.socket, "receive") == Ok()
        assert await guest.call(READ, connection.input, 10) == CLOSED
        assert await guest.call(READ, connection.input, 0) == CLOSED
        assert await guest.call(BLOCKING_WRITE, connection.output, b"still here") == Ok()
        assert await peer.receive() == b"still here"


async def test_a_reset_fails_the_input_once_with_its_code_and_then_it_is_closed() -> None:
    async with connected() as (guest, connection, peer):
        peer.reset()
        await guest.block("streams#input-stream", connection.input)
        failed = await guest.call(READ, connection.input, 10)
        assert failed.value.case == "last-operation-failed"
        error = failed.value.payload
        assert await guest.call("network#network-error-code", error) == "connection-reset"
        assert await guest.call("error#error.to-debug-string", error)
        assert await guest.call(READ, connection.input, 10) == CLOSED


# --- writing -----------------------------------------------------------------------------------------------


async def test_what_is_written_gets_there(family: str) -> None:
    async with connected(family) as (guest, connection, peer):
        assert await guest.call(CHECK_WRITE, connection.output) == Ok(PERMIT)
        assert await guest.call(WRITE, connection.output, b"hello") == Ok()
        assert await peer.receive() == b"hello"
        assert await guest.call(BLOCKING_WRITE, connection.output, b"and more") == Ok()
        assert await peer.receive() == b"and more"


async def test_a_write_beyond_the_permit_traps() -> None:
    async with connected() as (guest, connection, _peer):
        permit = (await guest.call(CHECK_WRITE, connection.output)).value
        with pytest.raises(Trap, match="permitted"):
            await guest.call(WRITE, connection.output, bytes(permit + 1))


async def test_a_permit_is_spent_with_one_write() -> None:
    async with connected() as (guest, connection, _peer):
        await guest.call(CHECK_WRITE, connection.output)
        assert await guest.call(WRITE, connection.output, b"x") == Ok()
        with pytest.raises(Trap, match="permitted"):
            await guest.call(WRITE, connection.output, b"x")


async def test_checking_spends_nothing() -> None:
    async with connected() as (guest, connection, _peer):
        for _ in range(1000):
            assert await guest.call(CHECK_WRITE, connection.output) == Ok(PERMIT)


async def test_many_small_writes_all_get_there() -> None:
    async with connected() as (guest, connection, peer):
        for _ in range(300):
            assert await guest.call(CHECK_WRITE, connection.output) == Ok(PERMIT)
            assert await guest.call(WRITE, connection.output, b"x") == Ok()
        assert await guest.tcp("shutdown", connection.socket, "send") == Ok()
        assert await peer.receive_all() == b"x" * 300


async def test_a_peer_that_does_not_read_holds_the_guest_up(
    family: str,
) -> None:
    async with connected(family, small=True) as (guest, connection, peer):
        written = await fill(guest, connection.output)
        pollable = await guest.call(SUBSCRIBE_OUTPUT, connection.output)
        assert not await guest.call(READY, pollable)
        assert await guest.call(FLUSH, connection.output) == Ok()
        assert await guest.call(CHECK_WRITE, connection.output) == Ok(0)
        await guest.block("tcp#tcp-socket", connection.socket)
        waiting = asyncio.create_task(guest.call(BLOCK, pollable))
        received = bytearray()
        while len(received) < len(written):
            received += await peer.receive()
        await asyncio.wait_for(waiting, PATIENCE)
        assert received == written
        assert await guest.call(CHECK_WRITE, connection.output) == Ok(PERMIT)


async def test_a_write_that_waits_here_is_sent_although_the_guest_has_dropped_the_stream() -> None:
    async with connected(small=True) as (guest, connection, peer):
        written = await fill(guest, connection.output)
        assert await guest.call(WRITE, connection.output, b"") == Ok()
        await guest.call("streams#drop output-stream", connection.output)
        received = bytearray()
        while len(received) < len(written):
            received += await peer.receive()
        assert received == written


async def test_the_output_is_closed_by_shutdown(family: str) -> None:
    async with connected(family) as (guest, connection, peer):
        await guest.call(CHECK_WRITE, connection.output)
        assert await guest.tcp("shutdown", connection.socket, "send") == Ok()
        assert await guest.call(WRITE, connection.output, b"Hi!") == CLOSED
        assert await guest.call(CHECK_WRITE, connection.output) == CLOSED
        assert await guest.call(FLUSH, connection.output) == CLOSED
        assert await peer.receive() == b""
        await peer.send(b"but I am not done")
        peer.finish()
        assert await guest.read_all(connection.input) == b"but I am not done"


async def test_shutdown_loses_nothing_that_was_written_before(family: str) -> None:
    async with connected(family, small=True) as (guest, connection, peer):
        written = await fill(guest, connection.output)
        assert await guest.tcp("shutdown", connection.socket, "send") == Ok()
        assert await guest.call(CHECK_WRITE, connection.output) == Ok(0)
        assert await guest.call(WRITE, connection.output, b"") == CLOSED
        assert await peer.receive_all() == written
        await guest.block("streams#output-stream", connection.output)
        assert await guest.call(CHECK_WRITE, connection.output) == CLOSED


async def test_shutdown_of_both_directions_twice() -> None:
    async with connected() as (guest, connection, peer):
        for _ in range(2):
            assert await guest.tcp("shutdown", connection.socket, "both") == Ok()
        assert await guest.call(READ, connection.input, 1) == CLOSED
        assert await guest.call(CHECK_WRITE, connection.output) == CLOSED
        assert await peer.receive() == b""


async def test_a_reset_fails_the_output_once_with_its_code_and_then_it_is_closed() -> None:
    async with connected(small=True) as (guest, connection, peer):
        await fill(guest, connection.output)
        peer.reset()
        await guest.block("streams#output-stream", connection.output)
        failed = await guest.call(CHECK_WRITE, connection.output)
        assert failed.value.case == "last-operation-failed"
        error = failed.value.payload
        assert await guest.call("network#network-error-code", error) == "connection-reset"
        assert await guest.call(CHECK_WRITE, connection.output) == CLOSED
        assert await guest.tcp("shutdown", connection.socket, "both") == Ok()


async def test_a_broken_pipe_closes_the_output() -> None:
    async with connected() as (guest, connection, peer):
        peer.reset()
        await guest.block("streams#input-stream", connection.input)
        failed = await guest.call(READ, connection.input, 1)  # which is told of the reset
        assert failed.value.case == "last-operation-failed"
        assert await guest.call(CHECK_WRITE, connection.output) == Ok(PERMIT)
        assert await guest.call(WRITE, connection.output, b"anyone there?") == CLOSED
        assert await guest.call(CHECK_WRITE, connection.output) == CLOSED


async def test_a_peer_does_not_take_a_part_for_the_whole_when_the_guest_is_gone_too_soon() -> None:
    async with connected(small=True) as (guest, connection, peer):
        await fill(guest, connection.output)
        await guest.tcp("shutdown", connection.socket, "send")
        await guest.call("streams#drop input-stream", connection.input)
        await guest.call("streams#drop output-stream", connection.output)
        await guest.call("tcp#drop tcp-socket", connection.socket)
        with pytest.raises(ConnectionResetError):
            await peer.receive_all()


# --- both --------------------------------------------------------------------------------------------------


async def test_much_goes_both_ways_at_once_and_not_a_byte_is_lost(family: str) -> None:
    data = os.urandom(256 << 10)
    async with connected(family, small=True) as (guest, connection, peer):

        async def echo() -> None:
            while piece := await peer.receive():
                await peer.send(piece)
            peer.finish()

        echoing = asyncio.create_task(echo())
        received, unsent = hashlib.sha256(), memoryview(data)
        pollables = [
            await guest.call(SUBSCRIBE_INPUT, connection.input),
            await guest.call(SUBSCRIBE_OUTPUT, connection.output),
        ]
        while isinstance(read := await guest.call(READ, connection.input, 65536), Ok):
            received.update(read.value)
            if unsent and (permit := (await guest.call(CHECK_WRITE, connection.output)).value):
                piece, unsent = unsent[:permit], unsent[permit:]
                assert await guest.call(WRITE, connection.output, bytes(piece)) == Ok()
                if not unsent:
                    await guest.tcp("shutdown", connection.socket, "send")
            await guest.call("poll#poll", pollables if unsent else pollables[:1])
        assert read == CLOSED
        assert received.digest() == hashlib.sha256(data).digest()
        await echoing


async def test_a_guest_splices_its_input_into_its_output() -> None:
    async with connected() as (guest, connection, peer):
        await peer.send(b"round trip")
        splice = "streams#output-stream.blocking-splice"
        assert await guest.call(splice, connection.output, connection.input, 100) == Ok(10)
        assert await peer.receive() == b"round trip"
        peer.finish()
        closed = await guest.call(splice, connection.output, connection.input, 100)
        assert closed == Err(CLOSED.value)
