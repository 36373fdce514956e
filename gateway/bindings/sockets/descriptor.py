"""Sockets of the operating system, and waiting for them.

Nothing here blocks. Whether a socket is ready is asked of the system at that moment; only while someone waits
for it does the event loop watch it. So nothing is ever read ahead, and what a guest does not read holds its
peer up.
"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
import weakref
from abc import abstractmethod
from contextlib import suppress
from typing import ClassVar, Final

from gateway.bindings.counted_socket import CountedSocket
from gateway.bindings.descriptors import Share
from gateway.bindings.io import Source
from gateway.bindings.sockets.addresses import FAMILIES, Family, SocketAddress

__all__ = ["Descriptor", "Readiness"]

_RESET: Final = struct.pack("ii", 1, 0)
"""`struct linger`: to close is to reset the connection."""


class Readiness(Source):
    """Whether one direction of a socket can go on; an error or the end of the connection counts.

    Args:
        fd: the file descriptor.
        event: what to ask for, `POLLIN` or `POLLOUT`.
    """

    __slots__ = ("_fd", "_loop", "_poll", "_waiters")

    def __init__(self, fd: int, event: int) -> None:
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, event)
        self._waiters: dict[asyncio.Future[None], None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def ready(self) -> bool:
        """Ask the system."""
        return bool(self._poll.poll(0))

    def watch(self, waiter: asyncio.Future[None]) -> None:
        """Complete a future when the loop sees that it is ready."""
        self._waiters[waiter] = None
        if self._loop is None:
            self._loop = waiter.get_loop()
            self._start(self._loop)

    def unwatch(self, waiter: asyncio.Future[None]) -> None:
        """Forget a future."""
        self._waiters.pop(waiter, None)
        if not self._waiters:
            self.stop()

    def stop(self) -> None:
        """Have the loop forget the socket, as it must before that is closed."""
        if self._loop is not None:
            loop, self._loop = self._loop, None
            self._stop(loop)

    def _wake(self) -> None:
        # Stopped at once: the loop would call again, and again, until those who wait had their turn.
        self.stop()
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    @abstractmethod
    def _start(self, loop: asyncio.AbstractEventLoop) -> None: ...

    @abstractmethod
    def _stop(self, loop: asyncio.AbstractEventLoop) -> None: ...


class _Readable(Readiness):
    __slots__ = ()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_reader(self._fd, self._wake)

    def _stop(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._fd)


class _Writable(Readiness):
    __slots__ = ()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_writer(self._fd, self._wake)

    def _stop(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_writer(self._fd)


class Descriptor:
    """A non-blocking socket of the system, opened for a guest. A socket of IPv6 is one of IPv6 only.

    Args:
        family: its address family.
        kind: `SOCK_STREAM` or `SOCK_DGRAM`.
        share: where it takes its place among the file descriptors.

    Attributes:
        family: the same.
        socket: the socket.
        readable: whether there is something to receive.
        writable: whether there is room to send.

    Raises:
        OSError: `EMFILE`: there is no place; or the system refuses.
    """

    __slots__ = ("__weakref__", "family", "readable", "socket", "writable")

    open: ClassVar[weakref.WeakSet[Descriptor]] = weakref.WeakSet()
    """All that are open in this process."""

    def __init__(self, family: Family, kind: socket.SocketKind, share: Share) -> None:
        self.socket = CountedSocket(share, FAMILIES[family], kind)
        try:
            self.socket.setblocking(False)
            if family == "ipv6":
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        except BaseException:
            self.socket.close()
            raise
        self.readable: Readiness = _Readable(self.socket.fileno(), select.POLLIN)
        self.writable: Readiness = _Writable(self.socket.fileno(), select.POLLOUT)
        self.family = family
        Descriptor.open.add(self)

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed."""
        return self.socket.fileno() >= 0

    @property
    def local(self) -> SocketAddress:
        """The address that the system has given it."""
        return SocketAddress.from_sockaddr(self.socket.getsockname())

    def failure(self) -> int:
        """The number of the error that connecting has ended with; 0 for none."""
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def receive(self, size: int) -> bytes:
        """What has arrived; nothing at the end.

        Raises:
            OSError: nothing yet, or the connection has broken.
        """
        return self.socket.recv(size)

    def send(self, data: bytes | memoryview) -> int:
        """Send bytes; how many were.

        Raises:
            OSError: there is no room, or the connection has broken.
        """
        return self.socket.send(data)

    def end_receiving(self) -> None:
        """Take nothing more."""
        with suppress(OSError):  # the peer may have broken the connection
            self.socket.shutdown(socket.SHUT_RD)

    def end_sending(self) -> None:
        """Send nothing more."""
        with suppress(OSError):  # the peer may have broken the connection
            self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close the connection in a way that the peer cannot take for an end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def close(self) -> None:
        """Close the socket; nobody may wait for it any more. May be called again."""
        if self.is_open:
            self.readable.stop()
            self.writable.stop()
            self.socket.close()
            Descriptor.open.discard(self)
