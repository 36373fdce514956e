"""wasi:sockets: how many sockets guests may have."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from gateway.bindings.sockets.context import MAX_SOCKETS
from gateway.bindings.sockets.descriptor import Descriptor
from gateway.host.values import Err
from tests.sockets.guest import ALL_LOOPBACK, ANYWHERE, at, networked

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


@pytest.fixture
def _few_descriptors() -> Iterator[None]:
    """Limits this process to a few more file descriptors than two guests may have sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4 * MAX_SOCKETS - 8, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("_few_descriptors")
async def test_all_guests_together_leave_half_of_the_descriptors_to_others() -> None:
    async with networked(*ALL_LOOPBACK) as guest, networked(*ALL_LOOPBACK) as other:
        for _ in range(MAX_SOCKETS):
            await guest.datagrams("ipv4")
        for _ in range(MAX_SOCKETS - 4):
            await other.datagrams("ipv4")
        udp = await other.create("udp", "ipv4")
        assert await other.bind("udp", udp, at(ANYWHERE["ipv4"])) == LIMIT
        assert len(Descriptor.open) == 2 * MAX_SOCKETS - 4
