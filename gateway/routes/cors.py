"""Pages of other sites that may call components by JSON-RPC: Cross-Origin Resource Sharing.

Without `rpc_cors_origins` none may: their browsers ask before they send JSON, and are answered with 405.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import Message, Receive, Scope, Send

from gateway.config import ServerConfig
from gateway.http.request_id import HEADER as REQUEST_ID
from gateway.routes.request import Request
from gateway.routes.rpc import RpcEndpoint

__all__ = ["CorsEndpoint"]

MAX_AGE: Final = 600
"""Seconds for which a browser need not ask again. Arbitrary, Starlette's: a change of the configuration takes as
long to reach all pages."""

_EXPOSED: Final = ("X-Request-Id", "Retry-After", "Server-Timing")
"""What a page may read of the fields of a response, besides those that any page may."""

_REQUEST: Final = "component_gateway.request"
"""The key of a scope that has the `Request` which it is of."""


class CorsEndpoint:
    """What answers for JSON-RPC, to pages of the sites that the operator has named too.

    Args:
        inner: JSON-RPC.
        config: what the operator said of the server.
    """

    def __init__(self, inner: RpcEndpoint, config: ServerConfig) -> None:
        self._inner = inner
        self._cors = CORSMiddleware(
            self._answer,
            allow_origins=config.rpc_cors_origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=config.rpc_cors_headers,
            allow_credentials=config.rpc_cors_credentials,
            expose_headers=_EXPOSED,
            max_age=MAX_AGE,
        )

    async def answer(self, request: Request) -> None:
        """Answer a request, or a browser that asks whether it may send one."""
        send = request.send

        async def note(message: Message) -> None:
            if (
                message["type"] == "http.response.start" and not request.status
            ):  # what a browser asked
                request.status = message["status"]
                identity = (REQUEST_ID, request.id.encode("ascii"))
                message = {**message, "headers": [*message["headers"], identity]}
            await send(message)

        await self._cors({**request.scope, _REQUEST: request}, request.receive, note)

    async def _answer(self, scope: Scope, _receive: Receive, send: Send) -> None:
        request: Request = scope[_REQUEST]
        request.send = send
        await self._inner.answer(request)
