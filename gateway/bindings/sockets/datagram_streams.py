"""The two directions of a UDP socket, in the loopback and outside of it.

What may not reach the guest, because it comes from another than the one peer or from one that the policy does not
allow, does not wake it either. So whether there is something to receive is found out by taking datagrams from the
system until one is for the guest, which then waits here.

Source: `wasi:sockets@0.2.12`, `udp.wit`: `incoming-datagram-stream`, `outgoing-datagram-stream`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from gateway.bindings.io import Source, Wakers
from gateway.bindings.sockets.addresses import SocketAddress
from gateway.bindings.sockets.context import WasiSocketsCtx
from gateway.bindings.sockets.descriptor import Descriptor
from gateway.bindings.sockets.error_code import ErrorCode, SocketError, from_os_error
from gateway.bindings.sockets.loopback import Binding, is_loopback
from gateway.bindings.sockets.loopback_datagrams import MAX_SIZE, Mailbox
from gateway.host.errors import Trap
from gateway.host.table import Resource

__all__ = ["MAX_DATAGRAMS", "Datagram", "IncomingDatagramStream", "OutgoingDatagramStream", "Paths"]

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


@dataclass(frozen=True, slots=True)
class Paths:
    """How the datagrams of one pair of streams come and go.

    Attributes:
        ctx: the network that the socket is in.
        binding: its address in the loopback.
        remote: its only peer, if it has one.
        mailbox: what comes from the loopback; None if the peer is outside of it.
        descriptor: the socket of the system; None if there is none, or the peer is in the loopback.
    """

    ctx: WasiSocketsCtx
    binding: Binding
    remote: SocketAddress | None
    mailbox: Mailbox | None
    descriptor: Descriptor | None

    @property
    def incoming(self) -> Iterator[Source]:
        """What may become ready to be received from."""
        if self.mailbox is not None:
            yield self.mailbox
        if self.descriptor is not None:
            yield self.descriptor.readable


class _DatagramStream(Resource, Source):
    """One direction of a socket.

    Args:
        paths: how datagrams come and go.
        parent: the `udp-socket`.
        dropped: called when the guest has dropped the stream.
    """

    __slots__ = ("_dropped", "_paths", "parent")

    def __init__(self, paths: Paths, parent: Resource, dropped: Callable[[], None]) -> None:
        self.parent = parent
        self._paths = paths
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

    def _woken_by(self) -> Wakers:
        return self._paths.incoming

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
        taken = self._take_inside()
        return self._take_outside() if taken is None else taken

    def _take_inside(self) -> Datagram | SocketError | None:
        mailbox, remote = self._paths.mailbox, self._paths.remote
        while mailbox is not None and mailbox.ready():
            received = mailbox.take()
            if received is None or isinstance(received, SocketError):
                return received
            data, source = received
            # The mailbox sees to this too, but not for what arrived before the peer was chosen.
            if remote is None or source.is_peer(remote):
                return {"data": data, "remote-address": (remote or source).variant}
        return None

    def _take_outside(self) -> Datagram | SocketError | None:
        descriptor, remote = self._paths.descriptor, self._paths.remote
        if descriptor is None:
            return None
        for _ in range(MAX_DROPPED):
            try:
                data, address = descriptor.socket.recvfrom(_MAX_SIZE)
            except BlockingIOError:
                return None
            except OSError as error:
                return SocketError(from_os_error(error))
            source = SocketAddress.from_sockaddr(address)
            if remote is not None:
                # The system does this too, but not for what arrived before the peer was chosen.
                if source.is_peer(remote):
                    return {"data": data, "remote-address": remote.variant}
            elif self._may_be_heard(source):
                return {"data": data, "remote-address": source.variant}
        return None

    def _may_be_heard(self, source: SocketAddress) -> bool:
        ctx = self._paths.ctx
        # Under this address the guest knows a socket of its own.
        return ctx.loopback.receiver("udp", source) is None and ctx.allows("udp", source)


class OutgoingDatagramStream(_DatagramStream):
    """`outgoing-datagram-stream`; see `_DatagramStream`."""

    __slots__ = ("_permit",)

    _permit: int | None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._permit = None

    def ready(self) -> bool:
        """Whether there is room to send, or an error."""
        return self._paths.descriptor is None or self._paths.descriptor.writable.ready()

    def _woken_by(self) -> Wakers:
        return () if self._paths.descriptor is None else (self._paths.descriptor.writable,)

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
        paths, data = self._paths, datagram["data"]
        given = datagram["remote-address"]
        address = None if given is None else SocketAddress.from_variant(given)
        if paths.remote is None:
            if address is None:
                raise SocketError(ErrorCode.INVALID_ARGUMENT)
            self._send_to(address, data)
        elif address not in {None, paths.remote}:
            raise SocketError(ErrorCode.INVALID_ARGUMENT)
        elif paths.descriptor is not None:
            paths.descriptor.socket.send(data)
        elif not self._deliver(paths.remote, data) and paths.mailbox is not None:
            # What the ICMP message "port unreachable" makes of it outside.
            paths.mailbox.fail(ErrorCode.CONNECTION_REFUSED)

    def _send_to(self, address: SocketAddress, data: bytes) -> None:
        paths = self._paths
        stays_inside = paths.binding.chosen
        address.check_family(paths.binding.address.family)
        address.check_remote()
        inside = paths.ctx.loopback.receiver("udp", address) is not None
        if inside or (stays_inside and is_loopback(address)):
            self._deliver(address, data)
            return
        paths.ctx.check("udp", address, stays_inside=stays_inside)
        if paths.descriptor is not None:
            paths.descriptor.socket.sendto(data, address.sockaddr)

    def _deliver(self, address: SocketAddress, data: bytes) -> bool:
        """Hand a datagram to whoever of the guest's own is at an address; whether anyone is."""
        if len(data) > MAX_SIZE[address.family]:
            raise SocketError(ErrorCode.DATAGRAM_TOO_LARGE)
        receiver = self._paths.ctx.loopback.receiver("udp", address)
        return isinstance(receiver, Mailbox) and receiver.deliver(data, self._paths.binding.source)
