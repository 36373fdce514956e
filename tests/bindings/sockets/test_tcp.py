"""wasi:sockets, TCP: from a new socket to a connection, for what the policy allows."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.bindings.sockets.addresses import FAMILIES, Family
from gateway.bindings.sockets.descriptor import Descriptor
from gateway.host.errors import Trap
from gateway.host.values import Err, Ok
from tests.bindings.sockets.guest import (
    ALL_LOOPBACK,
    ANYWHERE,
    BLOCK,
    BLOCKING_READ,
    LOOPBACK,
    READY,
    WRITE,
    SocketsGuest,
    at,
    networked,
    port_of,
)
from tests.bindings.sockets.peer import closed, listening, unanswering

pytestmark = pytest.mark.anyio

INVALID_STATE = Err("invalid-state")
NOT_IN_PROGRESS = Err("not-in-progress")
CONFLICT = Err("concurrency-conflict")
DENIED = Err("access-denied")
INVALID_ARGUMENT = Err("invalid-argument")


# --- states ------------------------------------------------------------------------------------------------


async def test_an_unbound_socket(family: str) -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        tcp = await guest.create("tcp", family)
        assert await guest.tcp("finish-bind", tcp) == NOT_IN_PROGRESS
        assert await guest.tcp("finish-connect", tcp) == NOT_IN_PROGRESS
        assert await guest.tcp("start-listen", tcp) == INVALID_STATE
        await _is_no_listener(guest, tcp)
        assert await guest.tcp("shutdown", tcp, "both") == INVALID_STATE
        assert await guest.tcp("local-address", tcp) == INVALID_STATE
        assert await guest.tcp("remote-address", tcp) == INVALID_STATE
        assert await guest.tcp("address-family", tcp) == family
        assert await guest.tcp("set-listen-backlog-size", tcp, 32) == Ok()
        assert await guest.tcp("keep-alive-enabled", tcp) == Ok(False)
        pollable = await guest.tcp("subscribe", tcp)
        assert await guest.call(READY, pollable)


async def test_a_bound_socket(family: str) -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        tcp = await guest.create("tcp", family)
        assert await guest.bind("tcp", tcp, at(ANYWHERE[family])) == Ok()
        again = await guest.tcp("start-bind", tcp, guest.network, at(ANYWHERE[family]))
        assert again == INVALID_STATE
        assert await guest.tcp("finish-bind", tcp) == NOT_IN_PROGRESS
        assert await guest.tcp("finish-connect", tcp) == NOT_IN_PROGRESS
        await _is_no_listener(guest, tcp)
        assert await guest.tcp("shutdown", tcp, "both") == INVALID_STATE
        local = await guest.tcp("local-address", tcp)
        assert local == Ok(at(ANYWHERE[family], port_of(local)))
        assert port_of(local) != 0
        assert await guest.tcp("remote-address", tcp) == INVALID_STATE
        assert await guest.tcp("address-family", tcp) == family
        assert await guest.tcp("set-listen-backlog-size", tcp, 32) == Ok()


async def test_a_connected_socket(family: str) -> None:
    with listening(family) as listener:
        async with networked(*ALL_LOOPBACK) as guest:
            tcp = (await guest.connect(listener.address)).socket
            peer = await listener.accept()
            bound = await guest.tcp("start-bind", tcp, guest.network, at(ANYWHERE[family]))
            assert bound == INVALID_STATE
            assert await guest.tcp("finish-bind", tcp) == NOT_IN_PROGRESS
            remote = at(*listener.address[:2])
            assert await guest.tcp("start-connect", tcp, guest.network, remote) == INVALID_STATE
            assert await guest.tcp("finish-connect", tcp) == NOT_IN_PROGRESS
            assert await guest.tcp("start-listen", tcp) == INVALID_STATE
            await _is_no_listener(guest, tcp)
            assert await guest.tcp("remote-address", tcp) == Ok(remote)
            local = await guest.tcp("local-address", tcp)
            assert local == Ok(at(LOOPBACK[family], port_of(local)))
            assert await guest.tcp("address-family", tcp) == family
            assert await guest.tcp("set-listen-backlog-size", tcp, 32) == INVALID_STATE
            assert await guest.tcp("set-hop-limit", tcp, 255) == Ok()
        peer.close()


async def _is_no_listener(guest: SocketsGuest, tcp: int) -> None:
    assert await guest.tcp("finish-listen", tcp) == NOT_IN_PROGRESS
    assert await guest.tcp("accept", tcp) == INVALID_STATE
    assert await guest.tcp("is-listening", tcp) is False


async def test_what_was_started_must_be_finished_before_anything_else_is_started(
    family: str,
) -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        tcp = await guest.create("tcp", family)
        anywhere = at(ANYWHERE[family])
        assert await guest.tcp("start-bind", tcp, guest.network, anywhere) == Ok()
        assert await guest.tcp("start-bind", tcp, guest.network, anywhere) == CONFLICT
        remote = at(LOOPBACK[family], 1)
        assert await guest.tcp("start-connect", tcp, guest.network, remote) == CONFLICT
        assert await guest.tcp("start-listen", tcp) == CONFLICT
        assert await guest.tcp("local-address", tcp) == INVALID_STATE
        assert await guest.tcp("finish-connect", tcp) == NOT_IN_PROGRESS
        assert await guest.tcp("finish-bind", tcp) == Ok()


async def test_a_connecting_socket(family: str) -> None:
    with unanswering(family) as address:
        async with networked(*ALL_LOOPBACK) as guest:
            tcp = await guest.create("tcp", family)
            remote = at(*address[:2])
            assert await guest.tcp("start-connect", tcp, guest.network, remote) == Ok()
            pollable = await guest.tcp("subscribe", tcp)
            assert not await guest.call(READY, pollable)
            assert await guest.tcp("finish-connect", tcp) == Err("would-block")
            assert await guest.tcp("start-connect", tcp, guest.network, remote) == CONFLICT
            anywhere = at(ANYWHERE[family])
            assert await guest.tcp("start-bind", tcp, guest.network, anywhere) == CONFLICT
            assert await guest.tcp("start-listen", tcp) == CONFLICT
            assert await guest.tcp("finish-bind", tcp) == NOT_IN_PROGRESS
            assert await guest.tcp("shutdown", tcp, "both") == INVALID_STATE
            assert await guest.tcp("local-address", tcp) == INVALID_STATE
            assert await guest.tcp("remote-address", tcp) == INVALID_STATE
            assert await guest.tcp("set-listen-backlog-size", tcp, 32) == INVALID_STATE
            assert await guest.tcp("set-keep-alive-enabled", tcp, True) == Ok()


# --- bind and listen ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("version")
async def test_a_socket_may_be_bound_to_what_the_system_chooses_and_then_connect_from_there(
    family: str,
) -> None:
    async def bound_and_connected(guest: SocketsGuest, address: tuple[str, int]) -> tuple[int, int]:
        tcp = await guest.create("tcp", family)
        assert await guest.bind("tcp", tcp, at(ANYWHERE[family])) == Ok()
        bound = await guest.local_address("tcp", tcp)
        assert isinstance(await guest.try_connect(tcp, at(*address)), Ok)
        connected = await guest.local_address("tcp", tcp)
        assert connected == Ok(at(LOOPBACK[family], port_of(connected)))
        return port_of(bound), port_of(connected)

    with listening(family) as listener:
        async with networked(*ALL_LOOPBACK) as guest:
            # It is another port where somebody outside has the one that was chosen, which nobody can rule out.
            ports = [await bound_and_connected(guest, listener.address[:2]) for _ in range(5)]
    assert any(bound == connected for bound, connected in ports)


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize(
    ("family", "host"),
    [("ipv4", "192.0.2.1"), ("ipv4", "10.0.0.1"), ("ipv6", "2001:db8::1"), ("ipv6", "fe80::1")],
)
@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_no_socket_can_be_bound_to_an_address_that_is_not_the_guests(
    kind: str, family: str, host: str
) -> None:
    async with networked("*://*:*", *ALL_LOOPBACK) as guest:
        handle = await guest.create(kind, family)
        with capture_logs() as logs:
            assert await guest.bind(kind, handle, at(host)) == Err("address-not-bindable")
        assert [log["rule"] for log in logs] == [
            "a guest has no addresses but those of its own loopback"
        ]
        assert await guest.bind(kind, handle, at(ANYWHERE[family])) == Ok()


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize(
    ("family", "host"),
    [
        ("ipv4", "::"),
        ("ipv6", "0.0.0.0"),  # noqa: S104
        ("ipv6", "::ffff:127.0.0.1"),
        ("ipv6", "::ffff:0.0.0.0"),
        ("ipv6", "::127.0.0.1"),
        ("ipv4", "255.255.255.255"),
        ("ipv4", "224.254.0.0"),
        ("ipv6", "ff00::"),
    ],
)
@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_no_socket_can_be_bound_to_what_is_no_address_of_one(
    kind: str, family: str, host: str
) -> None:
    async with networked("*://*:*") as guest:
        handle = await guest.create(kind, family)
        assert await guest.bind(kind, handle, at(host)) == INVALID_ARGUMENT
        assert await guest.bind(kind, handle, at(ANYWHERE[family])) == Ok()


async def test_what_a_guest_listens_on_cannot_be_reached_from_outside(family: Family) -> None:
    async with networked("*://*:*", *ALL_LOOPBACK) as guest:
        tcp = await guest.create("tcp", family)
        assert await guest.bind("tcp", tcp, at(ANYWHERE[family])) == Ok()
        assert await guest.tcp("start-listen", tcp) == Ok()
        assert await guest.tcp("finish-listen", tcp) == Ok()
        assert not Descriptor.open
        with socket.socket(FAMILIES[family]) as outsider:
            port = port_of(await guest.tcp("local-address", tcp))
            assert outsider.connect_ex((LOOPBACK[family], port)) == errno.ECONNREFUSED


# --- connect -----------------------------------------------------------------------------------------------


UNUSABLE = [
    ("ipv4", "::1", 80),
    ("ipv6", "127.0.0.1", 80),
    ("ipv6", "::ffff:127.0.0.1", 80),
    ("ipv6", "::127.0.0.1", 80),
    ("ipv4", "127.0.0.1", 0),
    ("ipv6", "::1", 0),
    ("ipv4", "0.0.0.0", 80),  # noqa: S104
    ("ipv6", "::", 80),
]
"""Addresses that no remote socket can be at, or none of this family."""

NOT_UNICAST = [("ipv4", "255.255.255.255", 80), ("ipv4", "224.254.0.0", 80), ("ipv6", "ff00::", 80)]


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize(("family", "host", "port"), UNUSABLE + NOT_UNICAST)
async def test_what_can_be_no_peer_is_refused_at_once_and_the_socket_stays_usable(
    family: str, host: str, port: int
) -> None:
    with listening(family) as listener:
        async with networked("*://*:*", *ALL_LOOPBACK) as guest:
            tcp = await guest.create("tcp", family)
            assert await guest.try_connect(tcp, at(host, port)) == INVALID_ARGUMENT
            assert isinstance(await guest.try_connect(tcp, at(*listener.address[:2])), Ok)


async def test_a_peer_that_is_not_allowed_is_denied_by_finish_connect(family: str) -> None:
    with listening(family) as listener:
        host, port = listener.address[:2]
        async with networked(f"tcp://example.com:{port}", f"udp://*:{port}") as guest:
            tcp = await guest.create("tcp", family)
            with capture_logs() as logs:
                started = await guest.tcp("start-connect", tcp, guest.network, at(host, port))
            assert started == Ok()
            await guest.block("tcp#tcp-socket", tcp)
            assert await guest.tcp("finish-connect", tcp) == DENIED
            assert [log["target"] for log in logs] == [
                f"tcp://[{host}]:{port}" if family == "ipv6" else f"tcp://{host}:{port}"
            ]
            await _is_of_no_more_use(guest, tcp, listener.address, DENIED)


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("port", [1, 443])
async def test_an_entry_for_other_ports_does_not_allow_this_one(port: int) -> None:
    async with networked("tcp://127.0.0.1:8000-8100") as guest:
        tcp = await guest.create("tcp", "ipv4")
        assert await guest.try_connect(tcp, at("127.0.0.1", port)) == DENIED


@pytest.mark.usefixtures("version")
async def test_a_special_address_is_denied_unless_it_is_named() -> None:
    with listening() as listener:
        async with networked("tcp://*:*") as guest:
            tcp = await guest.create("tcp", "ipv4")
            assert await guest.try_connect(tcp, at(*listener.address)) == DENIED


async def test_a_refused_connection_is_told_and_the_socket_is_of_no_more_use(family: str) -> None:
    with closed(family) as address:
        async with networked(*ALL_LOOPBACK) as guest:
            tcp = await guest.create("tcp", family)
            refused = Err("connection-refused")
            assert await guest.try_connect(tcp, at(*address[:2])) == refused
            await _is_of_no_more_use(guest, tcp, address, refused)


async def _is_of_no_more_use(guest: SocketsGuest, tcp: int, address: Any, why: Err) -> None:
    assert not Descriptor.open
    assert await guest.tcp("finish-connect", tcp) == NOT_IN_PROGRESS
    remote = at(*address[:2])
    assert await guest.tcp("start-connect", tcp, guest.network, remote) == INVALID_STATE
    assert await guest.tcp("local-address", tcp) == why
    assert await guest.tcp("remote-address", tcp) == why
    assert await guest.tcp("hop-limit", tcp) == why
    assert await guest.tcp("set-hop-limit", tcp, 1) == why
    pollable = await guest.tcp("subscribe", tcp)
    assert await guest.call(READY, pollable)
    await guest.call("poll#drop pollable", pollable)
    await guest.call("tcp#drop tcp-socket", tcp)


@pytest.mark.usefixtures("version")
async def test_a_flow_may_be_anything() -> None:
    with listening("ipv6") as listener:
        async with networked(*ALL_LOOPBACK) as guest:
            tcp = await guest.create("tcp", "ipv6")
            host, port, *_ = listener.address
            remote = at(host, port, 2**32 - 1)
            assert isinstance(await guest.try_connect(tcp, remote), Ok)
            assert await guest.option("tcp", tcp, "remote-address") == Ok(remote)


@pytest.mark.usefixtures("version")
async def test_a_zone_that_this_machine_does_not_have_is_no_way_to_a_peer() -> None:
    async with networked("tcp://[fe80::1]:80") as guest:
        tcp = await guest.create("tcp", "ipv6")
        remote = at("fe80::1", 80, 0, 2**32 - 1)
        assert isinstance(await guest.try_connect(tcp, remote), Err)


async def test_nagles_algorithm_does_not_hold_back_what_the_guest_has_flushed() -> None:
    with listening() as listener:
        async with networked(*ALL_LOOPBACK) as guest:
            await guest.connect(listener.address)
            [descriptor] = Descriptor.open
            assert descriptor.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# --- resources ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["input-stream", "output-stream"])
async def test_a_socket_with_a_stream_cannot_be_dropped(kept: str) -> None:
    with listening() as listener:
        async with networked(*ALL_LOOPBACK) as guest:
            connection = await guest.connect(listener.address)
            if kept == "input-stream":
                await guest.call("streams#drop output-stream", connection.output)
            else:
                await guest.call("streams#drop input-stream", connection.input)
            with pytest.raises(Trap, match="resource has children"):
                await guest.call("tcp#drop tcp-socket", connection.socket)


async def test_a_socket_with_a_pollable_cannot_be_dropped() -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        tcp = await guest.create("tcp", "ipv4")
        await guest.tcp("subscribe", tcp)
        with pytest.raises(Trap, match="resource has children"):
            await guest.call("tcp#drop tcp-socket", tcp)


async def test_dropping_streams_and_socket_closes_the_connection() -> None:
    with listening() as listener:
        async with networked(*ALL_LOOPBACK) as guest:
            connection = await guest.connect(listener.address)
            peer = await listener.accept()
            await guest.call("streams#drop input-stream", connection.input)
            await guest.call("streams#drop output-stream", connection.output)
            await guest.call("tcp#drop tcp-socket", connection.socket)
            assert not Descriptor.open
            assert await peer.receive() == b""
        peer.close()


async def test_a_guest_that_returns_without_dropping_anything_leaves_nothing() -> None:
    with listening() as listener:
        async with networked(*ALL_LOOPBACK) as guest:
            await guest.connect(listener.address)
            peer = await listener.accept()
        assert not Descriptor.open
        assert await peer.receive() == b""
        peer.close()


async def test_a_guest_that_traps_leaves_nothing() -> None:
    with listening() as listener:
        async with networked(*ALL_LOOPBACK) as guest:
            connection = await guest.connect(listener.address)
            with pytest.raises(Trap, match="check-write"):
                await guest.call(WRITE, connection.output, b"without having asked")
            assert not Descriptor.open


@pytest.mark.parametrize("waits", ["to connect", "to read"])
async def test_a_guest_that_is_cancelled_while_it_waits_leaves_nothing(waits: str) -> None:
    with listening() as listener, unanswering() as address:
        async with networked(*ALL_LOOPBACK) as guest:
            if waits == "to read":
                connection = await guest.connect(listener.address)
                waiting = asyncio.create_task(guest.call(BLOCKING_READ, connection.input, 1))
            else:
                tcp = await guest.create("tcp", "ipv4")
                await guest.tcp("start-connect", tcp, guest.network, at(*address))
                pollable = await guest.tcp("subscribe", tcp)
                waiting = asyncio.create_task(guest.call(BLOCK, pollable))
            [descriptor] = Descriptor.open
            await _until_watched(descriptor)
            assert not waiting.done()
            await guest.abort()
            assert not Descriptor.open
            with pytest.raises(asyncio.CancelledError):
                await waiting


async def _until_watched(descriptor: Descriptor) -> None:
    """Wait until the loop watches a socket."""
    while not (descriptor.readable._waiters or descriptor.writable._waiters):  # noqa: ASYNC110
        await asyncio.sleep(0)  # nothing tells of it


async def test_a_poll_tells_the_connection_that_is_made_from_the_one_that_is_not() -> None:
    with listening() as listener, unanswering() as address:
        async with networked(*ALL_LOOPBACK) as guest:
            pollables = []
            for remote in (address, listener.address):
                tcp = await guest.create("tcp", "ipv4")
                await guest.tcp("start-connect", tcp, guest.network, at(*remote))
                pollables.append(await guest.tcp("subscribe", tcp))
            assert await guest.call("poll#poll", [*pollables, pollables[0]]) == [1]


async def test_what_is_waited_for_no_more_is_not_watched_any_more() -> None:
    with listening() as listener:
        async with networked(*ALL_LOOPBACK) as guest:
            pollables, peers = [], []
            for _ in range(2):
                connection = await guest.connect(listener.address)
                peers.append(await listener.accept())
                pollable = await guest.call("streams#input-stream.subscribe", connection.input)
                pollables.append(pollable)
            polling = asyncio.create_task(guest.call("poll#poll", pollables))
            for descriptor in Descriptor.open:
                await _until_watched(descriptor)
            await peers[1].send(b"hello")
            assert await polling == [1]
            for descriptor in Descriptor.open:
                assert descriptor.readable._loop is None
        for peer in peers:
            peer.close()
