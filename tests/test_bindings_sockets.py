"""wasi:sockets: it links, and denies everything."""

from __future__ import annotations

import pytest

from gateway.bindings import io, sockets
from gateway.bindings.io import IoError
from gateway.host.binding import HostInterface
from gateway.host.errors import Trap, TrapKind
from gateway.host.table import Resource
from gateway.host.values import Err
from tests.driven_guest import IO, driven_guest, driving

pytestmark = pytest.mark.anyio

CODES = """
  "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
  "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit"
  "address-not-bindable" "address-in-use" "remote-unreachable" "connection-refused"
  "connection-reset" "connection-aborted" "datagram-too-large" "name-unresolvable"
  "temporary-resolver-failure" "permanent-resolver-failure"
"""


def create_socket(kind: str) -> str:
    """The imports for one kind of socket, `tcp` or `udp`."""
    return f"""
  (import "wasi:sockets/{kind}@0.2.12" (instance ${kind}
    (alias outer 1 $error-code (type $outer-code))
    (export "error-code" (type $error-code (eq $outer-code)))
    (export "{kind}-socket" (type $socket (sub resource)))
    (export "[method]{kind}-socket.finish-bind"
      (func (param "self" (borrow $socket)) (result (result (error $error-code)))))))
  (alias export ${kind} "{kind}-socket" (type ${kind}-socket))
  (import "wasi:sockets/{kind}-create-socket@0.2.12" (instance
    (alias outer 1 $error-code (type $outer-code))
    (alias outer 1 $ip-address-family (type $outer-family))
    (alias outer 1 ${kind}-socket (type $outer-socket))
    (export "error-code" (type $error-code (eq $outer-code)))
    (export "ip-address-family" (type $family (eq $outer-family)))
    (export "{kind}-socket" (type $socket (eq $outer-socket)))
    (export "create-{kind}-socket" (func (param "address-family" $family)
      (result (result (own $socket) (error $error-code)))))))
"""


IMPORTS = f"""{IO}
  (import "wasi:sockets/network@0.2.12" (instance $network-types
    (alias outer 1 $error (type $outer-error))
    (export "error" (type $error (eq $outer-error)))
    (export "network" (type (sub resource)))
    (type $codes (enum {CODES}))
    (export "error-code" (type $error-code (eq $codes)))
    (type $families (enum "ipv4" "ipv6"))
    (export "ip-address-family" (type (eq $families)))
    (export "network-error-code"
      (func (param "err" (borrow $error)) (result (option $error-code))))))
  (alias export $network-types "network" (type $network))
  (alias export $network-types "error-code" (type $error-code))
  (alias export $network-types "ip-address-family" (type $ip-address-family))
  (import "wasi:sockets/instance-network@0.2.12" (instance
    (alias outer 1 $network (type $outer-network))
    (export "network" (type $network (eq $outer-network)))
    (export "instance-network" (func (result (own $network))))))
  (import "wasi:sockets/ip-name-lookup@0.2.12" (instance
    (alias outer 1 $network (type $outer-network))
    (alias outer 1 $error-code (type $outer-code))
    (export "network" (type $network (eq $outer-network)))
    (export "error-code" (type $error-code (eq $outer-code)))
    (export "resolve-address-stream" (type $stream (sub resource)))
    (export "resolve-addresses" (func (param "network" (borrow $network)) (param "name" string)
      (result (result (own $stream) (error $error-code)))))))
  {create_socket("tcp")}
  {create_socket("udp")}
  (import "test:host/foreign" (instance
    (alias outer 1 $error (type $outer-error))
    (alias outer 1 $tcp-socket (type $outer-tcp))
    (alias outer 1 $udp-socket (type $outer-udp))
    (export "error" (type $error (eq $outer-error)))
    (export "tcp-socket" (type $tcp-socket (eq $outer-tcp)))
    (export "udp-socket" (type $udp-socket (eq $outer-udp)))
    (export "make-error" (func (result (own $error))))
    (export "make-tcp" (func (result (own $tcp-socket))))
    (export "make-udp" (func (result (own $udp-socket))))))
"""

foreign = HostInterface("test:host/foreign", None)
foreign.function("make-error")(lambda _ctx: IoError("the disk is full", "insufficient-space"))
foreign.function("make-tcp")(lambda _ctx: Resource())
foreign.function("make-udp")(lambda _ctx: Resource())
INTERFACES = (*io.INTERFACES, *sockets.INTERFACES, foreign)


async def test_instance_network_gives_a_handle_that_can_be_dropped() -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        first = await guest.call("instance-network#instance-network")
        second = await guest.call("instance-network#instance-network")
        assert first != second
        await guest.call("network#drop network", first)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_creating_a_socket_is_denied(kind: str, family: str) -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        function = f"{kind}-create-socket#create-{kind}-socket"
        assert await guest.call(function, family) == Err("access-denied")


@pytest.mark.parametrize("name", ["example.org", "localhost", "127.0.0.1", "::1", ""])
async def test_no_name_is_resolved(name: str) -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        network = await guest.call("instance-network#instance-network")
        refused = await guest.call("ip-name-lookup#resolve-addresses", network, name)
        assert refused == Err("permanent-resolver-failure")


async def test_network_error_code_is_none_for_a_foreign_error() -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        error = await guest.call("foreign#make-error")
        assert await guest.call("network#network-error-code", error) is None


@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_a_forged_socket_traps(kind: str) -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        network = await guest.call("instance-network#instance-network")
        with pytest.raises(Trap, match="handle index"):
            await guest.call(f"{kind}#{kind}-socket.finish-bind", network)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_a_method_of_a_socket_would_trap_with_its_name(kind: str) -> None:
    name = rf"{kind}@0\.2\.12#\[method\]{kind}-socket\.finish-bind"
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        socket = await guest.call(f"foreign#make-{kind}")
        with pytest.raises(Trap, match=name) as ended:
            await guest.call(f"{kind}#{kind}-socket.finish-bind", socket)
    assert ended.value.kind is TrapKind.UNKNOWN_IMPORT
