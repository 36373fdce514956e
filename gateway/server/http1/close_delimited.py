"""Responses of unknown length to HTTP/1.0, which has no chunks: they end where their connection does.

A connection that was closed early would make a part look whole (RFC 9112, section 6.3). Where it is reset
instead, the client sees the difference.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.server.http1.intake import Intake

__all__ = ["CloseDelimited"]

# `struct linger`: whether close() waits, and how many seconds; not at all means to reset.
_RESET: Final = struct.pack("ii", 1, 0)
_CLOSE: Final = struct.pack("ii", 0, 0)


class CloseDelimited:
    """An application whose responses to HTTP/1.0 are whole, or else their connection is reset.

    From a response's head to its last byte, its socket is one that is reset when it is closed, whoever
    closes it: the kernel too, where the process is killed.

    Args:
        app: the application. Requests of later versions pass through.
        transport: the connection.
        flow: its flow control.
    """

    def __init__(self, app: ASGIApp, transport: asyncio.Transport, flow: Intake) -> None:
        self._app = app
        self._transport = transport
        self._flow = flow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the application answer a request."""
        if scope["http_version"] >= "1.1":
            await self._app(scope, receive, send)
            return
        delimited = False

        async def send_delimited(message: Message) -> None:
            nonlocal delimited
            if message["type"] == "http.response.start":
                delimited = not any(
                    name.lower() == b"content-length" for name, _ in message.get("headers", ())
                )
                if delimited:
                    self.begin()
            elif delimited:
                self.continue_with(len(message.get("body", b"")))
                if not message.get("more_body", False):
                    await self.end()
            await send(message)

        await self._app(scope, receive, send_delimited)

    def begin(self) -> None:
        """A close-delimited response is about to begin."""
        self._on_close(_RESET)

    def continue_with(self, size: int) -> None:
        """So many more bytes of it are about to be sent."""

    async def end(self) -> None:
        """Its last bytes are about to be sent."""
        # What `send` would wait for is waited for here: the client may go away until then.
        await self._flow.drain()
        self._on_close(_CLOSE)

    def _on_close(self, linger: bytes) -> None:
        if not self._transport.is_closing():
            connection: socket.socket = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
