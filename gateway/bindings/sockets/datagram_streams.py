"""The two directions of a UDP socket.

What may not reach the guest, because it comes from another than the one peer or from one that the policy does not
allow, does not wake it either. So whether there is something to receive is found out by taking datagrams from the
system until one is for the guest, which then waits here.

Source: `wasi:sockets@0.2.12`, `udp.wit`: `incoming-datagram-stream`, `outgoing-datagram-stream`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from gateway.bindings.io import Source
from gateway.bindings.sockets.addresses import SocketAddress
from gateway.bindings.sockets.context import WasiSocketsCtx
from gateway.bindings.sockets.descriptor import Descriptor
from gateway.bindings.sockets.error_code import ErrorCode, SocketError, from_os_error
from gateway.host.errors import Trap
from gateway.host.table import Resource

__all__ = ["MAX_DATAGRAMS", "Datagram", "IncomingDatagramStream", "OutgoingDatagramStream"]

MAX_DATAGRAMS: Final = 16
"""Datagrams that are received, or permitted to be sent, at once. With 64 KiB in each of them they are a
megabyte that the host has to hold. The same number as in Wasmtime."""

MAX_DROPPED: Final = 64
"""Datagrams that are dropped in one go. Anyone may send them faster than they are looked at; others have
their turn before the event loop comes back to the socket. The number is arbitrary."""

_MAX_SIZE: Final = 65_535
"""Bytes of a datagram: its length is a field of 16 bits (RFC 768)."""

Datagram: TypeAlias = dict[str, Any]
"""`incoming-datagram` or `outgoing-datagram`, with `data` and `remote-address`."""


class _DatagramStream(Resource, Source):
    """One direction of a socket.

    Args:
        descriptor: the socket.
        ctx: the network that it is in.
        remote: its only peer, if it has one.
        parent: the `udp-socket`.
        dropped: called when the guest has dropped the stream.
    """

    __slots__ = ("_ctx", "_descriptor", "_dropped", "_remote")

    def __init__(
        self,
        descriptor: Descriptor,
        ctx: WasiSocketsCtx,
        remote: SocketAddress | None,
        parent: Resource,
        dropped: Callable[[], None],
    ) -> None:
        super().__init__(parent)
        self._descriptor = descriptor
        self._ctx = ctx
        self._remote = remote
        self._dropped = dropped

    def drop(self) -> None:
        """Tell the socket."""
        self._dropped()


class IncomingDatagramStream(_DatagramStream):
    """`incoming-datagram-stream`; see `_DatagramStream`."""

    __slots__ = ("_next",)

    _next: Datagram | SocketError | None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._next = None

    def ready(self) -> bool:
        """Whether there is a datagram for the guest, or an error."""
        if self._next is None:
            self._next = self._take()
        return self._next is not None

    def watch(self, waiter: asyncio.Future[None]) -> None:
        """Complete a future when there may be."""
        self._descriptor.readable.watch(waiter)

    def unwatch(self, waiter: asyncio.Future[None]) -> None:
        """Forget a future."""
        self._descriptor.readable.unwatch(waiter)

    def receive(self, max_results: int) -> list[Datagram]:
        """The datagrams that have arrived, up to `MAX_DATAGRAMS`; none if none have.

        Raises:
            SocketError: the peer, or somebody on the way to it, said that what was sent did not get there.
                What was received before that is returned first.
        """
        datagrams: list[Datagram] = []
        while len(datagrams) < min(max_results, MAX_DATAGRAMS) and self.ready():
            if isinstance(self._next, SocketError):
                if datagrams:
                    break
                error, self._next = self._next, None
                raise error
            if self._next is not None:
                datagrams.append(self._next)
                self._next = None
        return datagrams

    def _take(self) -> Datagram | SocketError | None:
        for _ in range(MAX_DROPPED):
            try:
                data, address = self._descriptor.socket.recvfrom(_MAX_SIZE)
            except BlockingIOError:
                return None
            except OSError as error:
                return SocketError(from_os_error(error))
            source = SocketAddress.from_sockaddr(address)
            if self._remote is not None:
                # The system does this too, but not for what arrived before the peer was chosen.
                if source.is_peer(self._remote):
                    return {"data": data, "remote-address": self._remote.variant}
            elif self._ctx.allows("udp", source):
                return {"data": data, "remote-address": source.variant}
        return None


class OutgoingDatagramStream(_DatagramStream):
    """`outgoing-datagram-stream`; see `_DatagramStream`."""

    __slots__ = ("_permit",)

    _permit: int | None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._permit = None

    def ready(self) -> bool:
        """Whether there is room to send, or an error."""
        return self._descriptor.writable.ready()

    def watch(self, waiter: asyncio.Future[None]) -> None:
        """Complete a future when there is."""
        self._descriptor.writable.watch(waiter)

    def unwatch(self, waiter: asyncio.Future[None]) -> None:
        """Forget a future."""
        self._descriptor.writable.unwatch(waiter)

    def check_send(self) -> int:
        """How many datagrams the next `send` may have."""
        self._permit = MAX_DATAGRAMS if self.ready() else 0
        return self._permit

    def send(self, datagrams: Sequence[Datagram]) -> int:
        """Send datagrams, until one cannot be sent.

        Returns:
            How many were sent.

        Raises:
            SocketError: not even the first, because of what it is.
            OSError: not even the first, because of the system.
            Trap: they are more than `check_send` has permitted since the last time.
        """
        permit, self._permit = self._permit, None
        if permit is None:
            raise Trap("send of datagrams without a check-send before it")
        if len(datagrams) > permit:
            raise Trap(f"send of {len(datagrams)} datagrams; check-send permitted {permit}")
        for sent, datagram in enumerate(datagrams):
            try:
                self._send(datagram)
            except BlockingIOError:
                return sent
            except (SocketError, OSError):
                if sent:
                    return sent
                raise
        return len(datagrams)

    def _send(self, datagram: Datagram) -> None:
        given = datagram["remote-address"]
        address = None if given is None else SocketAddress.from_variant(given)
        if self._remote is not None:
            if address not in {None, self._remote}:
                raise SocketError(ErrorCode.INVALID_ARGUMENT)
            self._descriptor.socket.send(datagram["data"])
            return
        if address is None:
            raise SocketError(ErrorCode.INVALID_ARGUMENT)
        address.check_family(self._descriptor.family)
        address.check_remote()
        self._ctx.check("udp", address)
        self._descriptor.socket.sendto(datagram["data"], address.sockaddr)
