"""A name that a component sends HTTP requests to, and that leads to an ASGI application of this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

import structlog
from starlette.types import ASGIApp, Message

from gateway.bindings.context import Caller
from gateway.bindings.http.body import (
    BodyInputStream,
    BodyOutputStream,
    IncomingContent,
    OutgoingContent,
    Queue,
)
from gateway.bindings.http.fields import Fields
from gateway.bindings.http.outbound import LinkedHandler, LinkedRequest, OutboundFailure
from gateway.bindings.http.types import IncomingRequest, OutgoingResponse
from gateway.bindings.io import Closed, LastOperationFailed, until_ready
from gateway.host.values import Variant

__all__ = ["AsgiHost", "AsgiHosts"]

_log = structlog.get_logger("gateway.links")

_PIECE: Final = 1 << 16
"""Bytes of a request's body that the application is given at once. Arbitrary."""


class AsgiHosts(Mapping[str, LinkedHandler]):
    """The applications that answer requests to names, which may change while components are served.

    Args:
        applications: by name, in lower case.
    """

    def __init__(self, applications: Mapping[str, ASGIApp]) -> None:
        self._applications = applications

    def __getitem__(self, host: str) -> LinkedHandler:
        return AsgiHost(self._applications[host])

    def __iter__(self) -> Iterator[str]:
        return iter(self._applications)

    def __len__(self) -> int:
        return len(self._applications)


class AsgiHost:
    """What answers requests to such a name: a `gateway.bindings.http.outbound.LinkedHandler`.

    Bodies stream both ways, as to a server. What the application raises is logged, and the component sees a server
    that closes the connection; only an `OutboundFailure` is what it sees.

    Args:
        application: the application. It is told of no lifespan.
    """

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, caller: Caller, request: LinkedRequest) -> None:
        """`LinkedHandler.__call__`."""
        incoming = request.make(IncomingRequest, None)
        content, incoming.content = incoming.content, None
        exchange = _Exchange(request, content or IncomingContent())
        try:
            await self._application(_scope(incoming), exchange.receive, exchange.send)
        except OutboundFailure:
            raise
        except Exception as error:
            _log.exception("application failed", host=incoming.authority, **caller.log_context)
            said = f"it raised {type(error).__qualname__}"
            raise OutboundFailure(Variant("connection-terminated"), said) from error
        finally:
            exchange.close()
        if not exchange.complete:
            raise OutboundFailure(Variant("connection-terminated"), "it gave no whole response")


def _scope(request: IncomingRequest) -> dict[str, object]:
    path, _, query = (request.path_with_query or "/").partition("?")
    authority = request.authority or ""
    server = urlsplit(f"//{authority}")
    default = 443 if request.scheme == "https" else 80
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", authority.encode()), *request.headers.asgi()],
        "client": None,
        "server": (server.hostname, server.port or default),
    }


class _Exchange:
    """A request and its response, as an application has them.

    Args:
        request: the request.
        content: its body.
    """

    def __init__(self, request: LinkedRequest, content: IncomingContent) -> None:
        self._request = request
        self._content = content
        self._source = BodyInputStream(content)
        self._head: Message | None = None
        self._sent: OutgoingContent | None = None
        self._received = False
        self._over = asyncio.Event()
        self.complete = False

    async def receive(self) -> Message:
        """ASGI's `receive`."""
        if self._received:  # applications ask on, in loops, for the client's departure
            await self._over.wait()
            return {"type": "http.disconnect"}
        try:
            await until_ready(self._source)
            body = self._content.read(_PIECE)
        except Closed:
            self._received = True
            return {"type": "http.request", "body": b"", "more_body": False}
        except LastOperationFailed:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": True}

    async def send(self, message: Message) -> None:
        """ASGI's `send`."""
        if message["type"] == "http.response.start":
            self._head = message
            return
        if message["type"] != "http.response.body" or self._head is None:
            raise RuntimeError(f"{message['type']} is out of place")
        if self._sent is None:
            self._sent = self._begin(self._head)
        await self._write(self._sent, message.get("body", b""))
        if not message.get("more_body", False):
            if self._sent.finish(None) is not None:
                raise RuntimeError("the body is shorter than content-length says")
            self.complete = True
            self._over.set()

    def close(self) -> None:
        """The application has ended."""
        self._over.set()
        if self._sent is not None:
            self._sent.abort()
        self._content.abandon()

    def _begin(self, head: Message) -> OutgoingContent:
        response = OutgoingResponse(Fields.incoming(head.get("headers", ())))
        response.status = head["status"]
        announced = response.headers.content_length()
        response.content = OutgoingContent(Queue(), announced, "HTTP-response-body-size")
        self._request.respond(response)
        return response.content

    async def _write(self, content: OutgoingContent, body: bytes) -> None:
        sink, view = BodyOutputStream(content), memoryview(body)
        try:
            while view:
                await until_ready(sink)
                piece = view[: content.check_write()]
                content.write(bytes(piece))
                view = view[len(piece) :]
        except Closed:
            self._over.set()
            raise OSError("the component does not want the response any more") from None
