"""`udp-socket`: bound, then with a pair of streams, to one peer or to any that the policy allows.

    UNBOUND --start-bind--> BIND_STARTED --finish-bind--> BOUND

A peer that the policy does not allow is refused by `stream`, or by `send`; what such a one sends is dropped
silently.

Source: `wasi:sockets@0.2.12`, `udp.wit`.
"""

from __future__ import annotations

import asyncio
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
)
from gateway.bindings.sockets.error_code import ErrorCode, SocketError, from_os_error
from gateway.host.errors import Trap

__all__ = ["UdpSocket"]

# To be connected to nothing again is to be connected to an address of no family, for which Python has no form.
_NOWHERE: Final = struct.pack("BB14x" if sys.platform == "darwin" else "=H14x", socket.AF_UNSPEC)
_libc: Final = ctypes.CDLL(None, use_errno=True)


class UdpSocket(BaseSocket):
    """A UDP socket of a guest; see `BaseSocket`."""

    __slots__ = ("_remote", "_streams")

    transport = "udp"

    def __init__(self, ctx: WasiSocketsCtx, family: Family) -> None:
        super().__init__(ctx, family)
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
        if remote is not None:
            remote.check_family(self.family)
            remote.check_remote()
            self._ctx.check("udp", remote)
        if self._remote is not None:
            self._disconnect()
        if remote is not None:
            self._connect(remote)
        self._streams = 2
        common = (self._descriptor, self._ctx, remote, self, self._dropped)
        return IncomingDatagramStream(*common), OutgoingDatagramStream(*common)

    def _dropped(self) -> None:
        self._streams -= 1

    def _connect(self, remote: SocketAddress) -> None:
        try:
            self._descriptor.socket.connect(remote.sockaddr)
        except OSError as error:
            raise SocketError(from_os_error(error, connecting=True)) from error
        self._remote = remote

    def _disconnect(self) -> None:
        port = self.local.port
        descriptor = self._descriptor.socket
        if _libc.connect(descriptor.fileno(), _NOWHERE, len(_NOWHERE)) != 0:
            number = ctypes.get_errno()
            # What the BSDs answer after having done it.
            if number != errno.EAFNOSUPPORT:
                raise OSError(number, os.strerror(number))
        self._remote = None
        # Linux gives up the port that it has chosen, once; one that it is told it keeps.
        if self.local.port != port:
            anywhere = "0.0.0.0" if self.family == "ipv4" else "::"  # noqa: S104
            descriptor.bind((anywhere, port))

    def ready(self) -> bool:
        """Always: nothing takes time."""
        return True

    def watch(self, waiter: asyncio.Future[None]) -> None:
        """Nothing changes."""

    def unwatch(self, waiter: asyncio.Future[None]) -> None:
        """Nothing was kept."""
