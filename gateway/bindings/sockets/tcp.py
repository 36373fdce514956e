"""`wasi:sockets/tcp` and `tcp-create-socket`: what a guest calls; see `tcp_socket` for what becomes of it.

Source: `wasi:sockets@0.2.12`, `tcp.wit`, `tcp-create-socket.wit`.
"""

from __future__ import annotations

from gateway.bindings.context import WasiCtx
from gateway.bindings.io import Pollable
from gateway.bindings.sockets.addresses import Family, SocketAddress
from gateway.bindings.sockets.context import WasiSocketsCtx
from gateway.bindings.sockets.error_code import ErrorCode, SocketError, fallible
from gateway.bindings.sockets.network import Network
from gateway.bindings.sockets.options import declare_option
from gateway.bindings.sockets.tcp_socket import ShutdownType, TcpSocket
from gateway.bindings.sockets.tcp_streams import TcpInputStream, TcpOutputStream
from gateway.host.binding import HostInterface
from gateway.host.values import Variant

__all__ = ["INTERFACES"]

tcp = HostInterface("wasi:sockets/tcp", "0.2.12")
tcp_create_socket = HostInterface("wasi:sockets/tcp-create-socket", "0.2.12")
INTERFACES = (tcp, tcp_create_socket)


@tcp_create_socket.function("create-tcp-socket")
@fallible
def create_tcp_socket(ctx: WasiCtx, address_family: Family) -> TcpSocket:
    """A new socket."""
    sockets = ctx.granted(WasiSocketsCtx)
    if sockets is None:
        raise SocketError(ErrorCode.ACCESS_DENIED)
    return TcpSocket(sockets, address_family)


# --- from a socket to a connection -------------------------------------------------------------------------


@tcp.method("tcp-socket", "start-bind")
@fallible
def start_bind(_ctx: WasiCtx, this: TcpSocket, _network: Network, local_address: Variant) -> None:
    """Begin to bind."""
    this.start_bind(SocketAddress.from_variant(local_address))


@tcp.method("tcp-socket", "finish-bind")
@fallible
def finish_bind(_ctx: WasiCtx, this: TcpSocket) -> None:
    """Finish to bind."""
    this.finish_bind()


@tcp.method("tcp-socket", "start-connect")
@fallible
def start_connect(
    _ctx: WasiCtx, this: TcpSocket, _network: Network, remote_address: Variant
) -> None:
    """Begin to connect."""
    this.start_connect(SocketAddress.from_variant(remote_address))


@tcp.method("tcp-socket", "finish-connect")
@fallible
def finish_connect(_ctx: WasiCtx, this: TcpSocket) -> tuple[TcpInputStream, TcpOutputStream]:
    """The streams of the connection, children of the socket."""
    return this.finish_connect()


@tcp.method("tcp-socket", "start-listen")
@fallible
def start_listen(_ctx: WasiCtx, this: TcpSocket) -> None:
    """Begin to listen, in the loopback."""
    this.start_listen()


@tcp.method("tcp-socket", "finish-listen")
@fallible
def finish_listen(_ctx: WasiCtx, this: TcpSocket) -> None:
    """Finish to listen."""
    this.finish_listen()


@tcp.method("tcp-socket", "accept")
@fallible
def accept(_ctx: WasiCtx, this: TcpSocket) -> tuple[TcpSocket, TcpInputStream, TcpOutputStream]:
    """A connection that somebody has made, and its streams, children of the new socket."""
    return this.accept()


@tcp.method("tcp-socket", "shutdown")
@fallible
def shutdown(_ctx: WasiCtx, this: TcpSocket, shutdown_type: ShutdownType) -> None:
    """End one direction of the connection, or both."""
    this.shutdown(shutdown_type)


@tcp.method("tcp-socket", "subscribe")
def subscribe(_ctx: WasiCtx, this: TcpSocket) -> Pollable:
    """A pollable that is ready when a connection is made, has failed, or can be accepted."""
    return Pollable(this, parent=this)


# --- what it is --------------------------------------------------------------------------------------------


@tcp.method("tcp-socket", "local-address")
@fallible
def local_address(_ctx: WasiCtx, this: TcpSocket) -> Variant:
    """The `ip-socket-address` that it is bound to."""
    return this.local.variant


@tcp.method("tcp-socket", "remote-address")
@fallible
def remote_address(_ctx: WasiCtx, this: TcpSocket) -> Variant:
    """The `ip-socket-address` that it is connected to."""
    return this.remote.variant


@tcp.method("tcp-socket", "is-listening")
def is_listening(_ctx: WasiCtx, this: TcpSocket) -> bool:
    """Whether it listens."""
    return this.is_listening


@tcp.method("tcp-socket", "address-family")
def address_family(_ctx: WasiCtx, this: TcpSocket) -> Family:
    """Its family."""
    return this.family


# --- options -----------------------------------------------------------------------------------------------


@tcp.method("tcp-socket", "set-listen-backlog-size")
@fallible
def set_listen_backlog_size(_ctx: WasiCtx, this: TcpSocket, value: int) -> None:
    """How many connections may wait to be accepted; more than there is room for are as many as there is."""
    this.set_listen_backlog_size(value)


@tcp.method("tcp-socket", "keep-alive-enabled")
@fallible
def keep_alive_enabled(_ctx: WasiCtx, this: TcpSocket) -> bool:
    """Whether keep-alive packets are sent."""
    return bool(this.options.get("keep_alive_enabled"))


@tcp.method("tcp-socket", "set-keep-alive-enabled")
@fallible
def set_keep_alive_enabled(_ctx: WasiCtx, this: TcpSocket, value: bool) -> None:
    """Switch that."""
    this.options.set_switch("keep_alive_enabled", value)


for name in (
    "keep-alive-idle-time",
    "keep-alive-interval",
    "keep-alive-count",
    "hop-limit",
    "receive-buffer-size",
    "send-buffer-size",
):
    declare_option(tcp, "tcp-socket", name, name.replace("-", "_"))
