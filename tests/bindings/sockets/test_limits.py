"""wasi:sockets: how many sockets guests may have."""

from __future__ import annotations

import pytest

from gateway.bindings.descriptors import Descriptors
from gateway.bindings.sockets import WasiSocketsCtx
from gateway.bindings.sockets.context import MAX_SOCKETS
from gateway.host.values import Err, Ok
from tests.bindings.sockets.guest import ALL_LOOPBACK, ANYWHERE, at, networked, never, policy
from tests.bindings.sockets.peer import listening

pytestmark = pytest.mark.anyio

LIMIT = Err("new-socket-limit")


async def test_one_invocation_has_so_many_sockets_at_once() -> None:
    async with networked(*ALL_LOOPBACK) as guest, networked(*ALL_LOOPBACK) as other:
        kinds = ["tcp", "udp"] * (MAX_SOCKETS // 2)
        handles = [await guest.create(kind, "ipv4") for kind in kinds]
        for kind in ("tcp", "udp"):
            assert await guest.call(f"{kind}-create-socket#create-{kind}-socket", "ipv4") == LIMIT
        await other.create("tcp", "ipv4")
        await guest.call("tcp#drop tcp-socket", handles[0])
        await guest.create("udp", "ipv6")


async def test_a_component_without_a_file_descriptor_left_is_told_so() -> None:
    share = Descriptors(3).share("tested")
    granted = [WasiSocketsCtx(policy(ALL_LOOPBACK), never, share=share) for _ in range(2)]
    with listening() as listener:
        async with networked(granted=granted[0]) as guest, networked(granted=granted[1]) as other:
            await guest.datagrams("ipv4")
            await guest.connect(listener.address)
            held = await other.connect(listener.address)
            udp = await other.create("udp", "ipv4")
            assert await other.bind("udp", udp, at(ANYWHERE["ipv4"])) == LIMIT
            tcp = await guest.create("tcp", "ipv4")
            assert await guest.try_connect(tcp, at(*listener.address)) == LIMIT
            # The loopback needs none.
            assert await other.bind("udp", udp, at("127.0.0.1")) == Ok()
            await other.call("streams#drop input-stream", held.input)
            await other.call("streams#drop output-stream", held.output)
            await other.call("tcp#drop tcp-socket", held.socket)
            await guest.connect(listener.address)
    assert share.used == 0
