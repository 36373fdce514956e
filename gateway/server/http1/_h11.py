"""Connections that h11 parses."""

from __future__ import annotations

from typing import Any

import h11

from gateway.server.http1.connection import Http1Connection
from gateway.server.http1.framing import MAX_METHOD
from gateway.server.http1.intake import PIECE
from gateway.server.http1.limits import LINE_OVERHEAD
from gateway.server.http1.refusal import HEADERS_TOO_LARGE, MALFORMED, NOT_IMPLEMENTED, Refusal

__all__ = ["H11Connection"]

_REFUSALS = {431: HEADERS_TOO_LARGE, 501: NOT_IMPLEMENTED}


class H11Connection(Http1Connection):
    """A connection that h11 parses; it has one parser for each request, which sees nothing behind that."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._begin()

    def _begin(self) -> None:
        self._parser = h11.Connection(h11.SERVER, self._max_head)

    def head_begun(self) -> bool:
        """Whether a part of a request's head has arrived, and not all of it."""
        parser = self._parser
        return parser.their_state is h11.IDLE and parser.trailing_data[0] != b""

    def _parse_piece(self, data: bytes, offset: int) -> int:
        # The rest of a body of known length is one event, however long.
        known = 0 if self.client.whole else self.unread or 0
        piece = data[offset : offset + max(PIECE, known)]
        size = len(piece)
        if self.client.whole and not self.head_begun():
            piece = piece.lstrip(b"\r\n")  # RFC 9112, section 2.2
        if piece:
            self._parser.receive_data(piece)
        try:
            while True:
                event = self._parser.next_event()
                if isinstance(event, h11.Request):
                    self._take_head(event)
                elif isinstance(event, h11.Data):
                    self.on_body(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    size -= len(self._parser.trailing_data[0])
                    self._begin()
                    self.on_message_complete()
                    return size
                else:
                    return size
        except h11.RemoteProtocolError as error:
            # h11 raises its errors in a frame that refers to them, and that to the whole connection.
            error.__traceback__ = None
            raise Refusal(_REFUSALS.get(error.error_status_hint, MALFORMED)) from error

    def _take_head(self, request: h11.Request) -> None:
        headers = list(request.headers)
        size = sum(len(name) + len(value) + LINE_OVERHEAD for name, value in headers)
        if len(request.method) > MAX_METHOD:
            raise Refusal(MALFORMED)
        # h11 itself compares only a head that has not ended with its bound, and a read may bring more.
        if len(request.target) + size > self._max_head:
            raise Refusal(HEADERS_TOO_LARGE)
        options = b",".join(value for name, value in headers if name == b"connection").lower()
        version = request.http_version.decode("ascii")
        self._head(
            request.method,
            request.target,
            version,
            headers,
            keep_alive=version != "1.0" and b"close" not in map(bytes.strip, options.split(b",")),
        )
