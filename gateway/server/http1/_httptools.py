"""Connections that httptools parses."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, Final

import httptools

from gateway.server.http1.connection import Http1Connection
from gateway.server.http1.framing import MAX_METHOD
from gateway.server.http1.intake import PIECE
from gateway.server.http1.limits import LINE_OVERHEAD
from gateway.server.http1.refusal import HEADERS_TOO_LARGE, MALFORMED, Refusal

__all__ = ["HttpToolsConnection"]

_METHODS: Final = (
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"CONNECT",
    b"OPTIONS",
    b"TRACE",
    b"PATCH",
)
"""The methods of RFC 9110 and RFC 5789, which the parser has no rules of its own for, CONNECT aside."""

_LINES: Final = tuple(method + b" " for method in _METHODS)
"""What the lines of requests with these begin with."""

_STAND_IN: Final = b"POST"
"""What the parser sees in the place of any other method: it knows a list of them, and no rule of framing that
depends on the method of a request."""

_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2

_END: Final = b"\r\n\r\n"


class HttpToolsConnection(Http1Connection):
    """A connection that httptools parses.

    httptools keeps a header to itself until it has ended. So a head is measured twice: by its target and
    its whole headers, and by the bytes received since it began. What frames a body is measured by
    the bytes received since the parser last told anything: these can only be part of a trailer or of
    the line before a chunk.

    Nor can it be stopped within what it is fed. So it is fed up to where a message may end: the end of a body
    of known length, or an empty line, which every head and every body in chunks ends with.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._renew()
        self._headers: list[tuple[bytes, bytes]] = []
        self._target = b""
        self._method = b""
        self._line = b""
        self._tail = b""
        self._in_head = False
        self._size = 0
        self._untold = 0

    def _renew(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        # A pipelined request may follow one that is the last by its own words.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        del self._parser  # it refers to this

    def head_begun(self) -> bool:
        """Whether a part of a request's head has arrived, and not all of it."""
        return self._in_head or self._line != b""

    # --- received --------------------------------------------------------------------------------------------

    def _parse_piece(self, data: bytes, offset: int) -> int:
        end = data.find(_END, offset, offset + PIECE)
        usual = end >= 0 and not self._tail and not self.unread
        piece = data[offset : end + len(_END)] if usual else self._piece(data, offset)
        size = len(piece)
        self._untold += size
        if self.client.whole and not self._in_head:
            self._method = b""
            if self._line or not piece.startswith(_LINES):
                piece = self._known(piece)
            if piece:
                self._in_head = True
                self._headers, self._target, self._size = [], b"", 0
        events = self.flow.events
        try:
            try:
                self._parser.feed_data(piece)
                # A short body mostly comes with its head.
                if self.unread and not self._in_head and len(data) > offset + size:
                    body = data[offset + size : offset + size + self.unread]
                    size += len(body)
                    self._parser.feed_data(body)
            except httptools.HttpParserUpgrade as upgrade:
                self._decline_upgrade(piece[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            # Out of a callback, a Refusal arrives as the context of the parser's own error.
            if isinstance(error.__context__, Refusal):
                raise error.__context__ from None
            raise Refusal(MALFORMED) from error
        if self.flow.events != events:
            self._untold = 0
        if self._untold > self._max_head:
            raise Refusal(HEADERS_TOO_LARGE)
        return size

    def _piece(self, data: bytes, offset: int) -> bytes:
        """What may be fed next: no more than one message can end in it."""
        if self.unread and not self._in_head:
            return data[offset : offset + self.unread]
        piece = data[offset : offset + PIECE]
        searched = self._tail + piece
        end = searched.find(_END)
        if end < 0:
            self._tail = searched[1 - len(_END) :]
            return piece
        size = end + len(_END) - len(self._tail)
        self._tail = b""
        return piece[:size]

    def _known(self, piece: bytes) -> bytes:
        """The beginning of a request, with a method that the parser knows."""
        line = (self._line + piece).lstrip(b"\r\n")  # RFC 9112, section 2.2
        method, space, rest = line.partition(b" ")
        if not space and len(line) <= MAX_METHOD and _METHOD.fullmatch(line):
            self._line = line  # the rest of the method is still to come
            return b""
        if len(method) > MAX_METHOD:
            raise Refusal(MALFORMED)
        self._line = b""
        if method in _METHODS or not _METHOD.fullmatch(method):
            return line
        self._method = method
        return _STAND_IN + space + rest

    def _decline_upgrade(self, data: bytes) -> None:
        """Go on in HTTP/1.1 after a request for another protocol.

        The parser takes what follows such a head for the other protocol, the request's own body
        included. A new one that has seen the head without its `Upgrade` takes it for what it is.
        """
        self.client.whole = False
        line = b"%b / HTTP/%b" % (
            self._parser.get_method(),
            self._parser.get_http_version().encode(),
        )
        head = [b"%b: %b" % header for header in self._headers if header[0] != b"upgrade"]

        def complete() -> None:
            self._renew()
            self.on_message_complete()

        hears = SimpleNamespace(on_body=self.on_body, on_message_complete=complete)
        self._parser = httptools.HttpRequestParser(hears)
        self._parser.feed_data(b"\r\n".join((line, *head, b"", b"")))
        self._parser.feed_data(data)

    # --- the parser's callbacks ------------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self._target += url
        self._size += len(url)
        if self._size > self._max_head:
            raise Refusal(HEADERS_TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field, of the head or of trailers, of which no more becomes."""
        self._size += len(name) + len(value) + LINE_OVERHEAD
        if self._size > self._max_head:
            raise Refusal(HEADERS_TOO_LARGE)
        if self._in_head:
            self._headers.append((name.lower(), value))
        else:
            self._untold = 0

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        parser = self._parser
        self._in_head = False
        self._size = self._untold = 0  # from here on, of trailers
        self._head(
            self._method or parser.get_method(),
            self._target,
            parser.get_http_version(),
            self._headers,
            keep_alive=parser.should_keep_alive(),
        )
