"""The two directions of a TCP connection, as streams.

Bytes to read stay with the system, or in the loopback, until the guest asks for them. Bytes written go there at
once; what it does not take is kept, sent as soon as there is room, and no more is permitted until then. That is
all that is ever queued here: no more than one permit.

The streams live as long as their socket does, although the guest may drop its handles on them sooner: what it has
written is still sent.

Source: `wasi:sockets@0.2.12`, `tcp.wit`: `finish-connect`, `shutdown`.
"""

from __future__ import annotations

import asyncio
import errno
from typing import Final

from gateway.bindings.io import (
    Closed,
    Failing,
    InputStream,
    LastOperationFailed,
    OutputStream,
    Waiters,
    Wakers,
)
from gateway.bindings.sockets.connection import Connection
from gateway.bindings.sockets.error_code import from_os_error
from gateway.host.table import Resource

__all__ = ["PERMIT", "TcpInputStream", "TcpOutputStream"]

PERMIT: Final = 64 << 10
"""Bytes that one `check-write` permits, and that wait here at most while the peer does not read. Wasmtime
permits a gigabyte, which a guest could make the host keep. The same number as one read has."""


def _failure(error: OSError) -> LastOperationFailed:
    return LastOperationFailed(error.strerror or str(error), from_os_error(error))


class TcpInputStream(InputStream):
    """What the peer sends.

    Args:
        connection: the connection.
        parent: the `tcp-socket`.
    """

    __slots__ = ("_closed", "_connection")

    def __init__(self, connection: Connection, parent: Resource) -> None:
        super().__init__(parent)
        self._connection = connection
        self._closed = False

    def ready(self) -> bool:
        """Whether there is something to read, or the end."""
        return self._closed or self._connection.readable.ready()

    def _woken_by(self) -> Wakers:
        return (self._connection.readable,)

    def read(self, size: int) -> bytes:
        """What has arrived.

        Raises:
            Closed: the peer has sent all it had, or the guest has shut this direction down.
            LastOperationFailed: the connection has broken.
        """
        if self._closed:
            raise Closed
        if size == 0:  # of which the system returns as many at the end as before it
            return b""
        try:
            data = self._connection.receive(size)
        except BlockingIOError:
            return b""
        except OSError as error:
            self._closed = True
            raise _failure(error) from error
        if not data:
            self._closed = True
            raise Closed
        return data

    def shutdown(self) -> None:
        """End the stream. What has arrived and was not read is lost; Linux alone would still let it be read."""
        self._closed = True
        self._connection.end_receiving()


class TcpOutputStream(Failing, OutputStream):
    """What the guest sends.

    Args:
        connection: the connection.
        parent: the `tcp-socket`.
    """

    __slots__ = ("_connection", "_end", "_ending", "_unsent", "_waiters")

    def __init__(self, connection: Connection, parent: Resource) -> None:
        super().__init__(parent)
        self._connection = connection
        self._unsent = memoryview(b"")
        self._waiters = Waiters()
        self._ending = False
        self._end = None

    def ready(self) -> bool:
        """Whether all that was written is with the system and there is room for more, or the stream has ended."""
        if self._end is not None:
            return True
        return not self._unsent and self._connection.writable.ready()

    def watch(self, waiter: asyncio.Future[None]) -> None:
        """Complete a future when it may be."""
        if self._unsent:
            self._waiters.watch(waiter)
        else:
            self._connection.writable.watch(waiter)

    def unwatch(self, waiter: asyncio.Future[None]) -> None:
        """Forget a future."""
        self._waiters.unwatch(waiter)
        self._connection.writable.unwatch(waiter)

    def check_write(self) -> int:
        """How many bytes the next write may have.

        Raises:
            Closed: the guest has shut this direction down, or the peer takes no more.
            LastOperationFailed: the connection has broken.
        """
        self._raise_end()
        return PERMIT if self.ready() else 0

    def write(self, data: bytes) -> None:
        """Send bytes. A permit is spent with one write, whatever its size ("the next call to `write`").

        Raises:
            Closed: the guest has shut this direction down, or the peer takes no more.
            LastOperationFailed: the connection has broken.
        """
        self.permit = 0
        self._raise_end()
        if self._ending:
            raise Closed
        if data:  # without any, there was no need for a permit, and what was written before may still wait
            self._unsent = memoryview(data)
            self._send()
            self._raise_end()

    def flush(self) -> None:
        """Nothing: what can be sent was sent.

        Raises:
            Closed: the guest has shut this direction down, or the peer takes no more.
            LastOperationFailed: the connection has broken.
        """
        self._raise_end()

    def shutdown(self) -> None:
        """End the stream, for the peer once it has been sent all that was written."""
        self._ending = True
        if not self._unsent:
            self._finish()

    def abandon(self) -> None:
        """Forget what is unsent; the socket is about to be closed. The peer must not take what it got for all."""
        if self._unsent:
            self._unsent = memoryview(b"")
            self._connection.reset()

    def _send(self) -> None:
        """Hand over what is unsent, as far as there is room, and come back when there is more."""
        try:
            sent = self._connection.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._unsent = memoryview(b"")
            self._end = Closed() if error.errno == errno.EPIPE else _failure(error)
            return
        self._unsent = self._unsent[sent:]
        if self._unsent:
            room = asyncio.get_running_loop().create_future()
            room.add_done_callback(self._on_room)
            self._connection.writable.watch(room)

    def _on_room(self, _room: asyncio.Future[None]) -> None:
        if not self._connection.is_open:  # since the loop saw that there is room
            return
        self._send()
        if not self._unsent:
            if self._ending:
                self._finish()
            self._waiters.wake()

    def _finish(self) -> None:
        if self._end is None:
            self._end = Closed()
            self._connection.end_sending()
