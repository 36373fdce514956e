"""Connections of TCP between two sockets of one guest: bytes in memory, with the words of the system.

What raises `OSError` here does so with the number that Linux gives in the same place, so streams need not know
which kind of connection they are of.

A direction takes a whole write while less than `CAPACITY` bytes wait in it. So no byte that was taken can be lost
by closing too early, and what waits is `CAPACITY` and one write at most.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Final

from gateway.bindings.io import Source, Waiters, Wakers
from gateway.bindings.sockets.addresses import SocketAddress

__all__ = ["CAPACITY", "DEFAULT_BACKLOG", "Listener", "LoopbackStream"]

CAPACITY: Final = 64 << 10
"""Bytes that wait in one direction before no more is permitted. With a write of `tcp_streams.PERMIT` bytes on top,
and `context.MAX_SOCKETS` sockets, a guest has the host hold 8 MiB at most. As much as a pipe of Linux holds."""

DEFAULT_BACKLOG: Final = 128
"""Connections that wait to be accepted where the guest has not said how many may. Linux's own default until 5.4; a
guest has fewer sockets than this."""


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class _Pipe:
    """One direction of a connection."""

    __slots__ = ("abandoned", "buffer", "deaf", "ended", "readers", "reset", "writers")

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.readers = Waiters()
        self.writers = Waiters()
        self.ended = False
        self.reset = False
        self.deaf = False
        self.abandoned = False

    def read(self, size: int) -> bytes:
        if self.buffer:
            data = bytes(memoryview(self.buffer)[:size])
            del self.buffer[:size]
            self.writers.wake()
            return data
        if self.reset:
            raise _error(errno.ECONNRESET)
        if self.ended:
            return b""
        raise _error(errno.EAGAIN)

    def write(self, data: bytes | memoryview) -> int:
        if self.abandoned or self.ended:
            raise _error(errno.EPIPE)
        if len(self.buffer) >= CAPACITY:
            raise _error(errno.EAGAIN)
        if not self.deaf:
            self.buffer += data
            self.readers.wake()
        return len(data)

    def end(self, *, reset: bool = False) -> None:
        self.ended = True
        self.reset = self.reset or reset
        self.readers.wake()

    def deafen(self) -> None:
        self.deaf = True
        self.buffer.clear()
        self.writers.wake()

    def abandon(self) -> None:
        self.abandoned = True
        self.deafen()


class _Readable(Source):
    """Whether there are bytes to read, or the end."""

    __slots__ = ("_pipe",)

    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe

    def ready(self) -> bool:
        return bool(self._pipe.buffer) or self._pipe.ended

    def _woken_by(self) -> Wakers:
        return (self._pipe.readers,)


class _Writable(Source):
    """Whether there is a connection with room in it, or will be none."""

    __slots__ = ("_stream",)

    def __init__(self, stream: LoopbackStream) -> None:
        self._stream = stream

    def ready(self) -> bool:
        stream, pipe = self._stream, self._stream.outgoing
        if not stream.established:
            return stream.refused
        return pipe.abandoned or pipe.ended or len(pipe.buffer) < CAPACITY

    def _woken_by(self) -> Wakers:
        return (self._stream.outgoing.writers,)


class LoopbackStream:
    """One end of a connection; `connect` makes both.

    Args:
        local: where it is.
        incoming: what comes.
        outgoing: what goes.

    Attributes:
        local: the same.
        outgoing: the same.
        established: whether the other side has room for the connection, or has accepted it.
        refused: whether it never will.
        is_open: whether it has not been closed.
        readable: whether there is something to receive.
        writable: whether there is room to send, or a connection that was being made is, or has failed.
    """

    __slots__ = (
        "_incoming",
        "_withdraw",
        "established",
        "is_open",
        "local",
        "outgoing",
        "readable",
        "refused",
        "writable",
    )

    def __init__(self, local: SocketAddress, incoming: _Pipe, outgoing: _Pipe) -> None:
        self.local = local
        self.outgoing = outgoing
        self.established = False
        self.refused = False
        self.is_open = True
        self.readable: Source = _Readable(incoming)
        self.writable: Source = _Writable(self)
        self._incoming = incoming
        self._withdraw: Callable[[], None] | None = None

    @classmethod
    def connect(
        cls, listener: Listener, local: SocketAddress, remote: SocketAddress
    ) -> LoopbackStream:
        """Begin to connect.

        Args:
            listener: who is there.
            local: where the connection comes from.
            remote: the address that it was made to.

        Returns:
            The end of whoever connects.

        Raises:
            SocketError: `new-socket-limit`: the guest can have no socket for the other end.
        """
        there, back = _Pipe(), _Pipe()
        client, server = cls(local, back, there), cls(remote, there, back)
        waiting = _Waiting(client, server)
        listener.offer(waiting)
        client._withdraw = lambda: listener.withdraw(waiting)
        return client

    def failure(self) -> int:
        """The number of the error that connecting has ended with; 0 for none."""
        return errno.ECONNREFUSED if self.refused else 0

    def receive(self, size: int) -> bytes:
        """What has arrived; nothing at the end.

        Raises:
            OSError: `EAGAIN`: nothing yet; `ECONNRESET`.
        """
        return self._incoming.read(size)

    def send(self, data: bytes | memoryview) -> int:
        """Send bytes, all or none.

        Raises:
            OSError: `EAGAIN`: there is no room; `EPIPE`: nobody will read them.
        """
        return self.outgoing.write(data)

    def end_receiving(self) -> None:
        """Take nothing more: what comes is dropped."""
        self._incoming.deafen()

    def end_sending(self) -> None:
        """Send nothing more."""
        self.outgoing.end()

    def establish(self) -> None:
        """There is a connection."""
        self.established = True
        self.outgoing.writers.wake()

    def refuse(self) -> None:
        """There will be none."""
        self.refused = True
        self.outgoing.writers.wake()

    def reset(self) -> None:
        """Break the connection off."""
        self.outgoing.end(reset=True)
        self.close()

    def close(self) -> None:
        """Close this end. What was sent is still received. May be called again."""
        if not self.is_open:
            return
        self.is_open = False
        # RFC 1122 section 4.2.2.13: what arrived and was never read is lost, which a reset tells.
        self.outgoing.end(reset=bool(self._incoming.buffer))
        self._incoming.abandon()
        if self._withdraw is not None:
            self._withdraw()


class _Waiting:
    """A connection that has not been accepted: both of its ends."""

    __slots__ = ("client", "server")

    def __init__(self, client: LoopbackStream, server: LoopbackStream) -> None:
        self.client = client
        self.server = server


class Listener(Source):
    """What listens at an address: the connections that wait to be accepted, oldest first.

    As many as the backlog says are connections already, whose bytes may flow; the others go on connecting. Each
    counts as a socket of the guest from the beginning, or a guest could leave any number behind.

    Args:
        add_socket: counts one more socket of the guest; raises what keeps it from having one.
        remove_socket: counts one less.

    Attributes:
        backlog: how many are connections.
    """

    __slots__ = ("_add_socket", "_queue", "_remove_socket", "_waiters", "backlog")

    def __init__(
        self, add_socket: Callable[[], None], remove_socket: Callable[[], None], backlog: int
    ) -> None:
        self.backlog = backlog
        self._add_socket = add_socket
        self._remove_socket = remove_socket
        self._queue: deque[_Waiting] = deque()
        self._waiters = Waiters()

    def offer(self, waiting: _Waiting) -> None:
        """Add a connection.

        Raises:
            SocketError: `new-socket-limit`.
        """
        self._add_socket()
        self._queue.append(waiting)
        self.admit()

    def withdraw(self, waiting: _Waiting) -> None:
        """Whoever connects has closed its end. What has not become a connection is forgotten."""
        if not waiting.client.established and waiting in self._queue:
            self._queue.remove(waiting)
            self._remove_socket()

    def accept(self) -> tuple[LoopbackStream, SocketAddress] | None:
        """The oldest connection, and where it comes from; its socket is counted. None if none waits."""
        if not self.ready():
            return None
        waiting = self._queue.popleft()
        waiting.server.establish()
        self.admit()
        return waiting.server, waiting.client.local

    def admit(self) -> None:
        """Make connections of those that the backlog has room for."""
        for waiting in islice(self._queue, self.backlog):
            if not waiting.client.established:
                waiting.client.establish()
                self._waiters.wake()

    def close(self) -> None:
        """Listen no more; connections that were not accepted are broken off."""
        queue, self._queue = self._queue, deque()
        for waiting in queue:
            self._remove_socket()
            if not waiting.client.established:
                waiting.client.refuse()
            waiting.server.reset()

    def ready(self) -> bool:
        """Whether a connection can be accepted."""
        return bool(self._queue)

    def _woken_by(self) -> Wakers:
        return (self._waiters,)
