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
from uvicorn.server import ServerState

from gateway.protocols.close_delimited import CloseDelimited
from gateway.protocols.limits import (
    HEAD_TIMEOUT,
    LINE_OVERHEAD,
    MALFORMED,
    NOT_IMPLEMENTED,
    Guard,
    Refusal,
    max_head,
)
from gateway.protocols.target import origin_form
from gateway.routes.problem import HEADERS_TOO_LARGE
from gateway.routes.target import EXTENSION as TARGET

__all__ = ["GuardedH11Protocol"]


class _H11Connection(h11.Connection):
    """A connection whose complete heads are bounded as well as the incomplete ones.

    h11 itself compares only a head that has not ended with its bound, and one `recv` may bring four times
    as much.
    """

    def __init__(
        self, max_head: int, head_complete: Callable[[], None], is_last: Callable[[], bool]
    ) -> None:
        super().__init__(h11.SERVER, max_head)
        self._max_head = max_head
        self._head_complete = head_complete
        self._is_last = is_last
        self.target = b""
        self.scheme: str | None = None

    def send_with_data_passthrough(self, event: h11.Event) -> list[bytes] | None:
        """Send an event; a response after which uvicorn ends the connection says so (RFC 9112, section 9.6)."""
        if isinstance(event, h11.Response) and self._is_last():
            headers = [header for header in event.headers if header[0] != b"connection"]
            event = h11.Response(
                status_code=event.status_code,
                headers=[*headers, (b"connection", b"close")],
                reason=event.reason,
                http_version=event.http_version,
            )
        return super().send_with_data_passthrough(event)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            problems = {431: HEADERS_TOO_LARGE, 501: NOT_IMPLEMENTED}
            raise Refusal(problems.get(error.error_status_hint, MALFORMED)) from error
        if not isinstance(event, h11.Request):
            return event
        self._head_complete()
        headers = list(event.headers)
        size = sum(len(name) + len(value) + LINE_OVERHEAD for name, value in headers)
        if len(event.target) + size > self._max_head:
            raise Refusal(HEADERS_TOO_LARGE)
        target, headers, self.scheme = origin_form(event.method, event.target, headers)
        self.target = target
        if target is event.target:
            return event
        return h11.Request(
            method=event.method, target=target, headers=headers, http_version=event.http_version
        )


class GuardedH11Protocol(H11Protocol):
    """uvicorn's protocol on h11, bounded."""

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
        self.conn = self._connection = _H11Connection(
            max_head(config), self.guard.head_complete, self._is_last
        )

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app = cast("ASGI3Application", CloseDelimited(cast("ASGIApp", self.app), self))
        self.guard.expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self.guard.head_complete()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.guard.refusal is not None:
            return
        super().data_received(data)
        if self.guard.refusal is None and (
            self.conn.their_state is h11.IDLE or not self.guard.answering()
        ):
            self.guard.expect_head()

    def handle_events(self) -> None:
        try:
            super().handle_events()
        except Refusal as refusal:
            self.guard.refuse(refusal)
        # The task of a request that this began has not run yet.
        if self.scope is not None:
            self.guard.begin()
            self.scope.setdefault("extensions", {TARGET: {"target": self._connection.target}})
            if self._connection.scheme is not None:
                self.scope["scheme"] = self._connection.scheme

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.guard.response_complete()

    def shutdown(self) -> None:
        if self.guard.may_end():
            super().shutdown()

    def _is_last(self) -> bool:
        return self.cycle is not None and not self.cycle.keep_alive

    def _should_upgrade(self) -> bool:
        return False

    def _head_begun(self) -> bool:
        return self.conn.their_state is h11.IDLE and self.conn.trailing_data[0] != b""
