"""A request that came in, with what the gateway knows of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from gateway.config.page_file import PageFile
from gateway.http.accept import VARY, prefers
from gateway.http.field_lines import FieldLines
from gateway.http.forwarded import Origin
from gateway.http.problem import MEDIA_TYPE, Problem, send_problem
from gateway.http.request_id import HEADER as REQUEST_ID
from gateway.http.trace_context import TraceContext
from gateway.observe.events import Outcome, Phases
from gateway.routes.client import EXTENSION as CLIENT
from gateway.routes.client import Client

__all__ = [
    "SERVER_TIMING",
    "ClientDisconnected",
    "ContentTooLarge",
    "Request",
    "server_timing",
]


CONTENT_TIMEOUT: Final = 30.0
"""Seconds for a client to send a body that is read whole. Threat: a body that never comes costs a connection and a
task. nginx gives 60 from one read to the next; this is for all of it, whose size is bounded too. One that is
taken in parts has as long for each of them."""

_PIECE: Final = 64 << 10
"""Bytes of a response that are sent at once: what most servers let wait before they hold up who sends."""

SERVER_TIMING: Final = b"server-timing"
"""The field that tells where the time of a request went (W3C Server Timing)."""


class ClientDisconnected(Exception):
    """The client went away before all of its request was there."""


class ContentTooLarge(Exception):
    """The body of a request is larger than it may be."""


class Request:
    """One HTTP request, and what has become of it.

    Args:
        scope: its ASGI scope.
        receive: its messages.
        send: where the response goes.
        lines: the values of its header fields, by name.
        path: its path as sent, below the path that the application is mounted at.
        id: its id, as `request_id.request_id` gives it.
        origin: where it comes from.
        trace: the trace that it belongs to.

    Attributes:
        client: who has sent it.
        component: the name of the component that answers it, once that is known.
        route: the path of the route that led to it, likewise.
        status: the status code that was sent; 0 before.
        sent: how many bytes of content were sent.
        outcome: how the invocation ended that was made for it, if one was.
        log: the logger that gets a line about it; None for the gateway's own.
        log_level: the level of that line.
        timing: what `Server-Timing` tells of it, if that is asked for.
        pages: what browsers are shown in the place of problem documents, by status.
    """

    __slots__ = (
        "client",
        "component",
        "id",
        "lines",
        "log",
        "log_level",
        "origin",
        "outcome",
        "pages",
        "path",
        "receive",
        "route",
        "scope",
        "send",
        "sent",
        "status",
        "timing",
        "trace",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        lines: FieldLines,
        path: str,
        id: str,  # noqa: A002
        origin: Origin,
        trace: TraceContext,
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.lines = lines
        self.path = path
        self.id = id
        self.origin = origin
        self.trace = trace
        known = (scope.get("extensions") or {}).get(CLIENT)
        self.client: Client = Client() if known is None else known["client"]
        self.component: str | None = None
        self.route: str | None = None
        self.status = 0
        self.sent = 0
        self.outcome: Outcome | None = None
        self.log: Any = None
        self.log_level = "info"
        self.timing: bytes | None = None
        self.pages: Mapping[int, PageFile] = {}

    def content_length(self) -> int:
        """The announced length of its body, in bytes; 0 if none is. The server has checked the syntax."""
        lengths = self.lines.get(b"content-length")
        return int(lengths[0]) if lengths else 0

    async def refuse(self, what: Problem, *headers: tuple[bytes, bytes]) -> None:
        """Answer with a problem document, or the operator's page, and more fields. Nothing has been sent yet."""
        self.status = what.status
        page = self.pages.get(what.status)
        if page is not None and prefers(self.lines, page.media_type, to=MEDIA_TYPE):
            fields = what.fields()
            await self.respond(
                what.status,
                page.content_type,
                page.content,
                *fields,
                VARY,
                *headers,
            )
            return
        head_only = self.scope["method"] == "HEAD"
        self.sent = await send_problem(self.send, what, self.id, *headers, head_only=head_only)

    async def respond(
        self, status: int, content_type: bytes, content: bytes, *headers: tuple[bytes, bytes]
    ) -> None:
        """Answer with the whole of a response. Nothing has been sent yet.

        Args:
            status: the status code.
            content_type: of the content.
            content: what a response to GET has; one to HEAD has its length alone (RFC 9110 section 9.3.2).
            headers: more fields.
        """
        self.status = status
        fields = [
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(content)),
            (REQUEST_ID, self.id.encode("ascii")),
            *headers,
        ]
        if self.timing is not None:
            fields.append((SERVER_TIMING, self.timing))
        if status == 204:  # has no content, nor fields that tell of any (RFC 9110 section 8.6)
            fields = fields[2:]
        await self.send({"type": "http.response.start", "status": status, "headers": fields})
        body = b"" if self.scope["method"] == "HEAD" else content
        # In pieces: what a client does not read waits here once, not once more in the server.
        last = max(0, len(body) - 1) // _PIECE * _PIECE
        for first in range(0, last, _PIECE):
            piece = body[first : first + _PIECE]
            self.sent += len(piece)
            await self.send({"type": "http.response.body", "body": piece, "more_body": True})
        self.sent = len(body)
        await self.send({"type": "http.response.body", "body": body[last:]})

    def receiving(self) -> AbstractAsyncContextManager[object]:
        """Bounds the time for its body, which raises TimeoutError; without a timer for one that is there."""
        return nullcontext() if self.client.whole else asyncio.timeout(CONTENT_TIMEOUT)

    async def content(self, limit: int) -> bytes:
        """Receive the whole body.

        Args:
            limit: the most bytes that it may have.

        Raises:
            ContentTooLarge: it has more, or says that it will.
            ClientDisconnected: it is not whole and never will be.
            TimeoutError: it was not whole in time.
        """
        # The steps of `parts` without a generator, whose frames would cost each call with JSON.
        # What is there already is compared with the bound below.
        if not self.client.whole and self.content_length() > limit:
            raise ContentTooLarge
        parts: list[bytes] = []
        size = 0
        more = True
        async with self.receiving():
            while more:
                message = await self.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnected
                part = message.get("body", b"")
                size += len(part)
                if size > limit:
                    raise ContentTooLarge
                parts.append(part)
                more = message.get("more_body", False)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def parts(self, limit: int) -> AsyncGenerator[bytes, None]:
        """Receive the body part by part, as they come.

        Args:
            limit: the most bytes that they may have together.

        Raises:
            ContentTooLarge: there are more, or it says that there will be.
            ClientDisconnected: it is not whole and never will be.
            TimeoutError: the next part did not come in time.
        """
        if self.content_length() > limit:
            raise ContentTooLarge
        size = 0
        more = True
        while more:
            async with asyncio.timeout(CONTENT_TIMEOUT):
                message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise ContentTooLarge
            yield part
            more = message.get("more_body", False)


def server_timing(*calls: Phases) -> bytes:
    """Where the time of invocations went, in milliseconds, as `Server-Timing` has it."""
    phases = ("queue", "instantiate", "guest", "host")
    return ", ".join(
        f"{phase};dur={sum(getattr(call, phase) for call in calls) * 1000:.3f}" for phase in phases
    ).encode()
