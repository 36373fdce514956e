"""The network as one invocation has it: its loopback, what it may reach outside of that, and how much of it.

Of `allowed_outbound_hosts`, the entries with the scheme `tcp`, `udp` or `*` are about sockets. An address is
reached as itself, or as a name that the guest has resolved to it: an entry with a name allows the lookup of
that name, and then the addresses which the lookup gave, unless they are special ones that no entry names
(`gateway.policy.egress`).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from gateway.bindings.context import State
from gateway.bindings.descriptors import UNCOUNTED, Share
from gateway.bindings.sockets.addresses import Family, SocketAddress, canonical
from gateway.bindings.sockets.descriptor import Descriptor
from gateway.bindings.sockets.error_code import ErrorCode, SocketError, from_resolver
from gateway.bindings.sockets.loopback import Loopback, Transport
from gateway.policy.egress import EgressPolicy, IPAddress, Verdict

if TYPE_CHECKING:
    from gateway.bindings.http.outbound.resolver import Resolve

__all__ = ["MAX_LOOKUPS", "MAX_NAMES", "MAX_SOCKETS", "Lookup", "WasiSocketsCtx"]

Lookup: TypeAlias = asyncio.Task[Sequence[IPAddress]]

MAX_SOCKETS: Final = 64
"""Sockets that one invocation has at most, connections of its loopback that wait to be accepted included. Each may
cost a file descriptor of the worker, buffers of the kernel, and bytes here: up to `tcp_streams.PERMIT` where it is
connected outside, 192 KiB (`loopback_stream`, `loopback_datagrams`) in the loopback. Spin has such a quota too;
the number is arbitrary."""

MAX_LOOKUPS: Final = 32
"""Lookups that one invocation has under way at once. They queue for the few threads of the resolver, where a guest
that starts them without end would fill the memory and keep others waiting. One that the guest gives up counts for
ever: its thread cannot be interrupted, and is as busy as before. The number is arbitrary."""

MAX_NAMES: Final = 1024
"""Pairs of name and address that are remembered of one invocation. A policy may allow names by pattern, of which a
guest could look up ever new ones; the oldest are forgotten, and have to be looked up again before their addresses
can be used. The number is arbitrary."""

MAX_REFUSALS: Final = 16
"""Refusals that are logged of one invocation: a guest that tries everything must not fill the log. The number is
arbitrary."""

_log = structlog.get_logger("gateway.sockets")

_NO_CONTEXT: Final[Mapping[str, str]] = {}
_NO_ENTRY: Final = "no entry of allowed_outbound_hosts is for it"
_STAYS_INSIDE: Final = Verdict(
    allowed=False, rule="the socket is bound to an address of the guest's own loopback"
)

_KINDS: Final[dict[Transport, socket.SocketKind]] = {
    "tcp": socket.SOCK_STREAM,
    "udp": socket.SOCK_DGRAM,
}


class WasiSocketsCtx(State):
    """What the socket calls of one invocation share.

    Args:
        policy: what it may reach.
        resolve: how names are looked up.
        context: whose it is, for the log.
        share: where sockets of the system take their places among the file descriptors.

    Attributes:
        loopback: the addresses that are the guest's own.
    """

    __slots__ = (
        "_context",
        "_lookups",
        "_names",
        "_policy",
        "_refused",
        "_resolve",
        "_share",
        "_sockets",
        "loopback",
    )

    def __init__(
        self,
        policy: EgressPolicy,
        resolve: Resolve,
        context: Mapping[str, str] = _NO_CONTEXT,
        *,
        share: Share = UNCOUNTED,
    ) -> None:
        self._policy = policy
        self._resolve = resolve
        self._context = context
        self._share = share
        self._sockets = 0
        self._lookups = 0
        self._names: dict[tuple[IPAddress, str], None] = {}
        self._refused: set[str] = set()
        self.loopback = Loopback(policy.ports_of)

    def refuse(self, target: str, rule: str) -> None:
        """Log what the guest has tried and may not, once.

        Args:
            target: what it was, such as `tcp://10.0.0.1:5432`.
            rule: what forbids it.
        """
        if target not in self._refused and len(self._refused) < MAX_REFUSALS:
            self._refused.add(target)
            _log.warning("socket refused", target=target, rule=rule, **self._context)

    # --- sockets -------------------------------------------------------------------------------------------

    def add_socket(self) -> None:
        """Count one more socket.

        Raises:
            SocketError: `new-socket-limit`.
        """
        if self._sockets >= MAX_SOCKETS:
            raise SocketError(ErrorCode.NEW_SOCKET_LIMIT)
        self._sockets += 1

    def remove_socket(self) -> None:
        """Count one less."""
        self._sockets -= 1

    def open(self, transport: Transport, family: Family) -> Descriptor:
        """Open a socket of the system, for what is outside of the loopback.

        Raises:
            OSError: `EMFILE`: this component may have no more; or the system refuses.
        """
        return Descriptor(family, _KINDS[transport], self._share)

    def reaches_out(self, *transports: Transport) -> bool:
        """Whether there is anything outside of the loopback that could be allowed."""
        return any(rule.scheme in {None, *transports} for rule in self._policy.rules)

    # --- peers ---------------------------------------------------------------------------------------------

    def allows(self, transport: Transport, peer: SocketAddress) -> bool:
        """Whether a peer may be reached, and heard."""
        return self._verdict(transport, peer).allowed

    def check(
        self, transport: Transport, peer: SocketAddress, *, stays_inside: bool = False
    ) -> None:
        """Refuse a peer outside of the loopback that may not be reached.

        Args:
            transport: by what.
            peer: the peer.
            stays_inside: whether the socket is bound to a place in the loopback, from which nothing outside is.

        Raises:
            SocketError: `access-denied`.
        """
        verdict = _STAYS_INSIDE if stays_inside else self._verdict(transport, peer)
        if not verdict.allowed:
            self.refuse(f"{transport}://{peer}", verdict.rule)
            raise SocketError(ErrorCode.ACCESS_DENIED)

    def _verdict(self, transport: Transport, peer: SocketAddress) -> Verdict:
        verdict = self._policy.check_target(transport, str(peer.ip), peer.port)
        for address, name in self._names:
            if verdict.allowed:
                break
            if address == peer.ip:
                verdict = self._policy.check_target(transport, name, peer.port)
        if not verdict.allowed:
            return verdict
        return self._policy.check_address(transport, peer.ip, peer.port)

    # --- names ---------------------------------------------------------------------------------------------

    def look_up(self, name: str) -> Lookup:
        """Begin to resolve a name.

        Returns:
            What ends with its addresses, or raises a `SocketError`.

        Raises:
            SocketError: `permanent-resolver-failure`: no entry allows the name, which is also what a guest
                gets that has no network at all; or `temporary-resolver-failure`: too many are under way.
        """
        if not self._allows_lookup(name.removesuffix(".")):
            self.refuse(f"lookup of {name}", _NO_ENTRY)
            raise SocketError(ErrorCode.PERMANENT_RESOLVER_FAILURE)
        if self._lookups >= MAX_LOOKUPS:
            raise SocketError(ErrorCode.TEMPORARY_RESOLVER_FAILURE)
        self._lookups += 1
        lookup = asyncio.get_running_loop().create_task(self._addresses(name))
        lookup.add_done_callback(self._looked_up)
        return lookup

    def _allows_lookup(self, name: str) -> bool:
        return any(
            rule.scheme in {None, *_KINDS} and rule.matches(name) for rule in self._policy.rules
        )

    async def _addresses(self, name: str) -> Sequence[IPAddress]:
        try:
            found = await self._resolve(name)
        except OSError as error:
            raise SocketError(from_resolver(error)) from error
        except UnicodeError as error:
            raise SocketError(ErrorCode.NAME_UNRESOLVABLE) from error
        addresses = list(dict.fromkeys(map(canonical, found)))
        self._remember(name.removesuffix("."), addresses)
        return addresses

    def _looked_up(self, lookup: Lookup) -> None:
        if not lookup.cancelled():
            self._lookups -= 1

    def _remember(self, name: str, addresses: Iterable[IPAddress]) -> None:
        for address in addresses:
            self._names.pop((address, name), None)
            self._names[address, name] = None
        while len(self._names) > MAX_NAMES:
            del self._names[next(iter(self._names))]
