"""`wasi:sockets`: links, and denies everything.

A guest may hold the network; what it asks of it is refused, with the codes that Wasmtime gives where sockets are
switched off. No socket can exist, so the methods of sockets and their streams have no host functions here; like
every import that nothing provides, they would trap with their name.

Source: `wasi:sockets@0.2.12`, `network.wit`, `instance-network.wit`, `ip-name-lookup.wit`,
`tcp-create-socket.wit`, `udp-create-socket.wit`.
"""

from __future__ import annotations

from gateway.bindings.context import WasiCtx
from gateway.bindings.io import IoError
from gateway.host.binding import HostInterface
from gateway.host.table import Resource
from gateway.host.values import Err

__all__ = ["INTERFACES", "Network"]


class Network(Resource):
    """`wasi:sockets/network.network`: the network, which nobody is let into."""

    __slots__ = ()


network = HostInterface("wasi:sockets/network", "0.2.12")
instance_network = HostInterface("wasi:sockets/instance-network", "0.2.12")
ip_name_lookup = HostInterface("wasi:sockets/ip-name-lookup", "0.2.12")
tcp = HostInterface("wasi:sockets/tcp", "0.2.12")
tcp_create_socket = HostInterface("wasi:sockets/tcp-create-socket", "0.2.12")
udp = HostInterface("wasi:sockets/udp", "0.2.12")
udp_create_socket = HostInterface("wasi:sockets/udp-create-socket", "0.2.12")
INTERFACES = (
    network,
    instance_network,
    ip_name_lookup,
    tcp,
    tcp_create_socket,
    udp,
    udp_create_socket,
)


@network.function("network-error-code")
def network_error_code(_ctx: WasiCtx, _err: IoError) -> str | None:
    """The `error-code` in an error of a stream: none, as no stream is one of a socket."""
    return None


@instance_network.function("instance-network")
def get_instance_network(_ctx: WasiCtx) -> Network:
    """A handle on the network."""
    return Network()


@ip_name_lookup.function("resolve-addresses")
def resolve_addresses(_ctx: WasiCtx, _network: Network, _name: str) -> Err:
    """Look up a name, or an address: refused."""
    return Err("permanent-resolver-failure")


@tcp_create_socket.function("create-tcp-socket")
@udp_create_socket.function("create-udp-socket")
def create_socket(_ctx: WasiCtx, _address_family: str) -> Err:
    """Create a socket: refused."""
    return Err("access-denied")
