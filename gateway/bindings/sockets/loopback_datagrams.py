"""Datagrams between two sockets of one guest: the queue of a socket that is bound in the loopback."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from gateway.bindings.io import Source, Waiters, Wakers
from gateway.bindings.sockets.addresses import Family, SocketAddress
from gateway.bindings.sockets.error_code import ErrorCode, SocketError

__all__ = ["MAX_SIZE", "Mailbox", "Received"]

MAX_SIZE: Final[dict[Family, int]] = {"ipv4": 65_507, "ipv6": 65_527}
"""Bytes of a datagram's data: what a packet has room for beside the headers (RFC 768, RFC 791, RFC 8200)."""

MAX_WAITING: Final = 128 << 10
"""Bytes of datagrams that wait to be received by one socket; what comes while there are more is dropped, as UDP
may. Each counts with what it costs to keep. With `context.MAX_SOCKETS` sockets that is 12 MiB of a guest's at
most."""

_OVERHEAD: Final = 256
"""Bytes that a datagram counts beyond its data, so that empty ones have a bound too. Roughly what Python needs."""


class Received(NamedTuple):
    """A datagram and where it comes from."""

    data: bytes
    source: SocketAddress


class Mailbox(Source):
    """What others of the guest's sockets have sent to one.

    Attributes:
        peer: the only one whose datagrams are taken; None for any.
        is_outside: whether the socket's only peer is outside of the loopback, so that nobody in it is heard.
    """

    __slots__ = ("_error", "_queue", "_waiters", "_waiting", "is_outside", "peer")

    def __init__(self) -> None:
        self.peer: SocketAddress | None = None
        self.is_outside = False
        self._queue: deque[Received] = deque()
        self._waiting = 0
        self._error: ErrorCode | None = None
        self._waiters = Waiters()

    def deliver(self, data: bytes, source: SocketAddress) -> bool:
        """Take a datagram, or drop it where too many wait.

        Returns:
            Whether the socket is there for this sender.
        """
        if self.is_outside or (self.peer is not None and not source.is_peer(self.peer)):
            return False
        if self._waiting < MAX_WAITING:
            self._queue.append(Received(data, source))
            self._waiting += len(data) + _OVERHEAD
            self._waiters.wake()
        return True

    def fail(self, code: ErrorCode) -> None:
        """Tell the socket what has become of one that it has sent; the last such error counts."""
        self._error = code
        self._waiters.wake()

    def take(self) -> Received | SocketError | None:
        """The next datagram, or the error that came after all of them."""
        if self._queue:
            received = self._queue.popleft()
            self._waiting -= len(received.data) + _OVERHEAD
            return received
        error, self._error = self._error, None
        return None if error is None else SocketError(error)

    def ready(self) -> bool:
        """Whether there is anything to take."""
        return bool(self._queue) or self._error is not None

    def _woken_by(self) -> Wakers:
        return (self._waiters,)
