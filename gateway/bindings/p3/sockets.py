"""`wasi:sockets@0.3`, on the sockets of 0.2: the same loopback, and the same policy for what is outside.

A socket is closed when the guest has let go of it and of its streams.

Source: `wasi:sockets@0.3.0`, `types.wit`, `ip-name-lookup.wit`.
"""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, Self

from gateway.bindings import fallible as decorators
from gateway.bindings.context import WasiCtx
from gateway.bindings.io import (
    Closed,
    InputStream,
    LastOperationFailed,
    OutputStream,
    until_ready,
)
from gateway.bindings.p3.operations import Offer, Offers, Operations, declare_offers
from gateway.bindings.p3.streams import Reading, Writing
from gateway.bindings.p3.tasks import Tasks
from gateway.bindings.sockets.addresses import Family, SocketAddress, ip_address
from gateway.bindings.sockets.base_socket import State
from gateway.bindings.sockets.context import WasiSocketsCtx
from gateway.bindings.sockets.datagram_streams import (
    IncomingDatagramStream,
    OutgoingDatagramStream,
)
from gateway.bindings.sockets.error_code import ErrorCode, SocketError, from_os_error
from gateway.bindings.sockets.host_name import parse
from gateway.bindings.sockets.loopback import ADDRESSES
from gateway.bindings.sockets.loopback_datagrams import MAX_SIZE
from gateway.bindings.sockets.options import HasOptions
from gateway.bindings.sockets.tcp_socket import TcpSocket
from gateway.bindings.sockets.tcp_streams import TcpInputStream, TcpOutputStream
from gateway.bindings.sockets.udp_socket import UdpSocket
from gateway.host.binding import HostInterface
from gateway.host.values import Err, Variant
from gateway.policy.egress import IPAddress

__all__ = ["INTERFACES"]

types = HostInterface("wasi:sockets/types", "0.3.2")
lookup = HostInterface("wasi:sockets/ip-name-lookup", "0.3.2", key="allowed_outbound_hosts")
host = HostInterface("gateway:wasi/sockets", None, carries_bytes=True)
lookup_host = HostInterface("gateway:wasi/ip-name-lookup", None)
INTERFACES = (types, lookup, host, lookup_host)

_ANYWHERE: Final[dict[Family, IPAddress]] = {"ipv4": IPv4Address(0), "ipv6": IPv6Address(0)}
_BROKEN: Final = "connection-broken"
# What 0.2 tells and 0.3 does not: what was not finished, and limits.
_CODES: Final = {
    ErrorCode.CONCURRENCY_CONFLICT: "invalid-state",
    ErrorCode.NOT_IN_PROGRESS: "invalid-state",
    **{
        code: Variant("other", code.value)
        for code in (ErrorCode.UNKNOWN, ErrorCode.WOULD_BLOCK, ErrorCode.NEW_SOCKET_LIMIT)
    },
}
_OF_LOOKUPS: Final = frozenset(
    (
        *(ErrorCode.ACCESS_DENIED, ErrorCode.INVALID_ARGUMENT, ErrorCode.NAME_UNRESOLVABLE),
        *(ErrorCode.TEMPORARY_RESOLVER_FAILURE, ErrorCode.PERMANENT_RESOLVER_FAILURE),
    )
)


def _code(failure: SocketError | OSError) -> Any:
    code = failure.code if isinstance(failure, SocketError) else from_os_error(failure)
    return _CODES.get(code, code)


def _lookup_code(failure: SocketError) -> Any:
    code = failure.code
    return code if code in _OF_LOOKUPS else Variant("other", code.value)


_fallible = decorators.fallible(SocketError, OSError, err=_code)
_fallible_async = decorators.fallible_async(SocketError, OSError, err=_code)


def _of_0_3(value: Any) -> Any:
    """What a stream has failed with, in the words of 0.3."""
    if isinstance(value, Err) and isinstance(value.value, ErrorCode):
        return Err(_CODES.get(value.value, value.value))
    return value


_operations = Operations(host, _of_0_3)
_lookups = Operations(lookup_host, _of_0_3)
declare_offers(host)


@host.function("begin")
def begin(ctx: WasiCtx, sleeper: int) -> None:
    """The next call is for that sleeper."""
    ctx.of(Tasks).beginning = sleeper


def _network(ctx: WasiCtx) -> WasiSocketsCtx:
    sockets = ctx.granted(WasiSocketsCtx)
    if sockets is None:
        raise SocketError(ErrorCode.ACCESS_DENIED)
    return sockets


# --- tcp-socket --------------------------------------------------------------------------------------------


class Tcp(TcpSocket):
    """`tcp-socket`, which its streams keep open."""

    __slots__ = ("_holders", "_receives", "_sends")

    def __init__(self, ctx: WasiSocketsCtx, family: Family) -> None:
        super().__init__(ctx, family)
        self._holders = 1
        self._receives = self._sends = False

    def hold(self) -> Self:
        """Keep it open until `release`."""
        self._holders += 1
        return self

    def release(self) -> None:
        """Let go of it. The last to do so closes it."""
        self._holders -= 1
        if not self._holders:
            super().drop()

    def drop(self) -> None:
        """Let go of it, as a guest does. Others may have its address then, unless it listens there."""
        if self._binding is not None and self.state is State.CONNECTED:
            self._binding.release()
        self.release()

    def bind_anywhere(self) -> None:
        """Bind it, if it is not."""
        if self.state is State.UNBOUND:
            self.start_bind(SocketAddress(_ANYWHERE[self.family], 0))
            self.finish_bind()

    def receiving(self) -> InputStream:
        """What the peer sends, once.

        Raises:
            SocketError: `invalid-state`.
        """
        if self.state is not State.CONNECTED or self._input is None or self._receives:
            raise SocketError(ErrorCode.INVALID_STATE)
        self._receives = True
        return _Receiving(self._input, self)

    def sending(self) -> OutputStream:
        """What goes to the peer, once.

        Raises:
            SocketError: `invalid-state`.
        """
        if self.state is not State.CONNECTED or self._output is None or self._sends:
            raise SocketError(ErrorCode.INVALID_STATE)
        self._sends = True
        return _Sending(self._output, self)


class _Receiving(InputStream):
    """What a peer sends, and a hold on the socket."""

    __slots__ = ("_input", "_socket")

    def __init__(self, stream: TcpInputStream, socket: Tcp) -> None:
        super().__init__()
        self._input = stream
        self._socket = socket.hold()

    def read(self, size: int) -> bytes:
        return self._input.read(size)

    def ready(self) -> bool:
        return self._input.ready()

    def watch(self, waiter: asyncio.Future[None]) -> None:
        self._input.watch(waiter)

    def unwatch(self, waiter: asyncio.Future[None]) -> None:
        self._input.unwatch(waiter)

    def drop(self) -> None:
        """No more is expected of the peer."""
        self._input.shutdown()
        self._socket.release()


class _Sending(OutputStream):
    """What goes to a peer, and a hold on the socket."""

    __slots__ = ("_output", "_socket")

    def __init__(self, stream: TcpOutputStream, socket: Tcp) -> None:
        super().__init__()
        self._output = stream
        self._socket = socket.hold()

    def check_write(self) -> int:
        try:
            return self._output.check_write()
        except Closed:
            raise LastOperationFailed("", _BROKEN) from None

    def write(self, data: bytes) -> None:
        try:
            self._output.write(data)
        except Closed:
            raise LastOperationFailed("", _BROKEN) from None

    def ready(self) -> bool:
        return self._output.ready()

    def watch(self, waiter: asyncio.Future[None]) -> None:
        self._output.watch(waiter)

    def unwatch(self, waiter: asyncio.Future[None]) -> None:
        self._output.unwatch(waiter)

    def drop(self) -> None:
        """All has been written, which the peer is told."""
        self._output.shutdown()
        self._socket.release()


@types.static("tcp-socket", "create")
@_fallible
def tcp_create(ctx: WasiCtx, family: Family) -> Tcp:
    """A new socket."""
    return Tcp(_network(ctx), family)


@types.method("tcp-socket", "bind")
@types.method("udp-socket", "bind")
@_fallible
def bind(_ctx: WasiCtx, this: Tcp | Udp, local_address: Variant) -> None:
    """Bind it, in the loopback or to what the system chooses."""
    this.start_bind(SocketAddress.from_variant(local_address))
    this.finish_bind()


@_fallible_async
async def tcp_connect(_ctx: WasiCtx, this: Tcp, remote_address: Variant) -> None:
    """Connect it."""
    this.start_connect(SocketAddress.from_variant(remote_address))
    await until_ready(this)
    this.finish_connect()


_operations.define("connect-of-tcp-socket", tcp_connect)


class Accepting(Offer):
    """The connections that are made to a socket which listens; one waits for the guest.

    Whoever makes them is in the guest, so to wait for one is not to wait for what is outside.
    """

    def __init__(self, tasks: Tasks, socket: Tcp, sleeper: int) -> None:
        self._tasks = tasks
        self._socket = socket.hold()
        self._sleeper = sleeper
        self._waiter: asyncio.Future[None] | None = None
        self.more()

    def take(self) -> list[Tcp]:
        """The connection that was accepted."""
        accepted: list[Tcp] = self._tasks.take(self._sleeper)
        return accepted

    def more(self) -> None:
        """Accept the next."""
        if self._socket.ready():
            socket, _, _ = self._socket.accept()
            self._tasks.settle(self._sleeper, [socket])
            return
        self._waiter = asyncio.get_running_loop().create_future()
        self._waiter.add_done_callback(self._woken)
        self._socket.watch(self._waiter)

    def stop(self) -> None:
        """Nobody waits to be told."""

    def _woken(self, waiter: asyncio.Future[None]) -> None:
        if not waiter.cancelled():
            self._waiter = None
            self.more()

    def close(self) -> None:
        """Listen no more."""
        if self._waiter is not None:
            self._socket.unwatch(self._waiter)
            self._waiter.cancel()
        self._socket.release()


@host.function("listen-of-tcp-socket")
@_fallible
def tcp_listen(ctx: WasiCtx, this: Tcp, second: int) -> None:
    """Listen in the loopback, and have connections accepted."""
    this.bind_anywhere()
    this.start_listen()
    this.finish_listen()
    ctx.of(Offers).of[second] = Accepting(ctx.of(Tasks), this, second)


_receiving = _fallible(Tcp.receiving)
_sending = _fallible(Tcp.sending)


@host.function("receive-of-tcp-socket")
def tcp_receive(ctx: WasiCtx, this: Tcp, sleeper: int) -> int:
    """The channel of what the peer sends."""
    return Reading(ctx.of(Tasks), _receiving(this), sleeper).number


@host.function("send-of-tcp-socket")
def tcp_send(ctx: WasiCtx, this: Tcp, sleeper: int) -> int:
    """The channel of what is sent to the peer."""
    return Writing(ctx.of(Tasks), _sending(this), sleeper).number


@types.method("tcp-socket", "get-is-listening")
def tcp_is_listening(_ctx: WasiCtx, this: Tcp) -> bool:
    """Whether it listens."""
    return this.is_listening


@types.method("tcp-socket", "set-listen-backlog-size")
@_fallible
def tcp_set_listen_backlog_size(_ctx: WasiCtx, this: Tcp, value: int) -> None:
    """How many connections may wait to be accepted; more than there is room for are as many as there is."""
    this.set_listen_backlog_size(value)


@types.method("tcp-socket", "get-keep-alive-enabled")
@_fallible
def keep_alive_enabled(_ctx: WasiCtx, this: Tcp) -> bool:
    """Whether keep-alive packets are sent."""
    return bool(this.options.get("keep_alive_enabled"))


@types.method("tcp-socket", "set-keep-alive-enabled")
@_fallible
def set_keep_alive_enabled(_ctx: WasiCtx, this: Tcp, value: bool) -> None:
    """Switch that."""
    this.options.set_switch("keep_alive_enabled", value)


# --- udp-socket --------------------------------------------------------------------------------------------


class Udp(UdpSocket):
    """`udp-socket`, with the streams of 0.2 to its peer, or to any."""

    __slots__ = ("_pair",)

    def __init__(self, ctx: WasiSocketsCtx, family: Family) -> None:
        super().__init__(ctx, family)
        self._pair: tuple[IncomingDatagramStream, OutgoingDatagramStream] | None = None

    @property
    def pair(self) -> tuple[IncomingDatagramStream, OutgoingDatagramStream]:
        """The two directions.

        Raises:
            SocketError: `invalid-state`: it is not bound.
        """
        if self._pair is None:
            self._pair = self.stream(self._remote)
        return self._pair

    def set_peer(self, remote: SocketAddress | None) -> None:
        """Have it communicate with one peer, or with any.

        Raises:
            SocketError: there can be nothing at the address, or it is not allowed; all is as it was then.
        """
        if self._pair is not None:
            for stream in self._pair:
                stream.drop()
            self._pair = None
        self._pair = self.stream(remote)

    def bind_to_reach(self, remote: SocketAddress | None) -> None:
        """Bind it, if it is not, to communicate with a peer: not where that cannot be.

        Raises:
            SocketError: there is none, there can be nothing at the address, or it is not allowed.
        """
        if self.state is not State.UNBOUND:
            return
        if remote is None:
            raise SocketError(ErrorCode.INVALID_ARGUMENT)
        self._is_inside(remote)
        self.start_bind(SocketAddress(_ANYWHERE[self.family], 0))
        self.finish_bind()


@types.static("udp-socket", "create")
@_fallible
def udp_create(ctx: WasiCtx, family: Family) -> Udp:
    """A new socket."""
    return Udp(_network(ctx), family)


@types.method("udp-socket", "connect")
@_fallible
def udp_connect(_ctx: WasiCtx, this: Udp, remote_address: Variant) -> None:
    """Have it communicate with one peer."""
    remote = SocketAddress.from_variant(remote_address)
    this.bind_to_reach(remote)
    this.set_peer(remote)


@types.method("udp-socket", "disconnect")
@_fallible
def udp_disconnect(_ctx: WasiCtx, this: Udp) -> None:
    """Have it communicate with any."""
    _ = this.remote
    this.set_peer(None)


@_fallible_async
async def udp_send(_ctx: WasiCtx, this: Udp, data: bytes, remote: Variant | None) -> None:
    """Send a datagram."""
    if len(data) > MAX_SIZE[this.family]:
        raise SocketError(ErrorCode.DATAGRAM_TOO_LARGE)
    this.bind_to_reach(None if remote is None else SocketAddress.from_variant(remote))
    while True:
        _, outgoing = this.pair
        if outgoing.check_send() and outgoing.send([{"data": data, "remote-address": remote}]):
            return
        await until_ready(outgoing)


@_fallible_async
async def udp_receive(_ctx: WasiCtx, this: Udp) -> tuple[bytes, Variant]:
    """Wait for a datagram."""
    while True:
        incoming, _ = this.pair
        await until_ready(incoming)  # which has it then, be it no part of the pair any more
        for datagram in incoming.receive(1):
            return datagram["data"], datagram["remote-address"]


_operations.define("send-of-udp-socket", udp_send, crowded=True)
_operations.define("receive-of-udp-socket", udp_receive)


# --- both --------------------------------------------------------------------------------------------------


@types.method("tcp-socket", "get-local-address")
@types.method("udp-socket", "get-local-address")
@_fallible
def get_local_address(_ctx: WasiCtx, this: Tcp | Udp) -> Variant:
    """The address that it is bound to."""
    return this.local.variant


@types.method("tcp-socket", "get-remote-address")
@types.method("udp-socket", "get-remote-address")
@_fallible
def get_remote_address(_ctx: WasiCtx, this: Tcp | Udp) -> Variant:
    """The address of its peer."""
    return this.remote.variant


@types.method("tcp-socket", "get-address-family")
@types.method("udp-socket", "get-address-family")
def get_address_family(_ctx: WasiCtx, this: Tcp | Udp) -> Family:
    """Its family."""
    return this.family


def _declare_option(resource: str, name: str, attribute: str) -> None:
    @types.method(resource, f"get-{name}")
    @_fallible
    def get(_ctx: WasiCtx, this: HasOptions) -> int:
        return this.options.get(attribute)

    @types.method(resource, f"set-{name}")
    @_fallible
    def set_(_ctx: WasiCtx, this: HasOptions, value: int) -> None:
        this.options.set(attribute, value)


for _name in ("keep-alive-idle-time", "keep-alive-interval", "keep-alive-count", "hop-limit"):
    _declare_option("tcp-socket", _name, _name.replace("-", "_"))
_declare_option("udp-socket", "unicast-hop-limit", "hop_limit")
for _resource in ("tcp-socket", "udp-socket"):
    for _name in ("receive-buffer-size", "send-buffer-size"):
        _declare_option(_resource, _name, _name.replace("-", "_"))


# --- ip-name-lookup ----------------------------------------------------------------------------------------


@decorators.fallible_async(SocketError, err=_lookup_code)
async def resolve_addresses(ctx: WasiCtx, name: str) -> list[Variant]:
    """The addresses of a name; an address is its own and only result."""
    sockets = ctx.granted(WasiSocketsCtx)
    if sockets is None:
        raise SocketError(ErrorCode.PERMANENT_RESOLVER_FAILURE)
    named = parse(name)
    if not isinstance(named, str):
        return [ip_address(named)]
    if named.removesuffix(".") == "localhost":
        return [ip_address(each) for each in ADDRESSES.values()]
    addresses = await sockets.look_up(named)
    if not addresses:
        raise SocketError(ErrorCode.NAME_UNRESOLVABLE)
    return [ip_address(each) for each in addresses]


_lookups.define("resolve-addresses", resolve_addresses)
