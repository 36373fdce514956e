"""What the streams of TCP need of a connection, whichever way its bytes go."""

from __future__ import annotations

from typing import Protocol

from gateway.bindings.io import Source
from gateway.bindings.sockets.addresses import SocketAddress

__all__ = ["Connection"]


class Connection(Protocol):
    """One end of a connection: of a `Descriptor`, or of a `LoopbackStream`.

    Nothing here blocks. What fails raises `OSError` with the number of the system.
    """

    @property
    def readable(self) -> Source:
        """Whether there is something to receive, an error or the end."""

    @property
    def writable(self) -> Source:
        """Whether there is room to send, or the connection is made, or there is an error."""

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed."""

    @property
    def local(self) -> SocketAddress:
        """Where it is."""

    def failure(self) -> int:
        """The number of the error that connecting has ended with; 0 for none."""

    def receive(self, size: int) -> bytes:
        """What has arrived; nothing at the end."""

    def send(self, data: bytes | memoryview) -> int:
        """Send bytes; how many were."""

    def end_receiving(self) -> None:
        """Take nothing more."""

    def end_sending(self) -> None:
        """Send nothing more."""

    def reset(self) -> None:
        """Close it in a way that the peer cannot take for an end."""

    def close(self) -> None:
        """Close it. May be called again."""
