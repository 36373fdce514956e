"""A driven guest that imports all of `wasi:sockets`, and what its calls take and return."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from gateway.bindings import io, p3, sockets
from gateway.bindings.context import WasiCtx
from gateway.bindings.http.outbound.resolver import Resolve
from gateway.bindings.io import IoError
from gateway.bindings.sockets import WasiSocketsCtx
from gateway.bindings.sockets.addresses import SocketAddress
from gateway.bindings.sockets.error_code import ErrorCode
from gateway.host.binding import HostInterface
from gateway.host.values import Err, Ok, Variant
from gateway.policy.egress import EgressPolicy, EgressRule, IPAddress
from gateway.wasm.wasip3.assembly import read
from tests.bindings.version import Version, told
from tests.driven_guest import IO, DrivenGuest, driven_guest, driven_over_time, driving

LOOPBACK: Final = {"ipv4": "127.0.0.1", "ipv6": "::1"}
ANYWHERE: Final = {"ipv4": "0.0.0.0", "ipv6": "::"}  # noqa: S104

ALL_LOOPBACK: Final = ("tcp://127.0.0.1:*", "tcp://[::1]:*", "udp://127.0.0.1:*", "udp://[::1]:*")
"""Entries of `allowed_outbound_hosts` for every peer of these tests."""

CODES: Final = " ".join(f'"{code}"' for code in ErrorCode)

_TCP: Final = """
    (type $shutdown' (enum "receive" "send" "both"))
    (export "shutdown-type" (type $shutdown (eq $shutdown')))
    (export "[method]tcp-socket.start-connect" (func (param "self" (borrow $socket))
      (param "network" (borrow $network)) (param "remote-address" $address) (result $done)))
    (export "[method]tcp-socket.finish-connect" (func (param "self" (borrow $socket))
      (result (result (tuple (own $input) (own $output)) (error $error-code)))))
    (export "[method]tcp-socket.start-listen"
      (func (param "self" (borrow $socket)) (result $done)))
    (export "[method]tcp-socket.finish-listen"
      (func (param "self" (borrow $socket)) (result $done)))
    (export "[method]tcp-socket.accept" (func (param "self" (borrow $socket))
      (result (result (tuple (own $socket) (own $input) (own $output)) (error $error-code)))))
    (export "[method]tcp-socket.is-listening"
      (func (param "self" (borrow $socket)) (result bool)))
    (export "[method]tcp-socket.set-listen-backlog-size"
      (func (param "self" (borrow $socket)) (param "value" u64) (result $done)))
    (export "[method]tcp-socket.shutdown" (func (param "self" (borrow $socket))
      (param "shutdown-type" $shutdown) (result $done)))
"""

_UDP: Final = """
    (type $incoming' (record (field "data" (list u8)) (field "remote-address" $address)))
    (export "incoming-datagram" (type $datagram-in (eq $incoming')))
    (type $outgoing' (record (field "data" (list u8)) (field "remote-address" (option $address))))
    (export "outgoing-datagram" (type $datagram-out (eq $outgoing')))
    (export "incoming-datagram-stream" (type $incoming (sub resource)))
    (export "outgoing-datagram-stream" (type $outgoing (sub resource)))
    (export "[method]udp-socket.stream" (func (param "self" (borrow $socket))
      (param "remote-address" (option $address))
      (result (result (tuple (own $incoming) (own $outgoing)) (error $error-code)))))
    (export "[method]incoming-datagram-stream.receive" (func (param "self" (borrow $incoming))
      (param "max-results" u64) (result (result (list $datagram-in) (error $error-code)))))
    (export "[method]incoming-datagram-stream.subscribe"
      (func (param "self" (borrow $incoming)) (result (own $pollable))))
    (export "[method]outgoing-datagram-stream.check-send"
      (func (param "self" (borrow $outgoing)) (result (result u64 (error $error-code)))))
    (export "[method]outgoing-datagram-stream.send" (func (param "self" (borrow $outgoing))
      (param "datagrams" (list $datagram-out)) (result (result u64 (error $error-code)))))
    (export "[method]outgoing-datagram-stream.subscribe"
      (func (param "self" (borrow $outgoing)) (result (own $pollable))))
"""

OPTIONS: Final = {
    "tcp": {
        "keep-alive-enabled": "bool",
        "keep-alive-idle-time": "u64",
        "keep-alive-interval": "u64",
        "keep-alive-count": "u32",
        "hop-limit": "u8",
        "receive-buffer-size": "u64",
        "send-buffer-size": "u64",
    },
    "udp": {
        "unicast-hop-limit": "u8",
        "receive-buffer-size": "u64",
        "send-buffer-size": "u64",
    },
}
"""The options of the sockets, and their types."""


def _socket(kind: str, own: str) -> str:
    """The imports for one kind of socket; `own` are those that only it has."""
    options = "".join(
        f"""
    (export "[method]{kind}-socket.{name}"
      (func (param "self" (borrow $socket)) (result (result {ty} (error $error-code)))))
    (export "[method]{kind}-socket.set-{name}"
      (func (param "self" (borrow $socket)) (param "value" {ty}) (result $done)))"""
        for name, ty in OPTIONS[kind].items()
    )
    return f"""
  (import "wasi:sockets/{kind}@0.2.12" (instance ${kind}
    (alias outer 1 $pollable (type $pollable'))
    (alias outer 1 $input-stream (type $input'))
    (alias outer 1 $output-stream (type $output'))
    (alias outer 1 $network (type $network'))
    (alias outer 1 $error-code (type $error-code'))
    (alias outer 1 $ip-socket-address (type $address'))
    (alias outer 1 $ip-address-family (type $family'))
    (export "pollable" (type $pollable (eq $pollable')))
    (export "input-stream" (type $input (eq $input')))
    (export "output-stream" (type $output (eq $output')))
    (export "network" (type $network (eq $network')))
    (export "error-code" (type $error-code (eq $error-code')))
    (export "ip-socket-address" (type $address (eq $address')))
    (export "ip-address-family" (type $family (eq $family')))
    (export "{kind}-socket" (type $socket (sub resource)))
    (type $done (result (error $error-code)))
    (export "[method]{kind}-socket.start-bind" (func (param "self" (borrow $socket))
      (param "network" (borrow $network)) (param "local-address" $address) (result $done)))
    (export "[method]{kind}-socket.finish-bind"
      (func (param "self" (borrow $socket)) (result $done)))
    (export "[method]{kind}-socket.local-address"
      (func (param "self" (borrow $socket)) (result (result $address (error $error-code)))))
    (export "[method]{kind}-socket.remote-address"
      (func (param "self" (borrow $socket)) (result (result $address (error $error-code)))))
    (export "[method]{kind}-socket.address-family"
      (func (param "self" (borrow $socket)) (result $family)))
    (export "[method]{kind}-socket.subscribe"
      (func (param "self" (borrow $socket)) (result (own $pollable))))
    {options}
    {own}))
  (alias export ${kind} "{kind}-socket" (type ${kind}-socket))
  (import "wasi:sockets/{kind}-create-socket@0.2.12" (instance
    (alias outer 1 $error-code (type $error-code'))
    (alias outer 1 $ip-address-family (type $family'))
    (alias outer 1 ${kind}-socket (type $socket'))
    (export "error-code" (type $error-code (eq $error-code')))
    (export "ip-address-family" (type $family (eq $family')))
    (export "{kind}-socket" (type $socket (eq $socket')))
    (export "create-{kind}-socket" (func (param "address-family" $family)
      (result (result (own $socket) (error $error-code)))))))
"""


IMPORTS: Final = f"""{IO}
  (import "wasi:sockets/network@0.2.12" (instance $network-types
    (alias outer 1 $error (type $error'))
    (export "error" (type $error (eq $error')))
    (export "network" (type (sub resource)))
    (type $codes (enum {CODES}))
    (export "error-code" (type $error-code (eq $codes)))
    (type $families (enum "ipv4" "ipv6"))
    (export "ip-address-family" (type (eq $families)))
    (type $ipv4' (tuple u8 u8 u8 u8))
    (export "ipv4-address" (type $ipv4 (eq $ipv4')))
    (type $ipv6' (tuple u16 u16 u16 u16 u16 u16 u16 u16))
    (export "ipv6-address" (type $ipv6 (eq $ipv6')))
    (type $ip' (variant (case "ipv4" $ipv4) (case "ipv6" $ipv6)))
    (export "ip-address" (type (eq $ip')))
    (type $ipv4-socket' (record (field "port" u16) (field "address" $ipv4)))
    (export "ipv4-socket-address" (type $ipv4-socket (eq $ipv4-socket')))
    (type $ipv6-socket' (record (field "port" u16) (field "flow-info" u32)
      (field "address" $ipv6) (field "scope-id" u32)))
    (export "ipv6-socket-address" (type $ipv6-socket (eq $ipv6-socket')))
    (type $ip-socket' (variant (case "ipv4" $ipv4-socket) (case "ipv6" $ipv6-socket)))
    (export "ip-socket-address" (type (eq $ip-socket')))
    (export "network-error-code"
      (func (param "err" (borrow $error)) (result (option $error-code))))))
  (alias export $network-types "network" (type $network))
  (alias export $network-types "error-code" (type $error-code))
  (alias export $network-types "ip-address-family" (type $ip-address-family))
  (alias export $network-types "ip-address" (type $ip-address))
  (alias export $network-types "ip-socket-address" (type $ip-socket-address))
  (import "wasi:sockets/instance-network@0.2.12" (instance
    (alias outer 1 $network (type $network'))
    (export "network" (type $network (eq $network')))
    (export "instance-network" (func (result (own $network))))))
  (import "wasi:sockets/ip-name-lookup@0.2.12" (instance
    (alias outer 1 $pollable (type $pollable'))
    (alias outer 1 $network (type $network'))
    (alias outer 1 $error-code (type $error-code'))
    (alias outer 1 $ip-address (type $ip-address'))
    (export "pollable" (type $pollable (eq $pollable')))
    (export "network" (type $network (eq $network')))
    (export "error-code" (type $error-code (eq $error-code')))
    (export "ip-address" (type $ip-address (eq $ip-address')))
    (export "resolve-address-stream" (type $stream (sub resource)))
    (export "resolve-addresses" (func (param "network" (borrow $network)) (param "name" string)
      (result (result (own $stream) (error $error-code)))))
    (export "[method]resolve-address-stream.resolve-next-address"
      (func (param "self" (borrow $stream))
        (result (result (option $ip-address) (error $error-code)))))
    (export "[method]resolve-address-stream.subscribe"
      (func (param "self" (borrow $stream)) (result (own $pollable))))))
  {_socket("tcp", _TCP)}
  {_socket("udp", _UDP)}
  (import "test:host/foreign" (instance
    (alias outer 1 $error (type $error'))
    (export "error" (type $error (eq $error')))
    (export "make-error" (func (result (own $error))))))
"""

# The assembler has no `result` of a stream but by the name of its type.
_ACCEPTED: Final = "(stream (own $tcp-socket))"
_LISTEN: Final = '(export "[method]tcp-socket.listen"'
_IMPORTS_0_3: Final = f"""
  (import "wasi:sockets/types@0.3.0" (instance $types
    {read("sockets").replace(_ACCEPTED, "$accepted").replace(_LISTEN, f"(type $accepted {_ACCEPTED}) {_LISTEN}")}))
  (alias export $types "error-code" (type $error-code))
  (alias export $types "tcp-socket" (type $tcp-socket))
  (import "wasi:sockets/ip-name-lookup@0.3.0" (instance {read("ip-name-lookup")}))
"""
_ENDS: Final = (
    ("bytes", "(stream u8)"),
    ("done", "(future (result (error $error-code)))"),
    ("connections", _ACCEPTED),
)

_foreign = HostInterface("test:host/foreign", None)
_foreign.function("make-error")(lambda _ctx: IoError("the disk is full", "insufficient-space"))

READ: Final = "streams#input-stream.read"
BLOCKING_READ: Final = "streams#input-stream.blocking-read"
CHECK_WRITE: Final = "streams#output-stream.check-write"
WRITE: Final = "streams#output-stream.write"
FLUSH: Final = "streams#output-stream.flush"
BLOCKING_WRITE: Final = "streams#output-stream.blocking-write-and-flush"
READY: Final = "poll#pollable.ready"
BLOCK: Final = "poll#pollable.block"

CLOSED: Final = Err(Variant("closed"))


def at(host: str, port: int = 0, flow_info: int = 0, scope_id: int = 0) -> Variant:
    """An `ip-socket-address`."""
    return SocketAddress(ip_address(host), port, flow_info, scope_id).variant


def port_of(address: Ok) -> int:
    """The port of an `ip-socket-address` that was returned."""
    port: int = address.value.payload["port"]
    return port


async def never(_name: str) -> Sequence[IPAddress]:
    """The resolver of guests that are to need none."""
    raise AssertionError("a name was looked up")


def policy(entries: Iterable[str]) -> EgressPolicy:
    """What these entries of `allowed_outbound_hosts` allow."""
    return EgressPolicy(map(EgressRule.parse, entries))


@dataclass
class Connection:
    """Handles of a connected `tcp-socket` and its streams."""

    socket: int
    input: int
    output: int


class SocketsGuest:
    """A driven guest with a handle on the network."""

    def __init__(self, guest: DrivenGuest, network: int) -> None:
        self.call = guest.call
        self.abort = guest.abort
        self.network = network

    async def tcp(self, method: str, socket: int, *args: Any) -> Any:
        """Call a method of a `tcp-socket`."""
        return await self.call(f"tcp#tcp-socket.{method}", socket, *args)

    async def udp(self, method: str, socket: int, *args: Any) -> Any:
        """Call a method of a `udp-socket`."""
        return await self.call(f"udp#udp-socket.{method}", socket, *args)

    async def option(self, kind: str, socket: int, name: str) -> Any:
        """The value of an option of a socket."""
        return await self.call(f"{kind}#{kind}-socket.{name}", socket)

    async def set_option(self, kind: str, socket: int, name: str, value: Any) -> Any:
        """Set it."""
        return await self.call(f"{kind}#{kind}-socket.set-{name}", socket, value)

    async def local_address(self, kind: str, socket: int) -> Any:
        """The address that a socket is bound to."""
        return await self.call(f"{kind}#{kind}-socket.local-address", socket)

    async def drop(self, kind: str, socket: int) -> None:
        """Drop a socket."""
        await self.call(f"{kind}#drop {kind}-socket", socket)

    async def resolve(self, name: str) -> Any:
        """All addresses of a name, or why there are none."""
        begun = await self.call("ip-name-lookup#resolve-addresses", self.network, name)
        if isinstance(begun, Err):
            return begun
        stream = "ip-name-lookup#resolve-address-stream"
        await self.block(stream, begun.value)
        found = []
        while (told := await self.call(f"{stream}.resolve-next-address", begun.value)) != Ok(None):
            if isinstance(told, Err):
                return told
            found.append(told.value)
        return Ok(found)

    async def create(self, kind: str, family: str) -> int:
        """A new socket."""
        created = await self._created(kind, family)
        assert isinstance(created, Ok), created
        handle: int = created.value
        return handle

    async def _created(self, kind: str, family: str) -> Any:
        return await self.call(f"{kind}-create-socket#create-{kind}-socket", family)

    async def bind(self, kind: str, socket: int, address: Variant) -> Any:
        """Bind a socket: the error of either step."""
        method = f"{kind}#{kind}-socket"
        started = await self.call(f"{method}.start-bind", socket, self.network, address)
        return await self.call(f"{method}.finish-bind", socket) if started == Ok() else started

    async def block(self, subscribe: str, handle: int) -> None:
        """Subscribe to something and wait for it."""
        pollable = await self.call(f"{subscribe}.subscribe", handle)
        await self.call(BLOCK, pollable)
        await self.call("poll#drop pollable", pollable)

    async def try_connect(self, socket: int, address: Variant) -> Any:
        """Connect, and wait for that: the error of either step, or the streams."""
        started = await self.tcp("start-connect", socket, self.network, address)
        if started != Ok():
            return started
        await self.block("tcp#tcp-socket", socket)
        return await self.tcp("finish-connect", socket)

    async def connect(self, address: tuple[Any, ...]) -> Connection:
        """A connection to a peer."""
        socket = await self.create("tcp", "ipv6" if ":" in address[0] else "ipv4")
        connected = await self.try_connect(socket, at(*address[:2]))
        assert isinstance(connected, Ok), connected
        return Connection(socket, *connected.value)

    async def datagrams(
        self, family: str, peer: tuple[Any, ...] | None = None
    ) -> tuple[int, int, int]:
        """A bound `udp-socket` and its streams, to one peer or any."""
        socket = await self.create("udp", family)
        assert await self.bind("udp", socket, at(ANYWHERE[family])) == Ok()
        streams = await self.udp("stream", socket, None if peer is None else at(*peer[:2]))
        assert isinstance(streams, Ok), streams
        return socket, *streams.value

    async def read_all(self, stream: int) -> bytes:
        """Read a stream to its end."""
        data = bytearray()
        while isinstance(read := await self.call(BLOCKING_READ, stream, 65536), Ok):
            data += read.value
        assert read == CLOSED
        return bytes(data)


class SocketsGuest03(SocketsGuest):
    """One of WASI 0.3, with what its driven guest does with streams."""

    def __init__(self, guest: DrivenGuest, network: int) -> None:
        super().__init__(guest, network)
        self.new = guest.new
        self.read = guest.read
        self.write = guest.write

    async def tcp(self, method: str, socket: int, *args: Any) -> Any:
        return told(await self.call(f"types#tcp-socket.{method}", socket, *args))

    async def udp(self, method: str, socket: int, *args: Any) -> Any:
        return told(await self.call(f"types#udp-socket.{method}", socket, *args))

    async def option(self, kind: str, socket: int, name: str) -> Any:
        return told(await self.call(f"types#{kind}-socket.get-{name}", socket))

    async def set_option(self, kind: str, socket: int, name: str, value: Any) -> Any:
        return told(await self.call(f"types#{kind}-socket.set-{name}", socket, value))

    async def local_address(self, kind: str, socket: int) -> Any:
        return await self.option(kind, socket, "local-address")

    async def drop(self, kind: str, socket: int) -> None:
        await self.call(f"types#drop {kind}-socket", socket)

    async def resolve(self, name: str) -> Any:
        return told(await self.call("ip-name-lookup#resolve-addresses", name))

    async def _created(self, kind: str, family: str) -> Any:
        return told(await self.call(f"types#{kind}-socket.create", family))

    async def bind(self, kind: str, socket: int, address: Variant) -> Any:
        return told(await self.call(f"types#{kind}-socket.bind", socket, address))

    async def try_connect(self, socket: int, address: Variant) -> Any:
        return told(await self.call("types#tcp-socket.connect", socket, address))


@asynccontextmanager
async def networked(
    *entries: str, resolve: Resolve = never, granted: WasiSocketsCtx | None = None
) -> AsyncIterator[SocketsGuest]:
    """A guest for which these are its `allowed_outbound_hosts`.

    Args:
        entries: the entries; without any, it has its loopback alone.
        resolve: what looks names up for it.
        granted: the network, instead of one made of the two.
    """
    if granted is None:
        granted = WasiSocketsCtx(policy(entries), resolve)
    if Version.of_test == "0.3":
        over_time = driven_over_time(_IMPORTS_0_3, _ENDS)
        async with driving(over_time, p3.INTERFACES, WasiCtx(granted)) as guest:
            yield SocketsGuest03(guest, 0)
        return
    interfaces = (*io.INTERFACES, *sockets.INTERFACES, _foreign)
    async with driving(driven_guest(IMPORTS), interfaces, WasiCtx(granted)) as guest:
        network = await guest.call("instance-network#instance-network")
        yield SocketsGuest(guest, network)


async def fill(guest: SocketsGuest, output: int) -> bytes:
    """Write until no more is permitted; returns what was written."""
    written = bytearray()
    while (permit := (await guest.call(CHECK_WRITE, output)).value) > 0:
        piece = os.urandom(permit)
        assert await guest.call(WRITE, output, piece) == Ok()
        written += piece
    return bytes(written)
