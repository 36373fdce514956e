"""Sockets of the system that are opened for guests, each with a place among the file descriptors."""

from __future__ import annotations

import socket

from gateway.bindings.descriptors import Place, Share

__all__ = ["CountedSocket"]


class CountedSocket(socket.socket):
    """A socket that gives its place back when it is closed, by whomever.

    Transports are given it whole: asyncio's closes it, uvloop's detaches it and closes the descriptor itself.

    Args:
        share: where it takes its place.
        family: its address family.
        kind: `SOCK_STREAM` or `SOCK_DGRAM`.

    Raises:
        OSError: `EMFILE`: there is no place; or the system refuses.
    """

    _place: Place | None = None

    def __init__(self, share: Share, family: socket.AddressFamily, kind: socket.SocketKind) -> None:
        with share.opening() as place:
            super().__init__(family, kind)
        self._place = place

    def close(self) -> None:
        """Close it. May be called again."""
        super().close()
        self._release()

    def detach(self) -> int:
        """Give the descriptor to somebody else, who closes it."""
        descriptor = super().detach()
        self._release()
        return descriptor

    def _release(self) -> None:
        if self._place is not None:
            self._place.release()
