"""A gateway whose answers say what went wrong."""

from __future__ import annotations

import json
from collections.abc import Container
from typing import Any, Final, cast

from starlette.types import Message, Receive, Scope, Send

from gateway.app import Gateway
from gateway.config import GatewayConfig
from gateway.development.told import Told
from gateway.http import problem
from gateway.http.media_type import JSON
from gateway.http.request_id import HEADER as REQUEST_ID
from gateway.lifecycle.builds import Builds

__all__ = ["BUILD_FAILED", "DevelopmentGateway"]

BUILD_FAILED: Final = b"gateway-build-failed"
"""The field of each response that names the components whose last build failed."""

_MEMBER: Final = "development"

_NOT_BUILT: Final = {
    "type": "urn:component-gateway:problem:not-built",
    "title": "The component is not built",
    "status": 503,
    "detail": "A build failed, and there is nothing from before. It begins again when the sources change.",
}
"""What takes the place of `problem.NO_ROUTE` where a component is missing."""


class DevelopmentGateway(Gateway):
    """A gateway that adds to its problem documents, and to errors of JSON-RPC, what the log has of the request.

    Args:
        config: what to serve.
        told: has what the log was told.
        builds: has the builds that failed.
    """

    def __init__(self, config: GatewayConfig, *, told: Told, builds: Builds) -> None:
        super().__init__(config)
        self._told = told
        self._builds = builds
        self._rpc_prefix = config.server.rpc_prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if scope["type"] == "http":
            calls = scope["path"].startswith(f"{self._rpc_prefix}/") and scope["method"] == "POST"
            held = (problem.MEDIA_TYPE, JSON) if calls else (problem.MEDIA_TYPE,)
            send = _Answer(send, held, self._told, self._builds).send
        await super().__call__(scope, receive, send)


class _Answer:
    """A response on its way: one that the gateway may have given itself is held until it is whole, others pass.

    Args:
        send: where it goes.
        held: the media types of those.
        told: as of `DevelopmentGateway`; likewise `builds`.
    """

    def __init__(self, send: Send, held: Container[bytes], told: Told, builds: Builds) -> None:
        self._send = send
        self._held = held
        self._told = told
        self._builds = builds
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        """Take a message of it."""
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            if failed := self._builds.failures:
                headers.append((BUILD_FAILED, ", ".join(sorted(failed)).encode()))
            message = {**message, "headers": headers}
            if dict(headers).get(b"content-type") in self._held:
                self._start = message
                return
        elif self._start is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if message.get("more_body", False):
                return
            start, self._start = self._start, None
            await self._send_whole(start, self._body)
            return
        await self._send(message)

    async def _send_whole(self, start: Message, body: bytes) -> None:
        headers = dict(start["headers"])
        document = self._explained(headers.get(REQUEST_ID, b"").decode(), body)
        if document is not None:
            if isinstance(document, dict) and "jsonrpc" not in document:
                start["status"] = document.get("status", start["status"])
            body = json.dumps(document, indent=2, ensure_ascii=False, default=str).encode() + b"\n"
            headers[b"content-length"] = b"%d" % len(body)
            start["headers"] = list(headers.items())
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    def _explained(self, request_id: str, body: bytes) -> Any:
        """What the gateway says of a failure, and why; None for what is none of the gateway's."""
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):  # of a response to HEAD, or of a component's own
            return None
        why = self._told.of(request_id)
        if failures := self._builds.failures:
            why["builds"] = {
                name: {"reason": str(failure), "output": failure.output.splitlines()}
                for name, failure in failures.items()
            }
        entries = document if isinstance(document, list) else [document]
        told = False
        for entry in entries if why else ():
            if (place := _place(entry, request_id)) is not None:
                if place.get("type") == problem.NO_ROUTE.type and self._builds.missing:
                    place |= _NOT_BUILT
                place[_MEMBER] = why
                told = True
        return document if told else None


def _place(entry: Any, request_id: str) -> dict[str, Any] | None:
    """Where a failure of the gateway's own has room for more: its problem document, or the data of its error."""
    match entry:
        case {"type": str(), "request_id": identity} if identity == request_id:
            return cast("dict[str, Any]", entry)
        case {"error": {"data": {"request_id": identity} as data}} if identity == request_id:
            return cast("dict[str, Any]", data)
    return None
