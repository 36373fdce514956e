"""Sockets of WASI 0.3, where they are unlike those of 0.2."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.host.values import Err, Ok
from tests.bindings.sockets.guest import ALL_LOOPBACK, SocketsGuest03, at, networked, port_of
from tests.bindings.version import Version

pytestmark = pytest.mark.anyio

HERE, BEYOND = at("127.0.0.1", 7000), at("192.0.2.1", 9)


@pytest.fixture(autouse=True)
def _of_wasi_0_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Version, "of_test", "0.3")


async def test_the_port_of_a_listener_is_free_once_its_socket_and_its_stream_are_dropped() -> None:
    async with networked() as guest:
        listening = await guest.create("tcp", "ipv4")
        assert await guest.bind("tcp", listening, HERE) == Ok()
        connections = (await guest.tcp("listen", listening)).value
        await guest.drop("tcp", listening)
        another = await guest.create("tcp", "ipv4")
        assert await guest.bind("tcp", another, HERE) == Err("address-in-use")
        await guest.call("ends#connections.drop-readable", connections)
        assert await guest.bind("tcp", another, HERE) == Ok()


async def test_the_port_of_a_connection_is_free_once_its_socket_is_dropped() -> None:
    async with networked() as guest:
        assert isinstance(guest, SocketsGuest03)
        listening = await guest.create("tcp", "ipv4")
        connections = (await guest.tcp("listen", listening)).value
        port = port_of(await guest.local_address("tcp", listening))
        connecting = await guest.create("tcp", "ipv4")
        assert await guest.bind("tcp", connecting, HERE) == Ok()
        assert await guest.try_connect(connecting, at("127.0.0.1", port)) == Ok()
        data, sent = await guest.new("bytes")
        await guest.tcp("send", connecting, data)
        ([accepted], _) = await guest.read("connections", connections, 1)
        received, _ = await guest.tcp("receive", accepted)
        await guest.drop("tcp", connecting)
        another = await guest.create("tcp", "ipv4")
        assert await guest.bind("tcp", another, HERE) == Ok()
        # The connection goes on.
        assert await guest.write("bytes", sent, b"ping") == (4, False)
        assert await guest.read("bytes", received, 8) == (list(b"ping"), False)


@pytest.mark.parametrize(
    ("method", "arguments", "code"),
    [
        ("send", (b"", None), "invalid-argument"),
        ("send", (b"", at("::1", 9)), "invalid-argument"),
        ("send", (b"", at("127.0.0.1")), "invalid-argument"),
        ("send", (b"", BEYOND), "access-denied"),
        ("send", (bytes(65_508), at("127.0.0.1", 9)), "datagram-too-large"),
        ("connect", (BEYOND,), "access-denied"),
        ("connect", (at("127.0.0.1"),), "invalid-argument"),
    ],
)
async def test_a_socket_that_could_not_send_has_no_address(
    method: str, arguments: tuple[Any, ...], code: str
) -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        udp = await guest.create("udp", "ipv4")
        assert await guest.udp(method, udp, *arguments) == Err(code)
        assert await guest.local_address("udp", udp) == Err("invalid-state")
        assert await guest.udp("send", udp, b"", at("127.0.0.1", 9)) == Ok()
        assert port_of(await guest.local_address("udp", udp)) > 0
