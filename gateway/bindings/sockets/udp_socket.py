"""`udp-socket`: bound, then with a pair of streams, to one peer or to any.

    UNBOUND --start-bind--> BIND_STARTED --finish-bind--> BOUND

Every bound socket has a mailbox in the loopback. One that is bound to what the system chooses also has a socket of
the system, if the policy allows anything at all, and the same port with both. A pair of streams to one peer is
with the mailbox or with that socket, whichever the peer is reached by when they are made; a pair to any peer is
with both.

A peer that the policy does not allow is refused by `stream`, or by `send`; what such a one sends is dropped
silently. So is what comes from outside under an address that a socket of the guest's own has.

Source: `wasi:sockets@0.2.12`, `udp.wit`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import sys
from typing import Final

from gateway.bindings.sockets.addresses import Family, SocketAddress
from gateway.bindings.sockets.base_socket import BaseSocket, State
from gateway.bindings.sockets.context import WasiSocketsCtx
from gateway.bindings.sockets.datagram_streams import (
    IncomingDatagramStream,
    OutgoingDatagramStream,
    Paths,
)
from gateway.bindings.sockets.descriptor import Descriptor
from gateway.bindings.sockets.error_code import ErrorCode, SocketError, from_os_error
from gateway.bindings.sockets.loopback import Binding, is_loopback
from gateway.bindings.sockets.loopback_datagrams import Mailbox
from gateway.host.errors import Trap

__all__ = ["UdpSocket"]

# To be connected to nothing again is to be connected to an address of no family, for which Python has no form.
_NOWHERE: Final = struct.pack("BB14x" if sys.platform == "darwin" else "=H14x", socket.AF_UNSPEC)
_libc: Final = ctypes.CDLL(None, use_errno=True)

_MAX_TRIES: Final = 8
"""Ports of the system's choice that are looked at for one that no socket of the guest has in the loopback. It has
a few dozen of 28,000: eight in a row will not come."""


class UdpSocket(BaseSocket):
    """A UDP socket of a guest; see `BaseSocket`."""

    __slots__ = ("_descriptor", "_mailbox", "_remote", "_streams")

    transport = "udp"

    def __init__(self, ctx: WasiSocketsCtx, family: Family) -> None:
        super().__init__(ctx, family)
        self._descriptor: Descriptor | None = None
        self._mailbox = Mailbox()
        self._remote: SocketAddress | None = None
        self._streams = 0

    @property
    def remote(self) -> SocketAddress:
        """Its only peer.

        Raises:
            SocketError: `invalid-state`: it has none in particular.
        """
        if self._remote is None:
            raise SocketError(ErrorCode.INVALID_STATE)
        return self._remote

    def _local(self) -> SocketAddress:
        if self._descriptor is not None and self._mailbox.peer is None:
            return self._descriptor.local
        if self._binding is None:
            raise SocketError(ErrorCode.INVALID_STATE)
        return self._binding.address if self._remote is None else self._binding.source

    # --- being bound ---------------------------------------------------------------------------------------

    def _bind(self, local: SocketAddress) -> Binding:
        if local.is_ephemeral and self._ctx.reaches_out("udp"):
            binding = self._bind_outside(local)
        else:
            binding = super()._bind(local)
        binding.receiver = self._mailbox
        return binding

    def _bind_outside(self, local: SocketAddress) -> Binding:
        """Bind a socket of the system, and take the port that it gets in the loopback too."""
        for _ in range(_MAX_TRIES):
            descriptor = self._ctx.open("udp", self.family)
            try:
                descriptor.socket.bind(local.sockaddr)
                binding = self._ctx.loopback.bind("udp", descriptor.local, chosen=False)
                self._options.attach(descriptor.socket)
            except SocketError:
                descriptor.close()
            except BaseException:
                descriptor.close()
                raise
            else:
                self._descriptor = descriptor
                return binding
        raise SocketError(ErrorCode.ADDRESS_IN_USE)

    # --- peers ---------------------------------------------------------------------------------------------

    def stream(
        self, remote: SocketAddress | None
    ) -> tuple[IncomingDatagramStream, OutgoingDatagramStream]:
        """Begin to communicate with one peer, or with any.

        Raises:
            SocketError: it is not bound, there can be nothing at the address or it is not allowed; all is as
                it was then. Or the system refuses.
            Trap: a stream of the last call is still there ("implementations may trap").
        """
        if self._streams:
            raise Trap("stream of a udp-socket whose last streams have not been dropped")
        self.check_start(State.BOUND)
        if self._binding is None:
            raise SocketError(ErrorCode.INVALID_STATE)
        is_inside = remote is not None and self._is_inside(remote)
        if self._descriptor is not None:
            if self._remote is not None and self._mailbox.peer is None:
                self._disconnect(self._descriptor)
            if remote is not None and not is_inside:
                self._connect(self._descriptor, remote)
        self._remote = remote
        self._mailbox.peer = remote if is_inside else None
        self._mailbox.is_outside = remote is not None and not is_inside
        paths = Paths(
            self._ctx,
            self._binding,
            remote,
            mailbox=None if self._mailbox.is_outside else self._mailbox,
            descriptor=None if is_inside else self._descriptor,
        )
        self._streams = 2
        common = (paths, self, self._dropped)
        return IncomingDatagramStream(*common), OutgoingDatagramStream(*common)

    def _is_inside(self, remote: SocketAddress) -> bool:
        """Whether a peer is in the loopback.

        Raises:
            SocketError: there can be nothing at the address, or it is not allowed.
        """
        remote.check_family(self.family)
        remote.check_remote()
        if self._ctx.loopback.receiver("udp", remote) is not None:
            return True
        if self._stays_inside and is_loopback(remote):
            return True
        self._ctx.check("udp", remote, stays_inside=self._stays_inside)
        return False

    def _dropped(self) -> None:
        self._streams -= 1

    def _connect(self, descriptor: Descriptor, remote: SocketAddress) -> None:
        try:
            descriptor.socket.connect(remote.sockaddr)
        except OSError as error:
            raise SocketError(from_os_error(error, connecting=True)) from error

    def _disconnect(self, descriptor: Descriptor) -> None:
        port = descriptor.local.port
        if _libc.connect(descriptor.socket.fileno(), _NOWHERE, len(_NOWHERE)) != 0:
            number = ctypes.get_errno()
            # What the BSDs answer after having done it.
            if number != errno.EAFNOSUPPORT:
                raise OSError(number, os.strerror(number))
        self._remote = None
        # Linux gives up the port that it has chosen, once; one that it is told it keeps.
        if descriptor.local.port != port:
            anywhere = "0.0.0.0" if self.family == "ipv4" else "::"  # noqa: S104
            descriptor.socket.bind((anywhere, port))

    def ready(self) -> bool:
        """Always: nothing takes time."""
        return True

    def drop(self) -> None:
        """Close it."""
        if self._descriptor is not None:
            self._descriptor.close()
        super().drop()
