"""uvicorn's protocol on httptools, bounded."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final, cast

import httptools
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.http.target import EXTENSION as TARGET
from gateway.server.http1._guarded import GuardedProtocol
from gateway.server.http1.close_delimited import CloseDelimited
from gateway.server.http1.framing import MAX_METHOD, body_length
from gateway.server.http1.intake import PIECE
from gateway.server.http1.limits import LINE_OVERHEAD, Guard, max_head
from gateway.server.http1.refusal import HEADERS_TOO_LARGE, MALFORMED, Refusal
from gateway.server.http1.target import absolute_form

__all__ = ["GuardedHttpToolsProtocol"]

_METHODS: Final = frozenset(
    (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH")
)
"""The methods of RFC 9110 and RFC 5789, which the parser has no rules of its own for, CONNECT aside."""

_STAND_IN: Final = b"POST"
"""What the parser sees in the place of any other method: it knows a list of them, and no rule of framing that
depends on the method of a request."""

_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2

_END: Final = b"\r\n\r\n"


class _Unchunked(CloseDelimited):
    """uvicorn sends a response of unknown length in chunks, whatever the version of its request."""

    def __init__(
        self, app: ASGIApp, protocol: GuardedHttpToolsProtocol, cycle: RequestResponseCycle
    ) -> None:
        super().__init__(app, protocol.transport, protocol.flow)
        self._cycle = cycle

    def begin(self) -> None:
        super().begin()
        self._cycle.chunked_encoding = False

    def continue_with(self, size: int) -> None:
        # What is not chunked must be of the length that was announced: announce the next bytes.
        self._cycle.expected_content_length = size


class GuardedHttpToolsProtocol(GuardedProtocol, HttpToolsProtocol):  # type: ignore[misc] # ours are narrower
    """uvicorn's protocol on httptools, bounded.

    httptools keeps a header to itself until it has ended. So a head is measured twice: by its target and
    its whole headers, and by the bytes received since it began. What frames a body is measured by
    the bytes received since the parser last told anything: these can only be part of a trailer or of
    the line before a chunk.

    Nor can it be stopped within what it is fed. So it is fed up to where a message may end: the end of a body
    of known length, or an empty line, which every head and every body in chunks ends with.
    """

    def __init__(self, config: uvicorn.Config, *args: Any, **keys: Any) -> None:
        super().__init__(config, *args, **keys)
        self.guard = Guard(self, self)
        self._max_head = max_head(config)
        self._whole = True
        self._unread: int | None = 0
        self._method = b""
        self._line = b""
        self._tail = b""
        self._in_head = False
        self._replaying = False
        self._head_size = 0
        self._received = 0
        self._untold = 0

    # --- what the guard is told ------------------------------------------------------------------------------

    def head_begun(self) -> bool:
        """Whether a part of a request's head has arrived, and not all of it."""
        return self._in_head or self._line != b""

    def is_whole(self) -> bool:
        """Whether all of the last request has arrived."""
        return self._whole

    def unread(self) -> int | None:
        """How many bytes of its body have not; None if that is not known."""
        return self._unread

    def has_more(self) -> bool:
        """Whether it keeps bytes that arrived behind the request."""
        return False

    def is_due(self) -> bool:
        """Whether a request that it has waits for its turn."""
        return False

    def awaits_continue(self) -> bool:
        """Whether the client waits to be told to send the body."""
        return self.cycle.waiting_for_100_continue

    # -----------------------------------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.guard.response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if cycle.scope["http_version"] < "1.1":
            cycle.waiting_for_100_continue = False
            app = cast("ASGI3Application", _Unchunked(cast("ASGIApp", app), self, cycle))
        if self._unread != 0:
            app = cast("ASGI3Application", partial(self._announcing, cast("ASGIApp", app)))
        super()._start_asgi_task(cycle, app)

    async def _announcing(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        if self._whole:  # all of a short body came with the head
            await app(scope, receive, send)
            return

        async def announce(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.guard.respond()
            await send(message)

        await app(scope, receive, announce)

    # --- received --------------------------------------------------------------------------------------------

    def _parse(self, data: bytes, offset: int) -> int:
        if self._whole and self.guard.answering():
            return 0
        piece = self._piece(data, offset)
        size = len(piece)
        self._unset_keepalive_if_required()
        self._untold += size
        self._received += size
        try:
            begins = self._whole and not self._in_head
            self._feed(self._known(piece) if begins else piece)
            # A short body mostly comes with its head.
            if begins and self._unread and len(data) > offset + size:
                body = data[offset + size : offset + size + self._unread]
                size += len(body)
                self._feed(body)
            if self._untold > self._max_head or (self._in_head and self._received > self._max_head):
                raise Refusal(HEADERS_TOO_LARGE)
        except Refusal as refusal:
            self.guard.refuse(refusal)
        self.guard.parsed(size)
        return size

    def _piece(self, data: bytes, offset: int) -> bytes:
        """What may be fed next: no more than one message can end in it."""
        if self._unread and not self._in_head:
            return data[offset : offset + self._unread]
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
        self._method = method
        if method in _METHODS or not _METHOD.fullmatch(method):
            return line
        return _STAND_IN + space + rest

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._decline_upgrade()
                data = data[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                # Out of a callback, a Refusal arrives as the context of the parser's own error.
                if isinstance(error.__context__, Refusal):
                    raise error.__context__ from None
                raise Refusal(MALFORMED) from error
            else:
                return

    def _decline_upgrade(self) -> None:
        """Go on in HTTP/1.1 after a request for another protocol.

        The parser takes what follows such a head for the other protocol, the request's own body
        included. A new one that has seen the head without its `Upgrade` takes it for what it is.
        """
        method = self.parser.get_method()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        head = [b"%b / HTTP/%b" % (method, self.scope["http_version"].encode())]
        head += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self._replaying = True
        self.parser.feed_data(b"\r\n".join((*head, b"", b"")))

    # The parser's callbacks. Those of a head that is replayed are told once already.

    def on_message_begin(self) -> None:
        if self._replaying:
            return
        self._in_head = True
        # Of data that has told of other things before, an unknown part is of this head.
        self._received = self._untold
        self._head_size = self._untold = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._replaying:
            return
        self._untold = 0
        self._head_size += len(url)
        if self._head_size > self._max_head:
            raise Refusal(HEADERS_TOO_LARGE)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._replaying:
            return
        self._untold = 0
        self._head_size += len(name) + len(value) + LINE_OVERHEAD
        if self._head_size > self._max_head:
            raise Refusal(HEADERS_TOO_LARGE)
        if self._in_head:  # uvicorn would add trailers to the headers
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._replaying:
            self._replaying = False
            return
        self._in_head = False
        self._head_size = self._untold = 0  # from here on, of trailers
        self.guard.head_complete()
        version = self.parser.get_http_version()
        self._unread = body_length(version, self.headers)
        absolute = absolute_form(self._method, self.url, version, self.headers)
        if absolute is not None:
            self.url, self.headers[:], self.scope["scheme"] = absolute
        self.scope["extensions"] = {TARGET: {"target": self.url}, **self.guard.extensions}
        self._whole = False
        super().on_headers_complete()
        self.scope["method"] = self._method.decode("ascii")
        self.guard.begin()

    def on_body(self, body: bytes) -> None:
        self._untold = 0
        self.flow.events += 1
        if self._unread is not None:
            self._unread -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._untold = 0
        if not self.parser.should_upgrade():
            self._whole = self.guard.client.whole = True
            super().on_message_complete()
