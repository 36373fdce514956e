"""wasi:sockets, denied: what a guest sees without a policy, or with one that is about other things."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from gateway.bindings.sockets import WasiSocketsCtx
from gateway.host.errors import Trap
from gateway.host.values import Err
from tests.sockets.guest import networked, never, policy

pytestmark = pytest.mark.anyio

HTTP_ONLY = ("http://127.0.0.1:80", "https://*:443")


async def test_instance_network_always_gives_a_handle_that_can_be_dropped() -> None:
    async with networked() as guest:
        second = await guest.call("instance-network#instance-network")
        assert second != guest.network
        await guest.call("network#drop network", second)


@pytest.mark.parametrize("entries", [(), HTTP_ONLY], ids=["nothing", "http"])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_creating_a_socket_is_denied(kind: str, family: str, entries: tuple[str]) -> None:
    async with networked(*entries) as guest:
        function = f"{kind}-create-socket#create-{kind}-socket"
        assert await guest.call(function, family) == Err("access-denied")


@pytest.mark.parametrize("entries", [(), HTTP_ONLY], ids=["nothing", "http"])
@pytest.mark.parametrize("name", ["example.org", "localhost", "127.0.0.1", "::1", ""])
async def test_no_name_is_resolved(name: str, entries: tuple[str]) -> None:
    async with networked(*entries) as guest:
        refused = await guest.call("ip-name-lookup#resolve-addresses", guest.network, name)
        assert refused == Err("permanent-resolver-failure")


@pytest.mark.parametrize(("granted", "denied"), [("tcp", "udp"), ("udp", "tcp")])
async def test_an_entry_of_one_transport_grants_no_socket_of_the_other(
    granted: str, denied: str
) -> None:
    async with networked(f"{granted}://127.0.0.1:80") as guest:
        await guest.create(granted, "ipv4")
        refused = await guest.call(f"{denied}-create-socket#create-{denied}-socket", "ipv4")
        assert refused == Err("access-denied")


@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_an_entry_of_every_scheme_grants_sockets(kind: str) -> None:
    async with networked("*://127.0.0.1:80") as guest:
        await guest.create(kind, "ipv4")


async def test_network_error_code_is_none_for_a_foreign_error() -> None:
    async with networked() as guest:
        error = await guest.call("foreign#make-error")
        assert await guest.call("network#network-error-code", error) is None


@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_a_forged_socket_traps(kind: str) -> None:
    async with networked() as guest:
        with pytest.raises(Trap, match="handle index"):
            await guest.call(f"{kind}#{kind}-socket.finish-bind", guest.network)


async def test_what_is_refused_is_logged_once_with_its_rule_and_whose_it_was() -> None:
    granted = WasiSocketsCtx(policy(HTTP_ONLY), never, {"component": "shop"})
    with capture_logs() as logs:
        async with networked(granted=granted) as guest:
            for _ in range(2):
                await guest.call("tcp-create-socket#create-tcp-socket", "ipv4")
    assert logs == [
        {
            "event": "socket refused",
            "log_level": "warning",
            "target": "tcp socket",
            "rule": "no entry of allowed_outbound_hosts is for it",
            "component": "shop",
        }
    ]


async def test_a_guest_that_tries_everything_does_not_fill_the_log() -> None:
    granted = WasiSocketsCtx(policy(["tcp://example.com:80"]), never)
    with capture_logs() as logs:
        async with networked(granted=granted) as guest:
            for number in range(100):
                name = f"host{number}.test"
                await guest.call("ip-name-lookup#resolve-addresses", guest.network, name)
    assert [log["target"] for log in logs] == [f"lookup of host{n}.test" for n in range(16)]
