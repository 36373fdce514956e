"""wasi:sockets, UDP: datagrams to and from what the policy allows."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.bindings.sockets.datagram_streams import MAX_DROPPED
from gateway.host.errors import Trap
from gateway.host.values import Err, Ok, Variant
from tests.bindings.sockets.guest import (
    ALL_LOOPBACK,
    ANYWHERE,
    BLOCK,
    LOOPBACK,
    READY,
    SocketsGuest,
    at,
    networked,
    port_of,
)
from tests.bindings.sockets.peer import closed, datagrams
from tests.bindings.sockets.test_tcp import UNUSABLE
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio

INVALID_STATE = Err("invalid-state")
NOT_IN_PROGRESS = Err("not-in-progress")
CONFLICT = Err("concurrency-conflict")
DENIED = Err("access-denied")
INVALID_ARGUMENT = Err("invalid-argument")

RECEIVE = "udp#incoming-datagram-stream.receive"
SUBSCRIBE_INCOMING = "udp#incoming-datagram-stream.subscribe"
CHECK_SEND = "udp#outgoing-datagram-stream.check-send"
SEND = "udp#outgoing-datagram-stream.send"


def to(address: tuple[Any, ...] | None, data: bytes = b"hello") -> dict[str, Any]:
    """An `outgoing-datagram`."""
    return {"data": data, "remote-address": None if address is None else at(*address[:2])}


def of(address: tuple[Any, ...], data: bytes) -> dict[str, Any]:
    """An `incoming-datagram`."""
    return {"data": data, "remote-address": at(*address[:2])}


async def send(guest: SocketsGuest, outgoing: int, *sent: dict[str, Any]) -> Any:
    """Send datagrams, for which there is a permit."""
    assert await guest.call(CHECK_SEND, outgoing) == Ok(16)
    return await guest.call(SEND, outgoing, list(sent))


async def drop_streams(guest: SocketsGuest, incoming: int, outgoing: int) -> None:
    await guest.call("udp#drop incoming-datagram-stream", incoming)
    await guest.call("udp#drop outgoing-datagram-stream", outgoing)


async def port_of_socket(guest: SocketsGuest, udp: int) -> int:
    return port_of(await guest.udp("local-address", udp))


# --- states ------------------------------------------------------------------------------------------------


async def test_an_unbound_socket(family: str) -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        udp = await guest.create("udp", family)
        assert await guest.udp("finish-bind", udp) == NOT_IN_PROGRESS
        assert await guest.udp("stream", udp, None) == INVALID_STATE
        assert await guest.udp("stream", udp, at(LOOPBACK[family], 1)) == INVALID_STATE
        assert await guest.udp("local-address", udp) == INVALID_STATE
        assert await guest.udp("remote-address", udp) == INVALID_STATE
        assert await guest.udp("address-family", udp) == family
        assert await guest.udp("set-unicast-hop-limit", udp, 255) == Ok()
        await guest.block("udp#udp-socket", udp)


async def test_a_bound_socket(family: str) -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        udp = await guest.create("udp", family)
        assert await guest.bind("udp", udp, at(ANYWHERE[family])) == Ok()
        again = await guest.udp("start-bind", udp, guest.network, at(ANYWHERE[family]))
        assert again == INVALID_STATE
        assert await guest.udp("finish-bind", udp) == NOT_IN_PROGRESS
        local = await guest.udp("local-address", udp)
        assert local == Ok(at(ANYWHERE[family], port_of(local)))
        assert port_of(local) != 0
        assert await guest.udp("remote-address", udp) == INVALID_STATE
        assert await guest.udp("address-family", udp) == family


async def test_a_bind_that_was_started_must_be_finished(family: str) -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        udp = await guest.create("udp", family)
        anywhere = at(ANYWHERE[family])
        assert await guest.udp("start-bind", udp, guest.network, anywhere) == Ok()
        assert await guest.udp("start-bind", udp, guest.network, anywhere) == CONFLICT
        assert await guest.udp("stream", udp, None) == CONFLICT
        assert await guest.udp("local-address", udp) == INVALID_STATE
        assert await guest.udp("finish-bind", udp) == Ok()


async def test_a_socket_with_a_peer(family: str) -> None:
    with datagrams(family) as peer:
        async with networked(*ALL_LOOPBACK) as guest:
            udp, _, _ = await guest.datagrams(family, peer.address)
            anywhere = at(ANYWHERE[family])
            assert await guest.udp("start-bind", udp, guest.network, anywhere) == INVALID_STATE
            assert await guest.udp("finish-bind", udp) == NOT_IN_PROGRESS
            assert await guest.udp("remote-address", udp) == Ok(at(*peer.address[:2]))
            local = await guest.udp("local-address", udp)
            assert local == Ok(at(LOOPBACK[family], port_of(local)))


async def test_the_peer_of_a_socket_can_be_changed_and_its_port_stays(family: str) -> None:
    with datagrams(family) as one, datagrams(family) as other:
        async with networked(*ALL_LOOPBACK) as guest:
            udp, *streams = await guest.datagrams(family)
            port = await port_of_socket(guest, udp)
            for peer in (one, one, other, None, one, None, None, other):
                await drop_streams(guest, *streams)
                remote = None if peer is None else at(*peer.address[:2])
                streams = (await guest.udp("stream", udp, remote)).value
                known = await guest.udp("remote-address", udp)
                assert known == (INVALID_STATE if peer is None else Ok(remote))
                assert await port_of_socket(guest, udp) == port
                incoming, outgoing = streams
                assert await guest.call(RECEIVE, incoming, 1) == Ok([])
                there = peer or one
                given = to(None if peer else there.address)
                assert await send(guest, outgoing, given) == Ok(1)
                assert await there.receive() == b"hello"
                there.send_datagram(b"and back", port)
                await guest.block("udp#incoming-datagram-stream", incoming)
                received = await guest.call(RECEIVE, incoming, 1)
                assert received == Ok([of(there.address, b"and back")])


async def test_stream_traps_while_a_stream_of_the_last_call_is_there() -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        udp, incoming, _ = await guest.datagrams("ipv4")
        await guest.call("udp#drop incoming-datagram-stream", incoming)
        with pytest.raises(Trap, match="have not been dropped"):
            await guest.udp("stream", udp, None)


@pytest.mark.parametrize("kept", ["incoming", "outgoing"])
async def test_a_socket_with_a_stream_cannot_be_dropped(kept: str) -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        udp, incoming, outgoing = await guest.datagrams("ipv4")
        if kept == "incoming":
            await guest.call("udp#drop outgoing-datagram-stream", outgoing)
        else:
            await guest.call("udp#drop incoming-datagram-stream", incoming)
        with pytest.raises(Trap, match="resource has children"):
            await guest.call("udp#drop udp-socket", udp)


@pytest.mark.parametrize("of_what", ["incoming", "outgoing"])
async def test_a_stream_with_a_pollable_cannot_be_dropped(of_what: str) -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        _, incoming, outgoing = await guest.datagrams("ipv4")
        stream = incoming if of_what == "incoming" else outgoing
        await guest.call(f"udp#{of_what}-datagram-stream.subscribe", stream)
        with pytest.raises(Trap, match="resource has children"):
            await guest.call(f"udp#drop {of_what}-datagram-stream", stream)


# --- peers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "host", "port"), UNUSABLE)
async def test_what_can_be_no_peer_is_refused_and_all_is_as_it_was(
    family: str, host: str, port: int
) -> None:
    with datagrams(family) as peer:
        async with networked("*://*:*", *ALL_LOOPBACK) as guest:
            udp, *streams = await guest.datagrams(family, peer.address)
            await drop_streams(guest, *streams)
            assert await guest.udp("stream", udp, at(host, port)) == INVALID_ARGUMENT
            assert await guest.udp("remote-address", udp) == Ok(at(*peer.address[:2]))
            _, outgoing = (await guest.udp("stream", udp, None)).value
            assert await send(guest, outgoing, to((host, port))) == INVALID_ARGUMENT
            assert await send(guest, outgoing, to(peer.address)) == Ok(1)


async def test_a_peer_that_is_not_allowed_is_denied_by_stream_and_by_send(family: str) -> None:
    with datagrams(family) as peer:
        port = peer.address[1]
        async with networked(f"udp://example.com:{port}", f"tcp://*:{port}") as guest:
            udp, *streams = await guest.datagrams(family)
            with capture_logs() as logs:
                assert await send(guest, streams[1], to(peer.address)) == DENIED
                await drop_streams(guest, *streams)
                assert await guest.udp("stream", udp, at(*peer.address[:2])) == DENIED
            [log] = logs
            assert log["target"].startswith("udp://")
            assert await guest.udp("remote-address", udp) == INVALID_STATE


async def test_what_a_peer_sends_that_is_not_allowed_is_dropped_and_wakes_nobody() -> None:
    with datagrams() as friend, datagrams() as stranger:
        async with networked(f"udp://127.0.0.1:{friend.address[1]}") as guest:
            udp, incoming, _ = await guest.datagrams("ipv4")
            port = await port_of_socket(guest, udp)
            pollable = await guest.call(SUBSCRIBE_INCOMING, incoming)
            with capture_logs() as logs:
                stranger.send_datagram(b"psst", port)
                assert not await guest.call(READY, pollable)
                assert await guest.call(RECEIVE, incoming, 16) == Ok([])
                waiting = asyncio.create_task(guest.call(BLOCK, pollable))
                for _ in range(MAX_DROPPED + 1):
                    stranger.send_datagram(b"psst", port)
                friend.send_datagram(b"hello", port)
                await asyncio.wait_for(waiting, PATIENCE)
                received = await guest.call(RECEIVE, incoming, 16)
            assert received == Ok([of(friend.address, b"hello")])
            assert logs == []


async def test_a_flood_of_strangers_is_looked_through_in_steps() -> None:
    with datagrams() as friend, datagrams() as stranger:
        async with networked(f"udp://127.0.0.1:{friend.address[1]}") as guest:
            udp, incoming, _ = await guest.datagrams("ipv4")
            port = await port_of_socket(guest, udp)
            for _ in range(MAX_DROPPED):
                stranger.send_datagram(b"psst", port)
            friend.send_datagram(b"hello", port)
            assert await guest.call(RECEIVE, incoming, 1) == Ok([])
            received = await guest.call(RECEIVE, incoming, 1)
            assert received == Ok([of(friend.address, b"hello")])


async def test_a_socket_of_ipv6_does_not_hear_ipv4() -> None:
    with datagrams("ipv4") as stranger, datagrams("ipv6") as peer:
        async with networked(*ALL_LOOPBACK) as guest:
            udp, incoming, _ = await guest.datagrams("ipv6")
            port = await port_of_socket(guest, udp)
            stranger.send_datagram(b"hello", port)
            peer.send_datagram(b"hello", port)
            assert await guest.call(RECEIVE, incoming, 16) == Ok([of(peer.address, b"hello")])


async def test_only_the_peer_is_heard_even_if_others_were_there_before(family: str) -> None:
    with datagrams(family) as peer, datagrams(family) as other:
        async with networked(*ALL_LOOPBACK) as guest:
            udp, *streams = await guest.datagrams(family)
            port = await port_of_socket(guest, udp)
            other.send_datagram(b"A", port)
            peer.send_datagram(b"B", port)
            other.send_datagram(b"A", port)
            await drop_streams(guest, *streams)
            incoming, _ = (await guest.udp("stream", udp, at(*peer.address[:2]))).value
            other.send_datagram(b"A", port)
            assert await guest.call(RECEIVE, incoming, 16) == Ok([of(peer.address, b"B")])


# --- receive -----------------------------------------------------------------------------------------------


async def test_nothing_to_receive_is_no_error(family: str) -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        _, incoming, _ = await guest.datagrams(family)
        assert await guest.call(RECEIVE, incoming, 0) == Ok([])
        assert await guest.call(RECEIVE, incoming, 16) == Ok([])
        pollable = await guest.call(SUBSCRIBE_INCOMING, incoming)
        assert not await guest.call(READY, pollable)


async def test_at_most_sixteen_datagrams_are_received_at_once_and_none_is_lost(family: str) -> None:
    with datagrams(family) as peer:
        async with networked(*ALL_LOOPBACK) as guest:
            udp, incoming, _ = await guest.datagrams(family)
            port = await port_of_socket(guest, udp)
            for number in range(20):
                peer.send_datagram(bytes([number]), port)
            pollable = await guest.call(SUBSCRIBE_INCOMING, incoming)
            assert await guest.call(READY, pollable)
            assert await guest.call(RECEIVE, incoming, 0) == Ok([])
            received = []
            for asked, count in ((2, 2), (2**64 - 1, 16), (16, 2), (16, 0)):
                got = await guest.call(RECEIVE, incoming, asked)
                assert len(got.value) == count
                received += got.value
            assert received == [of(peer.address, bytes([number])) for number in range(20)]


async def test_datagrams_of_no_bytes_and_of_very_many() -> None:
    with datagrams() as peer:
        async with networked(*ALL_LOOPBACK) as guest:
            udp, incoming, outgoing = await guest.datagrams("ipv4")
            port = await port_of_socket(guest, udp)
            largest = bytes(65_507)
            for data in (b"", largest):
                peer.send_datagram(data, port)
                received = await guest.call(RECEIVE, incoming, 16)
                assert received == Ok([of(peer.address, data)])
            assert await send(guest, outgoing, to(peer.address, largest)) == Ok(1)
            assert await peer.receive() == largest
            assert await send(guest, outgoing, to(peer.address, b"")) == Ok(1)
            assert await peer.receive() == b""


async def test_a_guest_that_waits_to_receive_is_woken() -> None:
    with datagrams() as peer:
        async with networked(*ALL_LOOPBACK) as guest:
            udp, incoming, _ = await guest.datagrams("ipv4")
            port = await port_of_socket(guest, udp)
            pollable = await guest.call(SUBSCRIBE_INCOMING, incoming)
            waiting = asyncio.create_task(guest.call(BLOCK, pollable))
            peer.send_datagram(b"wake up", port)
            await asyncio.wait_for(waiting, PATIENCE)
            assert await guest.call(RECEIVE, incoming, 1) == Ok([of(peer.address, b"wake up")])


async def test_a_peer_that_is_not_there_is_told_by_receive(family: str) -> None:
    with closed(family, socket.SOCK_DGRAM) as nobody:
        async with networked(*ALL_LOOPBACK) as guest:
            _, incoming, outgoing = await guest.datagrams(family, nobody)
            assert await send(guest, outgoing, to(None)) == Ok(1)
            pollable = await guest.call(SUBSCRIBE_INCOMING, incoming)
            await guest.call(BLOCK, pollable)
            assert await guest.call(RECEIVE, incoming, 16) == Err("connection-refused")
            assert await guest.call(RECEIVE, incoming, 16) == Ok([])


async def test_what_was_received_before_an_error_is_returned_before_it() -> None:
    with datagrams() as peer:
        async with networked(*ALL_LOOPBACK) as guest:
            udp, incoming, outgoing = await guest.datagrams("ipv4", peer.address)
            peer.send_datagram(b"goodbye", await port_of_socket(guest, udp))
            pollable = await guest.call(SUBSCRIBE_INCOMING, incoming)
            assert await guest.call(READY, pollable)
            peer.deafen()
            assert await send(guest, outgoing, to(None)) == Ok(1)
            assert await guest.call(RECEIVE, incoming, 16) == Ok([of(peer.address, b"goodbye")])
            assert await guest.call(RECEIVE, incoming, 16) == Err("connection-refused")


# --- send --------------------------------------------------------------------------------------------------


async def test_a_ready_stream_permits_datagrams(family: str) -> None:
    with datagrams(family) as peer:
        async with networked(*ALL_LOOPBACK) as guest:
            _, _, outgoing = await guest.datagrams(family, peer.address)
            await guest.block("udp#outgoing-datagram-stream", outgoing)
            assert await send(guest, outgoing, to(None, b"1"), to(None, b"2")) == Ok(2)
            assert [await peer.receive(), await peer.receive()] == [b"1", b"2"]


async def test_more_datagrams_than_permitted_trap() -> None:
    with datagrams() as peer:
        async with networked(*ALL_LOOPBACK) as guest:
            _, _, outgoing = await guest.datagrams("ipv4", peer.address)
            with pytest.raises(Trap, match="check-send permitted 16"):
                await send(guest, outgoing, *[to(None)] * 17)


@pytest.mark.parametrize("count", [0, 1])
async def test_sending_without_asking_traps(count: int) -> None:
    with datagrams() as peer:
        async with networked(*ALL_LOOPBACK) as guest:
            _, _, outgoing = await guest.datagrams("ipv4", peer.address)
            with pytest.raises(Trap, match="without a check-send"):
                await guest.call(SEND, outgoing, [to(None)] * count)


async def test_a_permit_is_spent_with_one_send() -> None:
    with datagrams() as peer:
        async with networked(*ALL_LOOPBACK) as guest:
            _, _, outgoing = await guest.datagrams("ipv4", peer.address)
            assert await send(guest, outgoing) == Ok(0)
            with pytest.raises(Trap, match="without a check-send"):
                await guest.call(SEND, outgoing, [to(None)])


async def test_the_address_of_a_datagram_must_be_the_peers_or_left_out() -> None:
    with datagrams() as peer, datagrams() as other:
        async with networked(*ALL_LOOPBACK) as guest:
            _, _, outgoing = await guest.datagrams("ipv4", peer.address)
            assert await send(guest, outgoing, to(other.address)) == INVALID_ARGUMENT
            assert await send(guest, outgoing, to(peer.address, b"same")) == Ok(1)
            assert await peer.receive() == b"same"


async def test_without_a_peer_a_datagram_needs_an_address() -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        _, _, outgoing = await guest.datagrams("ipv4")
        assert await send(guest, outgoing, to(None)) == INVALID_ARGUMENT


async def test_sending_ends_before_the_first_datagram_that_fails() -> None:
    with datagrams() as peer:
        async with networked(f"udp://127.0.0.1:{peer.address[1]}") as guest:
            _, _, outgoing = await guest.datagrams("ipv4")
            good, bad = to(peer.address), to(("127.0.0.1", 1))
            assert await send(guest, outgoing, good, bad, good) == Ok(1)
            assert await send(guest, outgoing, bad, good) == DENIED


async def test_a_datagram_that_is_too_large_is_told() -> None:
    with datagrams() as peer:
        async with networked(*ALL_LOOPBACK) as guest:
            _, _, outgoing = await guest.datagrams("ipv4")
            huge = to(peer.address, bytes(65_536))
            assert await send(guest, outgoing, huge) == Err("datagram-too-large")


async def test_an_address_of_everyone_is_denied_by_the_system() -> None:
    async with networked("udp://255.255.255.255:9") as guest:
        _, _, outgoing = await guest.datagrams("ipv4")
        everyone = {"data": b"", "remote-address": at("255.255.255.255", 9)}
        assert await send(guest, outgoing, everyone) == DENIED


async def test_a_flow_is_no_part_of_where_a_datagram_comes_from() -> None:
    with datagrams("ipv6") as peer:
        async with networked(*ALL_LOOPBACK) as guest:
            udp, *streams = await guest.datagrams("ipv6")
            await drop_streams(guest, *streams)
            remote: Variant = at(peer.address[0], peer.address[1], 0x12345)
            incoming, _ = (await guest.udp("stream", udp, remote)).value
            peer.send_datagram(b"hello", await port_of_socket(guest, udp))
            received = await guest.call(RECEIVE, incoming, 1)
            assert received == Ok([{"data": b"hello", "remote-address": remote}])
