"""One request and its response, between a connection and an ASGI application.

A cycle has the application's `receive` and `send`. It is under way from the end of the request's head to the end
of the response; what still comes of the request's body after that is nobody's. One that never waits needs no event
and no future: what has arrived is there when it is asked for.

The response is framed by the length that the application announces, else in chunks. HTTP/1.0 has none: there, a
response of unknown length ends where its connection does, and one that was closed early would make a part look
whole (RFC 9112, section 6.3). So from the head of such a response to its last byte, its socket is one that is
reset when it is closed, whoever closes it: the kernel too, where the process is killed.

Source: the ASGI specification, HTTP version 2.3; RFC 9112, sections 6 and 9.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Final, Protocol, cast

from starlette.types import ASGIApp, Message, Scope

from gateway.routes.client import Client
from gateway.server.http1.connections import Connections
from gateway.server.http1.intake import Intake
from gateway.server.http1.outlet import Outlet

__all__ = ["CONTINUE", "Cycle"]

_log = logging.getLogger("uvicorn.error")
"""Where uvicorn tells of such, so that one line of a configuration is for both (`gateway.observe.log`)."""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_PHRASES: Final = {int(status): status.phrase for status in HTTPStatus}

HIGH_WATER: Final = 64 << 10
"""Bytes of a body that wait for the application before no more is taken. uvicorn's."""

_STATUS_LINES: Final = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, _PHRASES.get(status, "").encode())
    for status in range(200, 600)
}

_START: Final = "http.response.start"
_BODY: Final = "http.response.body"

_MEANT_FOR_US: Final = frozenset((b"connection", b"content-length", b"date", b"transfer-encoding"))
"""Fields by which an application tells its server what to do."""

_BODILESS: Final = frozenset((204, 304))
"""Statuses of responses that have no content, whatever their fields announce (RFC 9110, section 6.4.1)."""

_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
"""What a field's name is made of (RFC 9110, section 5.6.2), in lower case."""

_CONTROLS: Final = bytes({*range(0x20), 0x7F} - set(b"\t\r\n"))
"""What no field's value has; ends of lines aside, which are counted."""

_FAILED: Final = b"Internal Server Error"


class Carrier(Protocol):
    """The connection of a cycle.

    Attributes:
        client: the client, as applications see it.
        shared: what it shares with others.
        flow: its receiving side.
        transport: its sending side.
    """

    client: Client
    shared: Connections
    flow: Intake
    transport: Outlet

    def response_begins(self, cycle: Cycle) -> None:
        """A response is about to begin, though not all of its request has arrived."""

    def response_complete(self, *, keep_alive: bool) -> None:
        """A response was written; nobody else is told of it."""


class Cycle:
    """A request under way.

    Args:
        carrier: its connection.
        scope: its ASGI scope.
        keep_alive: whether another request may follow on the connection.
        awaits_continue: whether its client waits to be told to send the body.

    Attributes:
        scope: its ASGI scope.
        keep_alive: whether the connection goes on after the response.
        awaits_continue: whether the client still waits to be told so.
        started: whether the response has begun.
        arrived: to be set when more of the request has arrived, or all of it; None where nobody has waited yet.
    """

    __slots__ = (
        "_carrier",
        "_chunked",
        "_complete",
        "_ended",
        "_left",
        "_parts",
        "_size",
        "_told",
        "_until_close",
        "arrived",
        "awaits_continue",
        "keep_alive",
        "scope",
        "started",
    )

    def __init__(
        self, carrier: Carrier, scope: Scope, *, keep_alive: bool, awaits_continue: bool
    ) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.awaits_continue = awaits_continue
        self.started = False
        # Until this has ended: an application that goes on keeps no connection.
        self._carrier = carrier
        self._ended = self._complete = False
        self._parts: list[bytes] = []
        self._size = 0
        self._told = False
        self.arrived: asyncio.Event | None = None

    async def run(self, app: ASGIApp, tasks: set[asyncio.Task[None]]) -> None:
        """Have an application answer. Where it fails to, that is logged, and the client is told or cut off.

        Args:
            app: the application.
            tasks: where the task is that this runs in, until it is done.
        """
        try:
            await app(self.scope, self.receive, self.send)
        except BaseException as error:
            _log.error("Exception in ASGI application\n", exc_info=error)
        else:
            if not self._ended:
                part = "completing" if self.started else "starting"
                _log.error("ASGI callable returned without %s response.", part)
        finally:
            if not self._ended:
                await self._fail()
            tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _fail(self) -> None:
        if self.started:
            self._carrier.transport.close()
            return
        fields = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(_FAILED)),
            (b"connection", b"close"),
        ]
        await self.send({"type": _START, "status": 500, "headers": fields})
        await self.send({"type": _BODY, "body": _FAILED})

    def disconnect(self) -> None:
        """Nothing more arrives of the request, and nothing of the response is sent; once more changes nothing."""
        if not self._ended:
            self._end()

    def _end(self) -> None:
        self._ended = True
        self._parts.clear()
        if self.arrived is not None:
            self.arrived.set()
        del self._carrier

    # --- the request's body --------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """A part of the body has arrived."""
        self.awaits_continue = False
        self._parts.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER:
            self._carrier.flow.pause_reading()
        if self.arrived is not None:
            self.arrived.set()

    async def receive(self) -> Message:
        """Wait for a part of the body, or for the client to leave or to have the response."""
        if self._ended:
            return {"type": "http.disconnect"}
        client, flow = self._carrier.client, self._carrier.flow
        if self.awaits_continue and not self._carrier.transport.is_closing():
            self.awaits_continue = False
            self._carrier.transport.write(CONTINUE)
        if flow.read_paused or flow.waiting:
            flow.resume_reading()
        if not (self._parts or (client.whole and not self._told)) and not await self._arrival():
            return {"type": "http.disconnect"}
        body = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        self._told = client.whole
        return {"type": "http.request", "body": body, "more_body": not self._told}

    async def _arrival(self) -> bool:
        """Wait for a part of the body, or the end; tells whether there is one."""
        client, parts = self._carrier.client, self._parts
        arrived = self.arrived = self.arrived or asyncio.Event()
        while not (parts or self._ended or (client.whole and not self._told)):
            arrived.clear()
            await arrived.wait()
        return not self._ended

    # --- the response --------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Send the head of the response, or a part of its content; nothing where the client has left.

        Raises:
            RuntimeError: it is not the turn of such a message, or what it says cannot be sent.
        """
        if self._complete:
            raise RuntimeError(f"{message['type']} after the response was complete")
        if self._ended or (self._carrier.transport.write_paused and not await self._drained()):
            return
        if message["type"] != (_BODY if self.started else _START):
            raise RuntimeError(f"{message['type']} is not what comes next of a response")
        transport = self._carrier.transport
        if not self.started:
            transport.begin(self._head(message))
            self.started = True
            if self._until_close:
                transport.reset_on_close(True)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._chunked:
            if body:
                body = b"%x\r\n%b\r\n" % (len(body), body)
            if not more:
                body = b"%b0\r\n\r\n" % body  # not added to what is the application's
        elif self.scope["method"] == "HEAD":
            body = b""
        elif not self._until_close:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the content of a response is not as long as was announced")
        elif not more:
            # All that is to be waited for, for the client may go away until then.
            if not await self._drained():
                return
            transport.reset_on_close(False)
        transport.write(body)
        if not more:
            self._complete = True
            carrier = self._carrier
            self._end()
            carrier.response_complete(keep_alive=self.keep_alive)

    async def _drained(self) -> bool:
        """Wait until more may be sent; tells whether anyone is there to take it."""
        await self._carrier.transport.drain()
        return not self._ended

    def _head(self, message: Message) -> bytes:
        """The head of a response, framed as the version of its request has it."""
        if not self._carrier.client.whole:
            self._carrier.response_begins(self)
        status: int = message["status"]
        if status not in _STATUS_LINES:
            raise RuntimeError(f"{status} is not the status of a final response")
        names, lines = [], [_STATUS_LINES[status]]
        date, length, closes = self._carrier.shared.date, None, False
        for name, value in message.get("headers", ()):
            name = name.lower()  # noqa: PLW2901 - ASGI asks for that, and not every application does it
            if name in _MEANT_FOR_US:
                if name == b"content-length":
                    if not value.isdigit() or length not in {None, value}:
                        raise RuntimeError("a response has two lengths, or one that is none")
                    length = value
                elif name == b"connection":
                    if b"close" in {option.strip() for option in value.lower().split(b",")}:
                        self.keep_alive = False
                        closes = True
                    elif not self.keep_alive:
                        continue
                elif name == b"date":
                    date = b""
                else:
                    continue  # transfer-encoding: how it is transferred is decided here
            names.append(name)
            lines.append(b"%b: %b\r\n" % (name, value))
        fields = b"".join(lines)
        if (
            fields.count(b"\n") != len(lines)
            or fields.count(b"\r") != len(lines)
            or len(fields.translate(None, _CONTROLS)) != len(fields)
            or b"".join(names).translate(None, _TOKEN)
            or b"" in names
        ):
            raise RuntimeError("a response has a field that HTTP has not")
        bodiless = self.scope["method"] == "HEAD" or status in _BODILESS
        self._left = 0 if bodiless or length is None else int(length)
        unknown = length is None and not bodiless
        self._until_close = unknown and self.scope["http_version"] == "1.0"
        self._chunked = unknown and not self._until_close
        self.awaits_continue = False
        coding = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        close = b"" if self.keep_alive or closes else b"connection: close\r\n"
        return b"".join((fields, date, close, coding, b"\r\n"))
