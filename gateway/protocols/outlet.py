"""The sending side of a connection, as uvicorn sees its transport.

Where a socket is closed while bytes from the client are still unread, or arrive after that, the kernel answers
them with a reset, and the client may never see the response that was sent before. So where that may be, the end of
the stream is sent alone, and what arrives is dropped for a while (RFC 9112, section 9.6).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from gateway.protocols.intake import Intake

if TYPE_CHECKING:
    from gateway.protocols.limits import Guard

__all__ = ["LINGER", "Outlet"]

LINGER: Final = 2.0
"""Seconds in which a client may go on sending after the connection's last response. Precedent: `SECONDS_TO_LINGER`
of Apache httpd."""


class Outlet(asyncio.Transport):
    """A transport whose closing loses nothing that was sent.

    Args:
        transport: where it is sent.
        intake: the receiving side of the connection.
        loop: the event loop.
        guard: tells what is under way.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        intake: Intake,
        loop: asyncio.AbstractEventLoop,
        guard: Guard,
    ) -> None:
        super().__init__()
        self._transport = transport
        self._intake = intake
        self._loop = loop
        self._guard = guard
        self._lingering = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, unless this was closed."""
        if not self._lingering:
            self._transport.write(data)

    def close(self) -> None:
        """End the connection when all was sent; at once where that is in vain."""
        if self.is_closing():
            return
        if self._guard.broken():
            # A client that does not read would keep what is unsent, and the connection, for good.
            self._transport.abort()
        elif not self._intake.ended and self._guard.more_to_come():
            self.linger()
        else:
            self._transport.close()

    def linger(self) -> None:
        """Send no more, and drop for a while what is received."""
        self._lingering = True
        self._intake.drop()
        self._transport.write_eof()
        self._loop.call_later(LINGER, self._end)

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether nothing more can be sent."""
        return self._lingering or self._transport.is_closing()

    def pause_reading(self) -> None:
        """Receive no more."""
        self._intake.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        self._intake.resume_reading()

    def get_write_buffer_size(self) -> int:
        """How many bytes wait for the client."""
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport tells."""
        return self._transport.get_extra_info(name, default)

    def _end(self) -> None:
        if self._transport.get_write_buffer_size():
            # Whoever watches that it goes out ends it otherwise.
            self._loop.call_later(LINGER, self._end)
        else:
            self._transport.abort()
