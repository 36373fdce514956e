"""`wasi:sockets/network` and `instance-network`: the capability that every use of the network names.

There is one network. A handle on it grants nothing by itself: each address and each name is checked when it
is used.

Source: `wasi:sockets@0.2.12`, `network.wit`, `instance-network.wit`.
"""

from __future__ import annotations

from gateway.bindings.context import WasiCtx
from gateway.bindings.io import IoError
from gateway.bindings.sockets.error_code import ErrorCode
from gateway.host.binding import HostInterface
from gateway.host.table import Resource

__all__ = ["INTERFACES", "Network"]


class Network(Resource):
    """`wasi:sockets/network.network`."""

    __slots__ = ()


network = HostInterface("wasi:sockets/network", "0.2.12")
instance_network = HostInterface(
    "wasi:sockets/instance-network", "0.2.12", key="allowed_outbound_hosts"
)
INTERFACES = (network, instance_network)


@network.function("network-error-code")
def network_error_code(_ctx: WasiCtx, err: IoError) -> ErrorCode | None:
    """The `error-code` in an error of a stream, if it was a stream of a socket."""
    return err.code if isinstance(err.code, ErrorCode) else None


@instance_network.function("instance-network")
def get_instance_network(_ctx: WasiCtx) -> Network:
    """A handle on the network."""
    return Network()
