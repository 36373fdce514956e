"""uvicorn's protocol on httptools, bounded."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gateway.protocols.close_delimited import CloseDelimited
from gateway.protocols.limits import (
    HEAD_TIMEOUT,
    LINE_OVERHEAD,
    MALFORMED,
    Guard,
    Refusal,
    max_head,
)
from gateway.protocols.target import origin_form
from gateway.routes.problem import HEADERS_TOO_LARGE
from gateway.routes.target import EXTENSION as TARGET

__all__ = ["GuardedHttpToolsProtocol"]


class _Unchunked(CloseDelimited):
    """uvicorn sends a response of unknown length in chunks, whatever the version of its request."""

    def __init__(
        self, app: ASGIApp, protocol: HttpToolsProtocol, cycle: RequestResponseCycle
    ) -> None:
        super().__init__(app, protocol)
        self._cycle = cycle

    def begin(self) -> None:
        super().begin()
        self._cycle.chunked_encoding = False

    def continue_with(self, size: int) -> None:
        # What is not chunked must be of the length that was announced: announce the next bytes.
        self._cycle.expected_content_length = size


class GuardedHttpToolsProtocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools, bounded.

    httptools keeps a header to itself until it has ended. So a head is measured twice: by its target and
    its whole headers, and by the bytes received since it began. What frames a body is measured by
    the bytes received since the parser last told anything: these can only be part of a trailer or of
    the line before a chunk.
    """

    head_timeout = HEAD_TIMEOUT

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.guard = Guard(self, self._head_begun, self.head_timeout)
        self._max_head = max_head(config)
        self._in_head = False
        self._replaying = False
        self._head_size = 0
        self._received = 0
        self._untold = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.guard.expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self.guard.head_complete()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.guard.refusal is not None:
            return
        self._unset_keepalive_if_required()
        self._untold += len(data)
        self._received += len(data)
        try:
            self._feed(data)
            if self._untold > self._max_head or (self._in_head and self._received > self._max_head):
                raise Refusal(HEADERS_TOO_LARGE)
        except Refusal as refusal:
            self.guard.refuse(refusal)
            return
        if self._in_head or not self.guard.answering():
            self.guard.expect_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.guard.response_complete()

    def shutdown(self) -> None:
        if self.guard.may_end():
            super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if cycle.scope["http_version"] < "1.1":
            cycle.waiting_for_100_continue = False
            app = cast("ASGI3Application", _Unchunked(cast("ASGIApp", app), self, cycle))
        super()._start_asgi_task(cycle, app)

    def _feed(self, data: bytes) -> None:
        while True:
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
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        version = self.scope["http_version"]
        head = [f"{self.scope['method']} / HTTP/{version}".encode()]
        head += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self._replaying = True
        self.parser.feed_data(b"\r\n".join((*head, b"", b"")))

    def _head_begun(self) -> bool:
        return self._in_head

    def _count(self, size: int) -> None:
        self._untold = 0
        self._head_size += size
        if self._head_size > self._max_head:
            raise Refusal(HEADERS_TOO_LARGE)

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
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._replaying:
            return
        self._count(len(name) + len(value) + LINE_OVERHEAD)
        if self._in_head:  # uvicorn would add trailers to the headers
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._replaying:
            self._replaying = False
            return
        self._in_head = False
        self._head_size = self._untold = 0  # from here on, of trailers
        self.guard.head_complete()
        method = self.parser.get_method()
        self.url, self.headers[:], scheme = origin_form(method, self.url, self.headers)
        if scheme is not None:
            self.scope["scheme"] = scheme
        self.scope["extensions"] = {TARGET: {"target": self.url}}
        super().on_headers_complete()
        self.guard.begin()

    def on_body(self, body: bytes) -> None:
        self._untold = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._untold = 0
        if not self.parser.should_upgrade():
            super().on_message_complete()
