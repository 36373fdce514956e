"""A connection of HTTP/1.1: what both parsers feed."""

from __future__ import annotations

import asyncio
import re
import socket
from abc import abstractmethod
from typing import Any, Final, cast
from urllib.parse import unquote

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.utils import get_local_addr, get_remote_addr

from gateway.host.scheduler import Lane
from gateway.http.target import EXTENSION as TARGET
from gateway.routes.client import EXTENSION as CLIENT
from gateway.routes.client import Client
from gateway.routes.date import EXTENSION as DATE
from gateway.server.http1.connections import Connections
from gateway.server.http1.cycle import Cycle
from gateway.server.http1.framing import body_length
from gateway.server.http1.intake import Intake
from gateway.server.http1.limits import Guard, max_head
from gateway.server.http1.outlet import Outlet
from gateway.server.http1.refusal import MALFORMED, Refusal
from gateway.server.http1.target import Headers, absolute_form

__all__ = ["Http1Connection"]

KEPT_AFTER: Final = 0.25
"""Seconds after which a connection counts as one that is kept, once it has had an answer. Many that are made at
once wait for each other until then: if each came into another lane with its first answer, the last of them would
wait for twice as long as those. Arbitrary: as long as a hundred guests of some milliseconds take."""

_TARGET: Final = re.compile(rb"[!-~]+")
"""What a request's target is made of: visible characters (RFC 3986, section 2; more than those that it allows)."""


class Http1Connection(asyncio.Protocol):
    """One connection: at any time between two requests, in one, or answering one that has arrived.

    A subclass parses, and tells of a head (`_head`), of parts of a body (`on_body`) and of the end of a request
    (`on_message_complete`).

    Attributes:
        cycle: the request that has no whole response yet; no other is parsed before it has.
        client: the client, as applications see it; `whole` of it says whether all of the last request has arrived,
            also where there was none yet.
        unread: bytes of the last request's body that have not arrived; None if that is not known.
        peer: the address of the client; None at a Unix socket.
        guard: what keeps it within its bounds.
        shared: what it shares with others.
        flow: its receiving side.
        transport: its sending side.
    """

    flow: Intake
    transport: Outlet

    def __init__(
        self, config: uvicorn.Config, shared: Connections, app_state: dict[str, Any]
    ) -> None:
        """Prepare for a connection.

        Args:
            config: what is served, and how.
            shared: what it shares with others.
            app_state: what each request's scope is given of the application's lifespan.
        """
        self.loop = asyncio.get_running_loop()
        self.shared = shared
        self.cycle: Cycle | None = None
        self.unread: int | None = 0
        self.peer: tuple[str, int] | None = None
        left = self.loop.create_future()
        self.client = Client(left)
        self.client.whole = True
        self.guard = Guard(self, left)
        self._app = cast("ASGIApp", config.loaded_app)
        self._app_state = app_state
        self._server: tuple[str, int | None] | None = None
        self._max_head = max_head(config)
        self._keep_alive: float = config.timeout_keep_alive
        self._kept_from = self.loop.time() + KEPT_AFTER
        self._resting: asyncio.TimerHandle | None = None

    # --- the transport's callbacks -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin: the transport's callback, as all of these are."""
        self.shared.open.add(self)
        self._server = get_local_addr(transport)
        self.peer = get_remote_addr(transport)
        self.flow = Intake(transport, self.loop, self._parse, self.guard, self.shared.ahead)
        self.transport = Outlet(transport, self.flow, self.loop, self.guard)
        self.guard.connected(transport)
        if self.peer is None and transport.get_extra_info("socket").family != socket.AF_UNIX:
            # It was reset while it was queued, and what it had sent can still be read. Its address is not known
            # any more, and no address is what peers of a Unix socket have, which may be trusted.
            transport.abort()

    def connection_lost(self, _exc: Exception | None) -> None:
        """End, and free all; a request under way hears of it."""
        self.shared.open.discard(self)
        self.guard.lost()
        if self._resting is not None:
            self._resting.cancel()
        if self.cycle is not None:
            self.cycle.disconnect()
            self.cycle = None
        self.transport.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take what was received."""
        self.shared.idle.pop(self, None)
        self.flow.take(data)

    def eof_received(self) -> bool:
        """The client sends no more: tell whether the transport stays open."""
        return self.guard.eof_received()

    def pause_writing(self) -> None:
        """So much waits for the client that nobody is to send more."""
        self.transport.pause_writing()

    def resume_writing(self) -> None:
        """More may be sent."""
        self.transport.resume_writing()

    # --- its server's --------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """End it as soon as no request is lost."""
        if self.guard.may_end():
            self.transport.close()

    # --- what a parser does --------------------------------------------------------------------------------

    @abstractmethod
    def head_begun(self) -> bool:
        """Whether a part of a request's head has arrived, and not all of it."""

    def _parse(self, data: bytes, offset: int) -> int:
        """Parse no more than is due of what was received; tells how many bytes that is."""
        if self.cycle is not None and self.client.whole:
            return 0
        try:
            size = self._parse_piece(data, offset)
        except Refusal as refusal:
            self.guard.refuse(refusal)
            return 0
        if self.cycle is None:
            self.guard.parsed(size)
        return size

    @abstractmethod
    def _parse_piece(self, data: bytes, offset: int) -> int:
        """Parse a piece in which no more than one request ends; tells how many bytes it has.

        Raises:
            Refusal: it is no request that an application could answer.
        """

    # --- what it tells -------------------------------------------------------------------------------------

    def _head(
        self, method: bytes, target: bytes, version: str, headers: Headers, *, keep_alive: bool
    ) -> None:
        """Begin to answer a request, whose head has arrived.

        Raises:
            Refusal: no application could answer it.
        """
        if self.guard.timer is not None:
            self.guard.head_complete()
        self.unread = length = body_length(version, headers)
        scheme = "http"
        if not target.startswith(b"/") or method == b"CONNECT":
            absolute = absolute_form(method, target, version, headers)
            if absolute is not None:
                target, headers, scheme = absolute
        if not _TARGET.fullmatch(target):
            raise Refusal(MALFORMED)
        path, _, query = target.partition(b"#")[0].partition(b"?")
        plain = path.decode("ascii")
        awaits_continue = False
        if length != 0 and version != "1.0":
            for name, value in headers:
                if name == b"expect" and value.lower() == b"100-continue":
                    awaits_continue = True
        self.client.whole = self.client.reads_on = self.guard.unused = False
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "server": self._server,
            "client": self.peer,
            "scheme": scheme,
            "method": method.decode("ascii"),
            "root_path": "",
            "path": unquote(plain) if "%" in plain else plain,
            "raw_path": path,
            "query_string": query,
            "headers": headers,
            "state": self._app_state.copy(),
            "extensions": {
                TARGET: {"target": target},
                CLIENT: {"client": self.client},
                DATE: {},
            },
        }
        self.cycle = Cycle(
            self,
            scope,
            keep_alive=keep_alive and not self.guard.ending,
            awaits_continue=awaits_continue,
        )
        tasks = self.shared.tasks
        tasks.add(self.loop.create_task(self.cycle.run(self._app, tasks)))

    def on_body(self, body: bytes) -> None:
        """Take a part of the request's body."""
        self.flow.events += 1
        if self.unread is not None:
            self.unread -= len(body)
        if self.cycle is not None:
            self.cycle.feed(body)

    def on_message_complete(self) -> None:
        """Note that all of the request has arrived."""
        self.flow.events += 1
        self.client.whole = True
        if self.cycle is not None and self.cycle.arrived is not None:
            self.cycle.arrived.set()

    # --- what a cycle tells --------------------------------------------------------------------------------

    def response_begins(self, cycle: Cycle) -> None:
        """A response is about to begin, though not all of its request has arrived."""
        self.guard.response_begins(cycle)

    def response_complete(self, *, keep_alive: bool) -> None:
        """A response was written: go on to the next request, or end."""
        self.cycle = None
        guard, flow = self.guard, self.flow
        ahead = flow.waiting > 0
        if not keep_alive or (flow.ended and not ahead):
            self.transport.close()
            return
        now = self.loop.time()
        # One that sends requests ahead has the gateway busy all by itself: they do not go before those of others.
        self.client.lane = (
            Lane.AHEAD if ahead else Lane.KEPT if now >= self._kept_from else Lane.NEW
        )
        guard.dropped = 0
        if ahead or flow.read_paused:
            flow.resume_reading()
        if guard.refusal is not None:
            guard.answer()
        elif not ahead:  # else it is not idle: this side lets it wait
            self.shared.idle[self] = now
            if self._resting is None:
                self._rest_until(now + self._keep_alive)

    def _rest_until(self, when: float) -> None:
        self._resting = self.loop.call_at(when, self._has_rested)

    def _has_rested(self) -> None:
        """End what is idle for too long: one timer is for many requests, and what came between is seen here."""
        self._resting = None
        since = self.shared.idle.get(self)
        if since is None:
            return
        if since + self._keep_alive <= self.loop.time():
            self.transport.close()
        else:
            self._rest_until(since + self._keep_alive)
