"""Whether a client takes what it is sent."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from typing import Final

__all__ = ["Writing"]

_TCP_INFO_SIZE: Final = 128
_BYTES_ACKED: Final = slice(120, 128)
"""Where `tcpi_bytes_acked` is in `struct tcp_info` (linux/tcp.h, since Linux 4.1)."""


class Writing:
    """Tells for how long nothing has gone out that should have.

    What counts is what the client's kernel has acknowledged, or what the client has taken from a Unix socket: a
    buffer of ours or of this kernel may empty itself in steps that a slow client takes minutes for.

    Args:
        transport: where it is sent.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._taken: int | None = None
        self._since = 0.0

    def stalled(self, now: float) -> float:
        """For how many seconds bytes have waited and none was taken, as far as this was called in that time.

        Args:
            now: the time, by any clock.
        """
        if not self._transport.get_write_buffer_size():
            self._taken = None
            return 0.0
        taken = self._count()
        if taken != self._taken:
            self._taken, self._since = taken, now
        return now - self._since

    def _count(self) -> int:
        """A number that changes when bytes are taken."""
        connection: socket.socket = self._transport.get_extra_info("socket")
        if sys.platform == "linux" and connection.fileno() >= 0:
            if connection.family == socket.AF_UNIX:
                told = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
                waiting: int = struct.unpack("i", told)[0]
                return self._transport.get_write_buffer_size() + waiting
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
            return int.from_bytes(info[_BYTES_ACKED], sys.byteorder)
        return self._transport.get_write_buffer_size()
