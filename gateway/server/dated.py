"""Responses with a `Date`: the application's own, or else that of the moment (RFC 9110 section 6.6.1).

uvicorn would date every response, whatever the application says of it. What a component passes on from elsewhere
is as old as its origin says, and caches count from there.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from email.utils import formatdate

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.routes.date import EXTENSION, FIELD

__all__ = ["Dated"]


class Dated:
    """An application whose responses have a date.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._second = 0
        self._field = (FIELD, b"")

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one scope."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        scope.setdefault("extensions", {})[EXTENSION] = {}

        def send_dated(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                for name, _ in headers:
                    if name == FIELD:
                        break
                else:
                    message["headers"] = [self._now(), *headers]
            return send(message)

        return self._app(scope, receive, send_dated)

    def _now(self) -> tuple[bytes, bytes]:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._field = (FIELD, formatdate(second, usegmt=True).encode())
        return self._field
