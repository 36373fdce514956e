"""wasi:sockets: the options of sockets."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.host.values import Err, Ok
from tests.bindings.sockets.guest import ALL_LOOPBACK, OPTIONS, SocketsGuest, networked

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("version")]

SECOND = 1_000_000_000
MOST = {"u8": 2**8 - 1, "u32": 2**32 - 1, "u64": 2**64 - 1}

NUMBERS = [
    (kind, name, ty)
    for kind, options in OPTIONS.items()
    for name, ty in options.items()
    if ty in MOST
]
"""The options of both kinds of socket that are numbers."""


async def get(guest: SocketsGuest, kind: str, handle: int, name: str) -> Any:
    value = await guest.option(kind, handle, name)
    assert isinstance(value, Ok), value
    return value.value


async def put(guest: SocketsGuest, kind: str, handle: int, name: str, value: Any) -> Any:
    return await guest.set_option(kind, handle, name, value)


@pytest.mark.parametrize(("kind", "name", "ty"), NUMBERS)
async def test_a_number_has_a_default_may_not_be_0_and_is_clamped(
    kind: str, name: str, ty: str, family: str
) -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        handle = await guest.create(kind, family)
        default = await get(guest, kind, handle, name)
        assert default > 0
        assert await put(guest, kind, handle, name, 0) == Err("invalid-argument")
        assert await get(guest, kind, handle, name) == default
        for extreme in (1, MOST[ty]):
            assert await put(guest, kind, handle, name, extreme) == Ok()
            assert 0 < await get(guest, kind, handle, name) <= MOST[ty]


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("tcp", "keep-alive-enabled", True),
        ("tcp", "keep-alive-enabled", False),
        ("tcp", "keep-alive-idle-time", 42 * SECOND),
        ("tcp", "keep-alive-interval", 42 * SECOND),
        ("tcp", "keep-alive-count", 42),
        ("tcp", "hop-limit", 42),
        ("tcp", "receive-buffer-size", 0x10000),
        ("tcp", "send-buffer-size", 0x10000),
        ("udp", "unicast-hop-limit", 42),
        ("udp", "receive-buffer-size", 0x10000),
        ("udp", "send-buffer-size", 0x10000),
    ],
)
async def test_what_was_set_is_read_back(kind: str, name: str, value: Any, family: str) -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        handle = await guest.create(kind, family)
        assert await put(guest, kind, handle, name, value) == Ok()
        assert await get(guest, kind, handle, name) == value


@pytest.mark.parametrize("name", ["keep-alive-idle-time", "keep-alive-interval"])
async def test_a_duration_is_rounded_up_to_what_the_system_counts_in(name: str) -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        tcp = await guest.create("tcp", "ipv4")
        for given, rounded in ((1, 1), (SECOND, 1), (SECOND + 1, 2), (10**18, 32767)):
            assert await put(guest, "tcp", tcp, name, given) == Ok()
            assert await get(guest, "tcp", tcp, name) == rounded * SECOND


async def test_a_backlog_of_0_is_refused_and_any_other_ignored() -> None:
    async with networked(*ALL_LOOPBACK) as guest:
        tcp = await guest.create("tcp", "ipv4")
        assert await guest.tcp("set-listen-backlog-size", tcp, 0) == Err("invalid-argument")
        for size in (1, MOST["u64"]):
            assert await guest.tcp("set-listen-backlog-size", tcp, size) == Ok()
