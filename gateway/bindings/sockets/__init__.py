"""`wasi:sockets`: clients of TCP and UDP, and the lookup of names, for what a component's policy allows.

Without a policy all of it links, and nothing is granted: a guest may hold the network, but creates no socket
(`access-denied`) and resolves no name (`permanent-resolver-failure`).
"""

from gateway.bindings.sockets import ip_name_lookup, network, tcp, udp
from gateway.bindings.sockets.context import WasiSocketsCtx

__all__ = ["INTERFACES", "WasiSocketsCtx"]

INTERFACES = (
    *network.INTERFACES,
    *ip_name_lookup.INTERFACES,
    *tcp.INTERFACES,
    *udp.INTERFACES,
)
