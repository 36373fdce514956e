"""`wasi:sockets/udp` and `udp-create-socket`: what a guest calls; see `udp_socket` and `datagram_streams`.

Source: `wasi:sockets@0.2.12`, `udp.wit`, `udp-create-socket.wit`.
"""

from __future__ import annotations

from gateway.bindings.context import WasiCtx
from gateway.bindings.io import Pollable
from gateway.bindings.sockets.addresses import Family, SocketAddress
from gateway.bindings.sockets.context import WasiSocketsCtx
from gateway.bindings.sockets.datagram_streams import (
    Datagram,
    IncomingDatagramStream,
    OutgoingDatagramStream,
)
from gateway.bindings.sockets.error_code import ErrorCode, SocketError, fallible
from gateway.bindings.sockets.network import Network
from gateway.bindings.sockets.options import declare_option
from gateway.bindings.sockets.udp_socket import UdpSocket
from gateway.host.binding import HostInterface
from gateway.host.values import Variant

__all__ = ["INTERFACES"]

udp = HostInterface("wasi:sockets/udp", "0.2.12")
udp_create_socket = HostInterface("wasi:sockets/udp-create-socket", "0.2.12")
INTERFACES = (udp, udp_create_socket)


@udp_create_socket.function("create-udp-socket")
@fallible
def create_udp_socket(ctx: WasiCtx, address_family: Family) -> UdpSocket:
    """A new socket."""
    sockets = ctx.granted(WasiSocketsCtx)
    if sockets is None:
        raise SocketError(ErrorCode.ACCESS_DENIED)
    return UdpSocket(sockets, address_family)


# --- udp-socket --------------------------------------------------------------------------------------------


@udp.method("udp-socket", "start-bind")
@fallible
def start_bind(_ctx: WasiCtx, this: UdpSocket, _network: Network, local_address: Variant) -> None:
    """Begin to bind."""
    this.start_bind(SocketAddress.from_variant(local_address))


@udp.method("udp-socket", "finish-bind")
@fallible
def finish_bind(_ctx: WasiCtx, this: UdpSocket) -> None:
    """Finish to bind."""
    this.finish_bind()


@udp.method("udp-socket", "stream")
@fallible
def stream(
    _ctx: WasiCtx, this: UdpSocket, remote_address: Variant | None
) -> tuple[IncomingDatagramStream, OutgoingDatagramStream]:
    """The streams to one peer, or to any; children of the socket."""
    return this.stream(
        None if remote_address is None else SocketAddress.from_variant(remote_address)
    )


@udp.method("udp-socket", "local-address")
@fallible
def local_address(_ctx: WasiCtx, this: UdpSocket) -> Variant:
    """The `ip-socket-address` that it is bound to."""
    return this.local.variant


@udp.method("udp-socket", "remote-address")
@fallible
def remote_address(_ctx: WasiCtx, this: UdpSocket) -> Variant:
    """The `ip-socket-address` of its only peer."""
    return this.remote.variant


@udp.method("udp-socket", "address-family")
def address_family(_ctx: WasiCtx, this: UdpSocket) -> Family:
    """Its family."""
    return this.family


declare_option(udp, "udp-socket", "unicast-hop-limit", "hop_limit")
declare_option(udp, "udp-socket", "receive-buffer-size", "receive_buffer_size")
declare_option(udp, "udp-socket", "send-buffer-size", "send_buffer_size")


@udp.method("udp-socket", "subscribe")
@udp.method("incoming-datagram-stream", "subscribe")
@udp.method("outgoing-datagram-stream", "subscribe")
def subscribe(
    _ctx: WasiCtx, this: UdpSocket | IncomingDatagramStream | OutgoingDatagramStream
) -> Pollable:
    """A pollable that is ready when this is."""
    return Pollable(this, parent=this)


# --- datagrams ---------------------------------------------------------------------------------------------


@udp.method("incoming-datagram-stream", "receive")
@fallible
def receive(_ctx: WasiCtx, this: IncomingDatagramStream, max_results: int) -> list[Datagram]:
    """What has arrived."""
    return this.receive(max_results)


@udp.method("outgoing-datagram-stream", "check-send")
def check_send(_ctx: WasiCtx, this: OutgoingDatagramStream) -> int:
    """How many datagrams the next send may have."""
    return this.check_send()


@udp.method("outgoing-datagram-stream", "send")
@fallible
def send(_ctx: WasiCtx, this: OutgoingDatagramStream, datagrams: list[Datagram]) -> int:
    """Send what check-send permitted; more traps."""
    return this.send(datagrams)
