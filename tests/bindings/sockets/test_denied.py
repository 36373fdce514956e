"""wasi:sockets, denied: what a guest sees outside of its loopback where no entry of its policy is about that."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from gateway.bindings.sockets import WasiSocketsCtx
from gateway.host.errors import Trap
from gateway.host.values import Err, Ok
from tests.bindings.sockets.guest import ANYWHERE, at, networked, never, policy
from tests.bindings.sockets.peer import datagrams, listening

pytestmark = pytest.mark.anyio

DENIED = Err("access-denied")
OUTSIDE = {"ipv4": "192.0.2.1", "ipv6": "2001:db8::1"}

HTTP_ONLY = ("http://127.0.0.1:80", "https://*:443")


async def test_instance_network_always_gives_a_handle_that_can_be_dropped() -> None:
    async with networked() as guest:
        second = await guest.call("instance-network#instance-network")
        assert second != guest.network
        await guest.call("network#drop network", second)


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("entries", [(), HTTP_ONLY], ids=["nothing", "http"])
async def test_nothing_outside_can_be_connected_to(family: str, entries: tuple[str]) -> None:
    with listening(family) as listener:
        host, port = listener.address[:2]
        async with networked(*entries) as guest:
            for peer in (at(host, port), at(OUTSIDE[family], port)):
                tcp = await guest.create("tcp", family)
                assert await guest.try_connect(tcp, peer) == DENIED


@pytest.mark.parametrize("entries", [(), HTTP_ONLY], ids=["nothing", "http"])
async def test_nothing_outside_can_be_sent_to(family: str, entries: tuple[str]) -> None:
    with datagrams(family) as peer:
        host, port = peer.address[:2]
        async with networked(*entries) as guest:
            for there in (at(host, port), at(OUTSIDE[family], port)):
                udp, _, outgoing = await guest.datagrams(family)
                assert await guest.call("udp#outgoing-datagram-stream.check-send", outgoing) == Ok(
                    16
                )
                sent = {"data": b"", "remote-address": there}
                assert (
                    await guest.call("udp#outgoing-datagram-stream.send", outgoing, [sent])
                    == DENIED
                )
                other = await guest.create("udp", family)
                assert await guest.bind("udp", other, at(ANYWHERE[family])) == Ok()
                assert await guest.udp("stream", other, there) == DENIED
                assert await guest.udp("address-family", udp) == family


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("entries", [(), HTTP_ONLY], ids=["nothing", "http"])
@pytest.mark.parametrize("name", ["example.org", "sub.localhost", "localhost.example.org"])
async def test_no_name_is_resolved(name: str, entries: tuple[str]) -> None:
    async with networked(*entries) as guest:
        assert await guest.resolve(name) == Err("permanent-resolver-failure")


@pytest.mark.parametrize(("granted", "denied"), [("tcp", "udp"), ("udp", "tcp")])
async def test_an_entry_of_one_transport_grants_nothing_by_the_other(
    granted: str, denied: str
) -> None:
    with listening() as listener, datagrams() as peer:
        port = {"tcp": listener.address[1], "udp": peer.address[1]}
        async with networked(f"{granted}://127.0.0.1:*") as guest:
            reached = {}
            tcp = await guest.create("tcp", "ipv4")
            reached["tcp"] = await guest.try_connect(tcp, at("127.0.0.1", port["tcp"]))
            udp = await guest.create("udp", "ipv4")
            assert await guest.bind("udp", udp, at(ANYWHERE["ipv4"])) == Ok()
            reached["udp"] = await guest.udp("stream", udp, at("127.0.0.1", port["udp"]))
            assert reached[denied] == DENIED
            assert isinstance(reached[granted], Ok)


async def test_network_error_code_is_none_for_a_foreign_error() -> None:
    async with networked() as guest:
        error = await guest.call("foreign#make-error")
        assert await guest.call("network#network-error-code", error) is None


@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_a_forged_socket_traps(kind: str) -> None:
    async with networked() as guest:
        with pytest.raises(Trap, match="handle index"):
            await guest.call(f"{kind}#{kind}-socket.finish-bind", guest.network)


@pytest.mark.usefixtures("version")
async def test_what_is_refused_is_logged_once_with_its_rule_and_whose_it_was() -> None:
    granted = WasiSocketsCtx(policy(HTTP_ONLY), never, {"component": "shop"})
    with capture_logs() as logs:
        async with networked(granted=granted) as guest:
            for _ in range(2):
                tcp = await guest.create("tcp", "ipv4")
                assert await guest.try_connect(tcp, at("192.0.2.1", 443)) == DENIED
    assert logs == [
        {
            "event": "socket refused",
            "log_level": "warning",
            "target": "tcp://192.0.2.1:443",
            "rule": "no entry of allowed_outbound_hosts matches tcp://192.0.2.1:443",
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
