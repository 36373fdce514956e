"""`wasi:sockets/ip-name-lookup`: the addresses of a name.

A name that the policy does not allow, or any where there is no network at all, fails with
`permanent-resolver-failure`, as in Wasmtime where lookups are switched off. An address needs no resolver, and no
permission: it is given back as it is. `localhost` needs none either: it is the guest's own loopback, and nobody is
asked for it (RFC 6761 section 6.3).

A lookup belongs to its stream: dropping that, as the end of the invocation does, cancels it.

Source: `wasi:sockets@0.2.12`, `ip-name-lookup.wit`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from gateway.bindings.context import WasiCtx
from gateway.bindings.io import Pollable, Source, Waiters, Wakers
from gateway.bindings.sockets.addresses import ip_address
from gateway.bindings.sockets.context import Lookup, WasiSocketsCtx
from gateway.bindings.sockets.error_code import ErrorCode, SocketError, fallible
from gateway.bindings.sockets.host_name import parse
from gateway.bindings.sockets.loopback import ADDRESSES
from gateway.bindings.sockets.network import Network
from gateway.host.binding import HostInterface
from gateway.host.table import Resource
from gateway.host.values import Variant
from gateway.policy.egress import IPAddress

__all__ = ["INTERFACES", "ResolveAddressStream"]


class ResolveAddressStream(Resource, Source):
    """`resolve-address-stream`: the addresses of a name, once they are known.

    Args:
        lookup: what finds them out, if that is needed.
        addresses: those that are known already.
    """

    __slots__ = ("_addresses", "_error", "_lookup", "_waiters")

    def __init__(self, lookup: Lookup | None = None, addresses: Iterable[IPAddress] = ()) -> None:
        self._addresses = deque(addresses)
        self._error: ErrorCode | None = None
        self._waiters = Waiters()
        self._lookup = lookup
        if lookup is not None:
            lookup.add_done_callback(self._looked_up)

    def next(self) -> IPAddress | None:
        """The next address; None once all have been returned.

        Raises:
            SocketError: `would-block`: they are not known yet; otherwise why they never will be.
        """
        if not self.ready():
            raise SocketError(ErrorCode.WOULD_BLOCK)
        if self._error is not None:
            raise SocketError(self._error)
        return self._addresses.popleft() if self._addresses else None

    def ready(self) -> bool:
        """Whether they are known, or never will be."""
        return self._lookup is None

    def _woken_by(self) -> Wakers:
        return (self._waiters,)

    def drop(self) -> None:
        """Cancel the lookup."""
        if self._lookup is not None:
            self._lookup.cancel()

    def _looked_up(self, lookup: Lookup) -> None:
        self._lookup = None
        self._waiters.wake()
        if lookup.cancelled():
            return
        # What else may be raised is no fault of the guest's, and for the loop to report.
        self._error = ErrorCode.UNKNOWN
        try:
            self._addresses.extend(lookup.result())
        except SocketError as error:
            self._error = error.code
        else:
            self._error = None


# --- the interface -----------------------------------------------------------------------------------------

ip_name_lookup = HostInterface(
    "wasi:sockets/ip-name-lookup", "0.2.12", key="allowed_outbound_hosts"
)
INTERFACES = (ip_name_lookup,)


@ip_name_lookup.function("resolve-addresses")
@fallible
def resolve_addresses(ctx: WasiCtx, _network: Network, name: str) -> ResolveAddressStream:
    """Begin to resolve a name; an address is its own and only result."""
    sockets = ctx.granted(WasiSocketsCtx)
    if sockets is None:
        raise SocketError(ErrorCode.PERMANENT_RESOLVER_FAILURE)
    host = parse(name)
    if not isinstance(host, str):
        return ResolveAddressStream(addresses=[host])
    if host.removesuffix(".") == "localhost":
        return ResolveAddressStream(addresses=ADDRESSES.values())
    return ResolveAddressStream(sockets.look_up(host))


@ip_name_lookup.method("resolve-address-stream", "resolve-next-address")
@fallible
def resolve_next_address(_ctx: WasiCtx, this: ResolveAddressStream) -> Variant | None:
    """The next `ip-address`; none after the last."""
    address = this.next()
    return None if address is None else ip_address(address)


@ip_name_lookup.method("resolve-address-stream", "subscribe")
def subscribe(_ctx: WasiCtx, this: ResolveAddressStream) -> Pollable:
    """A pollable that is ready once the lookup has ended."""
    return Pollable(this, parent=this)
