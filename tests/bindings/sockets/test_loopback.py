"""wasi:sockets: the loopback of a guest's own, with nothing granted at all."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.bindings.sockets.addresses import FAMILIES, Family, SocketAddress
from gateway.bindings.sockets.context import MAX_SOCKETS
from gateway.bindings.sockets.descriptor import Descriptor
from gateway.bindings.sockets.loopback import ADDRESSES, Loopback, Transport
from gateway.bindings.sockets.loopback_datagrams import MAX_SIZE, MAX_WAITING
from gateway.bindings.sockets.loopback_stream import CAPACITY
from gateway.host.errors import Trap
from gateway.host.values import Err, Ok
from gateway.policy.egress import IPAddress
from tests.bindings.sockets.guest import (
    ALL_LOOPBACK,
    ANYWHERE,
    BLOCK,
    BLOCKING_READ,
    BLOCKING_WRITE,
    CHECK_WRITE,
    CLOSED,
    LOOPBACK,
    OPTIONS,
    READ,
    READY,
    WRITE,
    Connection,
    SocketsGuest,
    at,
    fill,
    networked,
    port_of,
)
from tests.bindings.sockets.peer import datagrams, listening
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio

INVALID_STATE = Err("invalid-state")
NOT_IN_PROGRESS = Err("not-in-progress")
CONFLICT = Err("concurrency-conflict")
DENIED = Err("access-denied")
REFUSED = Err("connection-refused")
IN_USE = Err("address-in-use")
WOULD_BLOCK = Err("would-block")
LIMIT = Err("new-socket-limit")

RECEIVE = "udp#incoming-datagram-stream.receive"
SUBSCRIBE_INCOMING = "udp#incoming-datagram-stream.subscribe"
HOSTS = ("127.0.0.1", "0.0.0.0")  # noqa: S104
"""An address of the loopback, and all of them."""

CHECK_SEND = "udp#outgoing-datagram-stream.check-send"
SEND = "udp#outgoing-datagram-stream.send"


async def listen(
    guest: SocketsGuest, host: str = "127.0.0.1", port: int = 0, backlog: int | None = None
) -> tuple[int, int]:
    """A listening socket, and its port."""
    tcp = await guest.create("tcp", "ipv6" if ":" in host else "ipv4")
    if backlog is not None:
        assert await guest.tcp("set-listen-backlog-size", tcp, backlog) == Ok()
    assert await guest.bind("tcp", tcp, at(host, port)) == Ok()
    assert await guest.tcp("start-listen", tcp) == Ok()
    assert await guest.tcp("finish-listen", tcp) == Ok()
    return tcp, port_of(await guest.tcp("local-address", tcp))


async def accept(guest: SocketsGuest, listener: int) -> Connection:
    accepted = await guest.tcp("accept", listener)
    assert isinstance(accepted, Ok), accepted
    return Connection(*accepted.value)


async def pair(guest: SocketsGuest, host: str = "127.0.0.1") -> tuple[Connection, Connection]:
    """Both ends of a connection; the first is that of the client."""
    listener, port = await listen(guest, host)
    client = await guest.connect((host, port))
    server = await accept(guest, listener)
    await guest.call("tcp#drop tcp-socket", listener)
    return client, server


async def close(guest: SocketsGuest, connection: Connection) -> None:
    await guest.call("streams#drop input-stream", connection.input)
    await guest.call("streams#drop output-stream", connection.output)
    await guest.call("tcp#drop tcp-socket", connection.socket)


async def bound_udp(guest: SocketsGuest, host: str = "127.0.0.1", port: int = 0) -> tuple[int, int]:
    """A bound UDP socket, and its port."""
    udp = await guest.create("udp", "ipv6" if ":" in host else "ipv4")
    assert await guest.bind("udp", udp, at(host, port)) == Ok()
    return udp, port_of(await guest.udp("local-address", udp))


async def streams(guest: SocketsGuest, udp: int, peer: Any = None) -> tuple[int, int]:
    made = await guest.udp("stream", udp, peer)
    assert isinstance(made, Ok), made
    incoming, outgoing = made.value
    return incoming, outgoing


async def send(guest: SocketsGuest, outgoing: int, data: bytes, peer: Any = None) -> Any:
    assert await guest.call(CHECK_SEND, outgoing) == Ok(16)
    return await guest.call(SEND, outgoing, [{"data": data, "remote-address": peer}])


# --- addresses ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("where", [LOOPBACK, ANYWHERE], ids=["loopback", "anywhere"])
@pytest.mark.parametrize("port", [0, 1, 80, 65535])
async def test_a_socket_is_bound_to_the_port_it_names_or_to_a_free_one(
    kind: str, family: str, where: dict[str, str], port: int
) -> None:
    async with networked() as guest:
        handle = await guest.create(kind, family)
        assert await guest.bind(kind, handle, at(where[family], port)) == Ok()
        local = await guest.local_address(kind, handle)
        assert local == Ok(at(where[family], port or port_of(local)))
        assert port_of(local) != 0
        assert not Descriptor.open


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("held", "wanted", "bound"),
    [
        ("127.0.0.1", "127.0.0.1", IN_USE),
        ("127.0.0.1", "0.0.0.0", IN_USE),  # noqa: S104
        ("0.0.0.0", "127.0.0.1", IN_USE),  # noqa: S104
        ("0.0.0.0", "0.0.0.0", IN_USE),  # noqa: S104
        ("127.0.0.1", "127.0.0.2", Ok()),
        ("127.0.0.1", "::1", Ok()),
        ("::1", "::1", IN_USE),
        ("::", "::1", IN_USE),
        ("::", "0.0.0.0", Ok()),  # noqa: S104
    ],
)
async def test_an_address_is_one_sockets_until_that_is_dropped(
    kind: str, held: str, wanted: str, bound: Any
) -> None:
    async with networked() as guest:
        first = await guest.create(kind, "ipv6" if ":" in held else "ipv4")
        assert await guest.bind(kind, first, at(held, 8080)) == Ok()
        other = await guest.create(kind, "ipv6" if ":" in wanted else "ipv4")
        assert await guest.bind(kind, other, at(wanted, 8080)) == bound
        if bound == IN_USE:
            await guest.drop(kind, first)
            assert await guest.bind(kind, other, at(wanted, 8080)) == Ok()


async def test_a_port_of_one_transport_is_free_for_the_other() -> None:
    async with networked() as guest:
        _, port = await listen(guest)
        await bound_udp(guest, port=port)


async def test_two_guests_have_each_their_own_loopback() -> None:
    async with networked() as guest, networked() as other:
        await listen(guest, port=8080)
        await listen(other, port=8080)
        _, client_port = await listen(guest)
        tcp = await other.create("tcp", "ipv4")
        assert await other.bind("tcp", tcp, at("127.0.0.1")) == Ok()
        assert await other.try_connect(tcp, at("127.0.0.1", client_port)) == REFUSED


async def test_a_port_that_the_policy_allows_outside_is_not_handed_out() -> None:
    """Half of the dynamic ports are allowed; where nearly all are, there is still one to be had."""
    async with networked("tcp://127.0.0.1:49152-57343") as guest:
        assert all([(await listen(guest, host))[1] >= 57344 for host in HOSTS * 8])
    async with networked("tcp://localhost:*") as guest:
        await listen(guest)


# --- listening ---------------------------------------------------------------------------------------------


async def test_the_states_of_a_listener(family: str) -> None:
    async with networked() as guest:
        tcp = await guest.create("tcp", family)
        here = at(LOOPBACK[family])
        assert await guest.bind("tcp", tcp, here) == Ok()
        assert await guest.tcp("finish-listen", tcp) == NOT_IN_PROGRESS
        assert await guest.tcp("accept", tcp) == INVALID_STATE
        assert await guest.tcp("start-listen", tcp) == Ok()
        assert await guest.tcp("start-listen", tcp) == CONFLICT
        assert await guest.tcp("start-bind", tcp, guest.network, here) == CONFLICT
        assert await guest.tcp("accept", tcp) == INVALID_STATE
        assert await guest.tcp("is-listening", tcp) is False
        assert await guest.tcp("finish-listen", tcp) == Ok()
        assert await guest.tcp("is-listening", tcp) is True
        assert await guest.tcp("accept", tcp) == WOULD_BLOCK
        for refused in ("start-bind", "start-connect"):
            assert await guest.tcp(refused, tcp, guest.network, here) == INVALID_STATE
        assert await guest.tcp("start-listen", tcp) == INVALID_STATE
        for finish in ("finish-bind", "finish-connect", "finish-listen"):
            assert await guest.tcp(finish, tcp) == NOT_IN_PROGRESS
        assert await guest.tcp("shutdown", tcp, "both") == INVALID_STATE
        assert await guest.tcp("remote-address", tcp) == INVALID_STATE
        assert isinstance(await guest.tcp("local-address", tcp), Ok)
        assert await guest.tcp("set-listen-backlog-size", tcp, 32) == Ok()
        pollable = await guest.tcp("subscribe", tcp)
        assert not await guest.call(READY, pollable)


async def test_a_connection_has_the_same_addresses_on_both_ends(family: str) -> None:
    async with networked() as guest:
        client, server = await pair(guest, LOOPBACK[family])
        for near, far in ((client, server), (server, client)):
            local = await guest.tcp("local-address", near.socket)
            assert local == await guest.tcp("remote-address", far.socket)
            assert local.value.payload["address"] == at(LOOPBACK[family]).payload["address"]
            assert await guest.tcp("address-family", near.socket) == family
            assert await guest.tcp("is-listening", near.socket) is False
        assert not Descriptor.open


async def test_a_listener_of_every_address_is_reached_by_each() -> None:
    async with networked() as guest:
        listener, port = await listen(guest, "0.0.0.0")  # noqa: S104
        for host in ("127.0.0.1", "127.9.8.7"):
            await guest.connect((host, port))
            server = await accept(guest, listener)
            assert await guest.tcp("local-address", server.socket) == Ok(at(host, port))


async def test_a_client_keeps_the_address_that_it_has_bound(family: str) -> None:
    async with networked() as guest:
        listener, port = await listen(guest, LOOPBACK[family])
        for host in (LOOPBACK[family], ANYWHERE[family]):
            tcp = await guest.create("tcp", family)
            assert await guest.bind("tcp", tcp, at(host)) == Ok()
            bound = port_of(await guest.tcp("local-address", tcp))
            assert isinstance(await guest.try_connect(tcp, at(LOOPBACK[family], port)), Ok)
            server = await accept(guest, listener)
            seen = await guest.tcp("remote-address", server.socket)
            assert seen == Ok(at(LOOPBACK[family], bound))


async def test_who_waits_to_accept_is_woken(family: str) -> None:
    async with networked() as guest:
        listener, port = await listen(guest, LOOPBACK[family])
        tcp = await guest.create("tcp", family)
        await guest.tcp("start-connect", tcp, guest.network, at(LOOPBACK[family], port))
        await guest.block("tcp#tcp-socket", listener)
        await accept(guest, listener)
        await guest.block("tcp#tcp-socket", tcp)
        assert isinstance(await guest.tcp("finish-connect", tcp), Ok)


async def test_beyond_the_backlog_a_connection_is_made_when_another_is_accepted() -> None:
    async with networked() as guest:
        listener, port = await listen(guest, backlog=1)
        clients, pollables = [], []
        for _ in range(3):
            tcp = await guest.create("tcp", "ipv4")
            await guest.tcp("start-connect", tcp, guest.network, at("127.0.0.1", port))
            clients.append(tcp)
            pollables.append(await guest.tcp("subscribe", tcp))
        assert await guest.call("poll#poll", pollables) == [0]
        assert await guest.tcp("finish-connect", clients[1]) == WOULD_BLOCK
        # One that gives up leaves its place in the queue to the next.
        await guest.call("poll#drop pollable", pollables[1])
        await guest.call("tcp#drop tcp-socket", clients[1])
        await accept(guest, listener)
        await guest.call(BLOCK, pollables[2])
        assert isinstance(await guest.tcp("finish-connect", clients[2]), Ok)
        await accept(guest, listener)
        assert await guest.tcp("accept", listener) == WOULD_BLOCK


async def test_a_listener_that_is_dropped_breaks_off_what_it_has_not_accepted() -> None:
    async with networked() as guest:
        listener, port = await listen(guest, backlog=1)
        client = await guest.connect(("127.0.0.1", port))
        waiting = await guest.create("tcp", "ipv4")
        await guest.tcp("start-connect", waiting, guest.network, at("127.0.0.1", port))
        await guest.call("tcp#drop tcp-socket", listener)
        failed = await guest.call(READ, client.input, 1)
        error = failed.value.payload
        assert await guest.call("network#network-error-code", error) == "connection-reset"
        assert await guest.call(READ, client.input, 1) == CLOSED
        assert await guest.call(CHECK_WRITE, client.output) == Ok(CAPACITY)
        assert await guest.call(WRITE, client.output, b"gone") == CLOSED
        assert await guest.tcp("finish-connect", waiting) == REFUSED
        await listen(guest, port=port)


async def test_a_port_is_free_again_while_what_was_accepted_there_goes_on() -> None:
    async with networked() as guest:
        listener, port = await listen(guest, port=8080)
        client = await guest.connect(("127.0.0.1", port))
        server = await accept(guest, listener)
        await guest.call("tcp#drop tcp-socket", listener)
        await listen(guest, port=8080)
        assert await guest.call(BLOCKING_WRITE, server.output, b"still here") == Ok()
        assert await guest.call(READ, client.input, 64) == Ok(b"still here")


async def test_an_accepted_socket_inherits_the_options_of_that_moment() -> None:
    async with networked() as guest:
        listener, port = await listen(guest)
        values = {"keep-alive-enabled": True, "keep-alive-count": 42, "hop-limit": 42}
        values |= {"keep-alive-idle-time": 42 * 10**9, "receive-buffer-size": 0x10000}
        for name, value in values.items():
            assert await guest.tcp(f"set-{name}", listener, value) == Ok()
        await guest.connect(("127.0.0.1", port))
        server = await accept(guest, listener)
        for name in values:
            assert await guest.tcp(f"set-{name}", listener, OPTIONS["tcp"][name] != "bool") == Ok()
            assert await guest.tcp(name, server.socket) == Ok(values[name])


# --- streams -----------------------------------------------------------------------------------------------


async def test_bytes_go_both_ways_and_end_one_way_at_a_time(family: str) -> None:
    async with networked() as guest:
        client, server = await pair(guest, LOOPBACK[family])
        assert await guest.call(READ, server.input, 10) == Ok(b"")
        assert await guest.call(BLOCKING_WRITE, client.output, b"question") == Ok()
        assert await guest.tcp("shutdown", client.socket, "send") == Ok()
        assert await guest.call(CHECK_WRITE, client.output) == CLOSED
        assert await guest.read_all(server.input) == b"question"
        assert await guest.call(BLOCKING_WRITE, server.output, b"answer") == Ok()
        await close(guest, server)
        assert await guest.read_all(client.input) == b"answer"


async def test_a_reader_and_a_writer_that_wait_are_woken() -> None:
    async with networked() as guest:
        client, server = await pair(guest)
        readable = await guest.call("streams#input-stream.subscribe", server.input)
        assert not await guest.call(READY, readable)
        written = await fill(guest, client.output)
        assert await guest.call(READY, readable)
        writable = await guest.call("streams#output-stream.subscribe", client.output)
        assert not await guest.call(READY, writable)
        received = b""
        while len(received) < len(written):
            received += (await guest.call(BLOCKING_READ, server.input, 10_000)).value
        assert received == written
        await guest.call(BLOCK, writable)


async def test_a_writer_is_held_up_by_a_peer_that_does_not_read() -> None:
    async with networked() as guest:
        client, server = await pair(guest)
        assert CAPACITY <= len(await fill(guest, client.output)) < 2 * CAPACITY + 1
        # And nothing of it is lost if the writer leaves.
        await close(guest, client)
        assert len(await guest.read_all(server.input)) >= CAPACITY


async def test_what_was_not_read_when_an_end_is_closed_is_told_as_a_reset() -> None:
    async with networked() as guest:
        client, server = await pair(guest)
        assert await guest.call(BLOCKING_WRITE, client.output, b"never read") == Ok()
        await close(guest, server)
        failed = await guest.call(BLOCKING_READ, client.input, 1)
        error = failed.value.payload
        assert await guest.call("network#network-error-code", error) == "connection-reset"


async def test_what_comes_after_the_input_was_shut_down_is_dropped() -> None:
    async with networked() as guest:
        client, server = await pair(guest)
        assert await guest.call(BLOCKING_WRITE, client.output, b"before") == Ok()
        assert await guest.tcp("shutdown", server.socket, "receive") == Ok()
        assert await guest.call(READ, server.input, 10) == CLOSED
        for _ in range(4):
            assert await guest.call(CHECK_WRITE, client.output) == Ok(CAPACITY)
            assert await guest.call(WRITE, client.output, bytes(CAPACITY)) == Ok()
        assert await guest.call(BLOCKING_WRITE, server.output, b"still here") == Ok()
        assert await guest.call(READ, client.input, 64) == Ok(b"still here")


@pytest.mark.parametrize("kept", ["input-stream", "output-stream"])
async def test_the_streams_of_an_accepted_socket_are_its_children(kept: str) -> None:
    async with networked() as guest:
        _, server = await pair(guest)
        if kept == "input-stream":
            await guest.call("streams#drop output-stream", server.output)
        else:
            await guest.call("streams#drop input-stream", server.input)
        with pytest.raises(Trap, match="resource has children"):
            await guest.call("tcp#drop tcp-socket", server.socket)


async def test_a_guest_that_is_cancelled_while_it_waits_for_itself_leaves_nothing() -> None:
    async with networked() as guest:
        listener, _ = await listen(guest)
        pollable = await guest.tcp("subscribe", listener)
        waiting = asyncio.create_task(guest.call(BLOCK, pollable))
        await asyncio.sleep(0)
        await guest.abort()
        with pytest.raises(asyncio.CancelledError):
            await waiting


# --- limits ------------------------------------------------------------------------------------------------


async def test_what_waits_to_be_accepted_counts_among_the_sockets() -> None:
    """Or a guest could leave any number behind in a listener, each with what was written into it."""
    async with networked() as guest:
        _, port = await listen(guest)
        for _ in range(MAX_SOCKETS - 2):
            client = await guest.connect(("127.0.0.1", port))
            await fill(guest, client.output)
            await close(guest, client)
        tcp = await guest.create("tcp", "ipv4")
        assert await guest.try_connect(tcp, at("127.0.0.1", port)) == LIMIT
        assert await guest.call("udp-create-socket#create-udp-socket", "ipv4") == LIMIT


async def test_an_accepted_socket_is_counted_once_and_until_it_is_dropped() -> None:
    async with networked() as guest:
        for _ in range(MAX_SOCKETS):
            for end in await pair(guest):
                await close(guest, end)
        handles = [await guest.create("tcp", "ipv4") for _ in range(MAX_SOCKETS)]
        assert await guest.call("tcp-create-socket#create-tcp-socket", "ipv4") == LIMIT
        for handle in handles:
            await guest.call("tcp#drop tcp-socket", handle)
        await listen(guest)


# --- datagrams ---------------------------------------------------------------------------------------------


async def test_datagrams_go_to_whom_they_are_addressed(family: str) -> None:
    async with networked() as guest:
        one, one_port = await bound_udp(guest, LOOPBACK[family])
        other, other_port = await bound_udp(guest, ANYWHERE[family], 5353)
        _, outgoing = await streams(guest, one)
        incoming, back = await streams(guest, other)
        pollable = await guest.call(SUBSCRIBE_INCOMING, incoming)
        assert not await guest.call(READY, pollable)
        assert await send(guest, outgoing, b"hello", at(LOOPBACK[family], other_port)) == Ok(1)
        await guest.call(BLOCK, pollable)
        here = at(LOOPBACK[family], one_port)
        assert await guest.call(RECEIVE, incoming, 16) == Ok(
            [{"data": b"hello", "remote-address": here}]
        )
        assert await guest.call(RECEIVE, incoming, 16) == Ok([])
        assert await send(guest, back, b"", here) == Ok(1)


async def test_only_the_peer_is_heard_even_if_others_were_there_before(family: str) -> None:
    async with networked() as guest:
        udp, port = await bound_udp(guest, LOOPBACK[family])
        sources = []
        for data in (b"A", b"B"):
            source, source_port = await bound_udp(guest, LOOPBACK[family])
            _, outgoing = await streams(guest, source, at(LOOPBACK[family], port))
            assert await send(guest, outgoing, data) == Ok(1)
            sources.append((at(LOOPBACK[family], source_port), outgoing))
        peer, _ = sources[1]
        incoming, _ = await streams(guest, udp, peer)
        assert await guest.udp("remote-address", udp) == Ok(peer)
        assert await guest.udp("local-address", udp) == Ok(at(LOOPBACK[family], port))
        for _, outgoing in sources:
            await send(guest, outgoing, b"C")
        assert await guest.call(RECEIVE, incoming, 16) == Ok(
            [{"data": data, "remote-address": peer} for data in (b"B", b"C")]
        )


async def test_a_peer_that_is_not_there_any_more_is_told_by_receive(family: str) -> None:
    async with networked() as guest:
        gone, gone_port = await bound_udp(guest, LOOPBACK[family])
        udp, _ = await bound_udp(guest, LOOPBACK[family])
        incoming, outgoing = await streams(guest, udp, at(LOOPBACK[family], gone_port))
        await guest.call("udp#drop udp-socket", gone)
        assert await send(guest, outgoing, b"anyone?") == Ok(1)
        await guest.block("udp#incoming-datagram-stream", incoming)
        assert await guest.call(RECEIVE, incoming, 16) == REFUSED
        assert await guest.call(RECEIVE, incoming, 16) == Ok([])


async def test_datagrams_that_nobody_takes_are_dropped_when_too_many_wait() -> None:
    async with networked() as guest:
        udp, port = await bound_udp(guest)
        source, _ = await bound_udp(guest)
        _, outgoing = await streams(guest, source, at("127.0.0.1", port))
        for data, rounds in ((b"", 64), (bytes(MAX_SIZE["ipv4"]), 1)):
            for _ in range(rounds):
                assert await guest.call(CHECK_SEND, outgoing) == Ok(16)
                sent = [{"data": data, "remote-address": None}] * 16
                assert await guest.call(SEND, outgoing, sent) == Ok(16)
            incoming, back = await streams(guest, udp)
            kept = 0
            while received := (await guest.call(RECEIVE, incoming, 1)).value:
                kept += len(received)
            assert 0 < kept * (len(data) + 1) <= MAX_WAITING + MAX_SIZE["ipv4"]
            assert kept < rounds * 16
            await guest.call("udp#drop incoming-datagram-stream", incoming)
            await guest.call("udp#drop outgoing-datagram-stream", back)


async def test_a_datagram_that_is_too_large_is_told(family: Family) -> None:
    async with networked() as guest:
        udp, port = await bound_udp(guest, LOOPBACK[family])
        _, outgoing = await streams(guest, udp)
        here = at(LOOPBACK[family], port)
        assert await send(guest, outgoing, bytes(MAX_SIZE[family]), here) == Ok(1)
        too_large = await send(guest, outgoing, bytes(MAX_SIZE[family] + 1), here)
        assert too_large == Err("datagram-too-large")


# --- beside what is granted outside ------------------------------------------------------------------------


async def test_a_guests_own_listener_is_meant_before_one_of_the_host(family: str) -> None:
    """The policy allows the port outside, where somebody listens; what the guest has there itself is its own."""
    with listening(family) as outside:
        host, port = outside.address[:2]
        async with networked(*ALL_LOOPBACK) as guest:
            await guest.connect(outside.address)
            peer = await outside.accept()
            listener, _ = await listen(guest, host, port)
            await guest.connect((host, port))
            await accept(guest, listener)
            assert len(Descriptor.open) == 1
            await guest.call("tcp#drop tcp-socket", listener)
            await guest.connect((host, port))
            (await outside.accept()).close()
        peer.close()


async def test_what_is_bound_in_the_loopback_reaches_nothing_outside(family: str) -> None:
    with listening(family) as outside:
        peer = at(*outside.address[:2])
        elsewhere = at("192.0.2.1" if family == "ipv4" else "2001:db8::1", 443)
        async with networked("*://*:*", *ALL_LOOPBACK) as guest:
            with capture_logs() as logs:
                for remote, refused in ((peer, REFUSED), (elsewhere, DENIED)):
                    tcp = await guest.create("tcp", family)
                    assert await guest.bind("tcp", tcp, at(LOOPBACK[family])) == Ok()
                    assert await guest.try_connect(tcp, remote) == refused
                udp, _ = await bound_udp(guest, LOOPBACK[family])
                assert await guest.udp("stream", udp, elsewhere) == DENIED
            assert {log["rule"] for log in logs} == {
                "the socket is bound to an address of the guest's own loopback"
            }
            assert not Descriptor.open


async def test_a_datagram_from_outside_is_not_taken_for_one_of_the_guests_own() -> None:
    """An outsider that may be heard has the port of one of the guest's own sockets; its datagrams are dropped."""
    with datagrams() as outside:
        host, port = outside.address[:2]
        async with networked(*ALL_LOOPBACK) as guest:
            udp, incoming, _ = await guest.datagrams("ipv4")
            here = port_of(await guest.udp("local-address", udp))
            own, _ = await bound_udp(guest, host, port)
            outside.send_datagram(b"from outside", here)
            _, outgoing = await streams(guest, own)
            assert await send(guest, outgoing, b"own", at("127.0.0.1", here)) == Ok(1)
            own_address = at(host, port)
            for expected in ([{"data": b"own", "remote-address": own_address}], []):
                assert await guest.call(RECEIVE, incoming, 16) == Ok(expected)
            await guest.call("udp#drop outgoing-datagram-stream", outgoing)


async def test_a_socket_with_a_peer_outside_hears_nobody_inside() -> None:
    with datagrams() as outside:
        async with networked(*ALL_LOOPBACK) as guest:
            udp, incoming, _ = await guest.datagrams("ipv4", outside.address)
            here = port_of(await guest.udp("local-address", udp))
            # Under the very address of the peer.
            own, _ = await bound_udp(guest, *outside.address[:2])
            _, outgoing = await streams(guest, own)
            assert await send(guest, outgoing, b"own", at("127.0.0.1", here)) == Ok(1)
            assert await guest.call(RECEIVE, incoming, 16) == Ok([])
            outside.send_datagram(b"outside", here)
            pollable = await guest.call(SUBSCRIBE_INCOMING, incoming)
            waiting = asyncio.create_task(guest.call(BLOCK, pollable))
            await asyncio.wait_for(waiting, PATIENCE)
            received = await guest.call(RECEIVE, incoming, 16)
            assert [datagram["data"] for datagram in received.value] == [b"outside"]


async def test_an_outsider_cannot_send_to_what_is_bound_in_the_loopback(family: Family) -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        udp, port = await bound_udp(guest, LOOPBACK[family])
        incoming, _ = await streams(guest, udp)
        with socket.socket(FAMILIES[family], socket.SOCK_DGRAM) as outsider:
            outsider.sendto(b"psst", (LOOPBACK[family], port))
            assert await guest.call(RECEIVE, incoming, 16) == Ok([])
        assert not Descriptor.open


async def test_a_port_that_was_left_open_is_none_that_is_granted_outside(family: Family) -> None:
    """Half of the ports are granted: by chance alone, one in two would be one of them."""
    host = LOOPBACK[family]
    granted = f"*://[{host}]" if family == "ipv6" else f"*://{host}"
    async with networked(f"{granted}:49152-57343") as guest:
        for _ in range(16):
            udp, port = await bound_udp(guest, host)
            assert port > 57343
            tcp = await guest.create("tcp", family)
            assert await guest.bind("tcp", tcp, at(host)) == Ok()
            assert port_of(await guest.tcp("local-address", tcp)) > 57343
            await guest.call("udp#drop udp-socket", udp)
            await guest.call("tcp#drop tcp-socket", tcp)


@pytest.mark.parametrize(
    "granted", [(), (range(1, 65536),), (range(1, 50000), range(60000, 65536))]
)
def test_the_policy_is_asked_once_for_a_port_that_was_left_open(granted: tuple[range, ...]) -> None:
    """Not for each port that comes into question: an entry may be for all of them."""
    asked = []

    def granted_ports(transport: Transport, address: IPAddress) -> tuple[range, ...]:
        asked.append((transport, str(address)))
        return granted

    loopback = Loopback(granted_ports)
    for ip in (ADDRESSES["ipv4"], IPv4Address(0)):
        assert loopback.bind("tcp", SocketAddress(ip, 0)).address.port >= 49152
    assert asked == [("tcp", "127.0.0.1")] * 2
