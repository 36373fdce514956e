"""uvicorn's protocol on h11, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.http.target import EXTENSION as TARGET
from gateway.server.http1._guarded import GuardedProtocol
from gateway.server.http1.close_delimited import CloseDelimited
from gateway.server.http1.framing import MAX_METHOD, body_length
from gateway.server.http1.intake import PIECE
from gateway.server.http1.limits import LINE_OVERHEAD, Guard, max_head
from gateway.server.http1.refusal import HEADERS_TOO_LARGE, MALFORMED, NOT_IMPLEMENTED, Refusal
from gateway.server.http1.target import absolute_form

__all__ = ["GuardedH11Protocol"]


class _H11Connection(h11.Connection):
    """A connection whose complete heads are bounded as well as the incomplete ones.

    h11 itself compares only a head that has not ended with its bound, and one `recv` may bring four times
    as much.

    Args:
        max_head: bytes of a head.
        on_head: called when one is complete.
        on_response: called before the head of a response is made, and tells whether uvicorn ends the connection
            after it.

    Attributes:
        target: of the last request.
        unread: bytes of its body that have not arrived; None if that is not known.
        events: how many parts of bodies there were.
    """

    def __init__(
        self, max_head: int, on_head: Callable[[], None], on_response: Callable[[], bool]
    ) -> None:
        super().__init__(h11.SERVER, max_head)
        self._max_head = max_head
        self._on_head = on_head
        self._on_response = on_response
        self.target = b""
        self.scheme: str | None = None
        self.unread: int | None = 0
        self.events = 0

    def close(self) -> None:
        """The connection has ended: call nobody any more."""
        del self._on_head, self._on_response

    def is_whole(self) -> bool:
        """Whether all of the last request has arrived."""
        return self.their_state not in {h11.SEND_BODY, h11.ERROR}

    def send_with_data_passthrough(self, event: h11.Event) -> list[bytes] | None:
        """Send an event; a response after which uvicorn ends the connection says so (RFC 9112, section 9.6)."""
        if isinstance(event, h11.Response) and self._on_response():
            headers = [header for header in event.headers if header[0] != b"connection"]
            event = h11.Response(
                status_code=event.status_code,
                headers=[*headers, (b"connection", b"close")],
                reason=event.reason,
                http_version=event.http_version,
            )
        return super().send_with_data_passthrough(event)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        if self.their_state is h11.IDLE:
            # Empty lines before a request are nothing (RFC 9112, section 2.2), but to h11.
            received = self.trailing_data[0]
            empty = len(received) - len(received.lstrip(b"\r\n"))
            self._receive_buffer.maybe_extract_at_most(empty)
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            problems = {431: HEADERS_TOO_LARGE, 501: NOT_IMPLEMENTED}
            # h11 raises its errors in a frame that refers to them, and that to the whole connection.
            error.__traceback__ = None
            raise Refusal(problems.get(error.error_status_hint, MALFORMED)) from error
        if isinstance(event, h11.Data):
            self.events += 1
            if self.unread is not None:
                self.unread -= len(event.data)
        if not isinstance(event, h11.Request):
            return event
        self._on_head()
        headers = list(event.headers)
        size = sum(len(name) + len(value) + LINE_OVERHEAD for name, value in headers)
        if len(event.method) > MAX_METHOD:
            raise Refusal(MALFORMED)
        if len(event.target) + size > self._max_head:
            raise Refusal(HEADERS_TOO_LARGE)
        version = event.http_version.decode("ascii")
        self.unread = body_length(version, headers)
        self.target, self.scheme = event.target, None
        absolute = absolute_form(event.method, event.target, version, headers)
        if absolute is None:
            return event
        self.target, self.scheme = absolute.path, absolute.scheme
        return h11.Request(
            method=event.method,
            target=absolute.path,
            headers=absolute.headers,
            http_version=event.http_version,
        )


class GuardedH11Protocol(GuardedProtocol, H11Protocol):  # type: ignore[misc] # ours are narrower
    """uvicorn's protocol on h11, bounded."""

    def __init__(self, config: uvicorn.Config, *args: Any, **keys: Any) -> None:
        super().__init__(config, *args, **keys)
        self.guard = Guard(self, self)
        self._completing = self._due = False
        self.conn = self._connection = _H11Connection(
            max_head(config), self.guard.head_complete, self._is_last
        )

    # --- the transport's callbacks -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = CloseDelimited(cast("ASGIApp", self.app), self.transport, self.flow)
        self.app = cast("ASGI3Application", app)

    def connection_lost(self, exc: Exception | None) -> None:
        self.shared.ahead.leave(self._handle_due)
        super().connection_lost(exc)
        self._connection.close()

    # --- what the guard is told ------------------------------------------------------------------------------

    def head_begun(self) -> bool:
        """Whether a part of a request's head has arrived, and not all of it."""
        return self.conn.their_state is h11.IDLE and self.conn.trailing_data[0] != b""

    def is_whole(self) -> bool:
        """Whether all of the last request has arrived."""
        return self._connection.is_whole()

    def unread(self) -> int | None:
        """How many bytes of its body have not; None if that is not known."""
        return self._connection.unread

    def has_more(self) -> bool:
        """Whether it keeps bytes that arrived behind the request."""
        return self.conn.trailing_data[0] != b""

    def is_due(self) -> bool:
        """Whether a request that it has waits for its turn."""
        return self._due

    def awaits_continue(self) -> bool:
        """Whether the client waits to be told to send the body."""
        return self.conn.they_are_waiting_for_100_continue

    # -----------------------------------------------------------------------------------------------------------

    def _parse(self, data: bytes, offset: int) -> int:
        if self._due or (self.is_whole() and self.guard.answering()):
            return 0
        # The rest of a body of known length is one event, however long.
        known = 0 if self.is_whole() else self._connection.unread or 0
        piece = data[offset : offset + max(PIECE, known)]
        before = self._connection.events
        H11Protocol.data_received(self, piece)
        self.flow.events += self._connection.events - before
        self.guard.parsed(len(piece))
        return len(piece)

    def handle_events(self) -> None:
        if self._completing and self.has_more():
            self._due = True
            self.shared.ahead.wait(self._handle_due)
            return
        try:
            super().handle_events()
        except Refusal as refusal:
            self.guard.refuse(refusal)
        # The task of a request that this began has not run yet.
        if self.scope is not None:
            self.guard.begin()
            self.scope.setdefault(
                "extensions",
                {TARGET: {"target": self._connection.target}, **self.guard.extensions},
            )
            if self._connection.scheme is not None:
                self.scope["scheme"] = self._connection.scheme

    def on_response_complete(self) -> None:
        self._completing = True
        try:
            super().on_response_complete()
        finally:
            self._completing = False
        self.guard.response_complete()

    def _handle_due(self) -> None:
        self._due = False
        if not self.transport.is_closing():
            self.handle_events()
            self.guard.parsed(0)
            self.flow.go_on()

    def _is_last(self) -> bool:
        self.guard.respond()
        return not self.cycle.keep_alive

    def _should_upgrade(self) -> bool:
        return False
