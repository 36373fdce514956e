"""What a connection may cost its server, and how one that costs more is ended."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, Protocol

import structlog
import uvicorn

from gateway.config import ServerConfig
from gateway.http.forwarded import UNIX
from gateway.http.problem import Problem
from gateway.http.request_id import request_id
from gateway.observe.connection_end import ConnectionEnd
from gateway.routes.client import Client
from gateway.server.http1.connections import Connections
from gateway.server.http1.cycle import CONTINUE, Cycle
from gateway.server.http1.intake import Intake
from gateway.server.http1.outlet import Outlet
from gateway.server.http1.refusal import BODY_LATE, HEAD_LATE, Refusal
from gateway.server.http1.writing import Writing

__all__ = ["FIRST_REQUEST", "LINE_OVERHEAD", "UNREAD_BODY", "Guard", "max_head"]

_log = structlog.get_logger("gateway.server")

UNREAD_BODY: Final = 256 << 10
"""Bytes of a body that are received after the response to it, for the sake of the next request on the connection.
Where it is known when the response begins that more is missing, and nobody takes it, the response says that it is
the last; where it is not, the connection is closed when so much has come. Precedent: `maxPostHandlerReadBytes` of
Go's net/http."""

ASK_AFTER: Final = 0.5
"""Seconds until a client that sends no more is asked whether it is still there, doubled each time. Arbitrary: most
responses have begun by then, and ask by themselves."""

MAX_REASON: Final = 200
"""Characters of a parser's complaint that are logged: h11's quote all of a line that it refuses."""

FIRST_REQUEST: Final = 1.0
"""Seconds that a connection without any request may stay when its server stops. A proxy that connects sends its
request at once, so a new connection has one on its way; one that was opened for later must not hold up the stop.
Arbitrary: a few round trips around the world."""

LINE_OVERHEAD: Final = 4
"""Bytes of a header line besides name and value: a colon, a space, CR and LF."""


class Protected(Protocol):
    """A connection.

    Attributes:
        loop: the event loop.
        peer: the address of the client; None at a Unix socket.
        client: the client, as applications see it.
        cycle: the request that has no whole response yet.
        unread: bytes of the last request's body that have not arrived; None if that is not known.
        shared: what it shares with others.
        flow: its receiving side.
        transport: its sending side.
    """

    loop: asyncio.AbstractEventLoop
    peer: tuple[str, int] | None
    client: Client
    cycle: Cycle | None
    unread: int | None
    shared: Connections
    flow: Intake
    transport: Outlet

    @property
    def guard(self) -> Guard:
        """What keeps it within its bounds."""

    def shutdown(self) -> None:
        """End it as soon as no request is lost."""

    def head_begun(self) -> bool:
        """Whether a part of a request's head has arrived, and not all of it."""


class Guard:
    """Keeps one connection within its bounds, and ends it with an answer where it leaves them.

    Args:
        protocol: the connection.
        left: done when it has ended.

    Attributes:
        refusal: why the connection is being ended; None while it is not. Nothing that arrives after it
            is looked at.
        ending: whether the next response is the connection's last, and says so (RFC 9112, section 9.6).
        unused: whether it has had no request yet.
        dropped: bytes of a body that were received after the response to it.
        timer: bounds the time for a request's head; None while none is expected.
    """

    def __init__(self, protocol: Protected, left: asyncio.Future[None]) -> None:
        self.refusal: Refusal | None = None
        self.ending = False
        self.unused = True
        self.dropped = 0
        self._left = left
        self._answered = False
        self._protocol = protocol
        self._shared = protocol.shared
        self.timer: asyncio.TimerHandle | None = None
        self._asking: asyncio.TimerHandle | None = None
        self._watched = -1

    # --- from the first byte to the last ---------------------------------------------------------------

    def connected(self, transport: asyncio.Transport) -> None:
        """There is a connection."""
        self._writing = Writing(transport)
        self._shared.idle[self._protocol] = self._protocol.loop.time()
        self.expect_head()

    def expect_head(self) -> None:
        """Give the client its time for a request's head, unless it is being timed already."""
        if self.timer is None:
            self.timer = self._protocol.loop.call_later(
                self._shared.timeouts.header, self._head_is_late
            )

    def head_complete(self) -> None:
        """Stop the time, if it runs."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def answering(self) -> bool:
        """Whether the last request of this connection still lacks its response."""
        return self._protocol.cycle is not None

    def is_between(self) -> bool:
        """Whether the next that is parsed is the beginning of a request."""
        return self._protocol.client.whole and self._protocol.cycle is None

    def broken(self) -> bool:
        """Whether a response has begun that is not whole."""
        return self._protocol.cycle is not None and self._protocol.cycle.started

    def response_begins(self, cycle: Cycle) -> None:
        """A response is about to begin: it is the last where the rest of its request is not received."""
        unread = self._protocol.unread
        is_large = unread is not None and unread > UNREAD_BODY
        # Nobody knows whether one who waits for a 100 will send the body or the next request.
        if cycle.awaits_continue or (is_large and not self._protocol.client.reads_on):
            cycle.keep_alive = False

    def parsed(self, size: int) -> None:
        """So many bytes of no request under way were parsed: time a head, or bound a body that nobody reads."""
        if self.refusal is not None:
            return
        self.expect_head()
        if not self._protocol.client.whole:
            self.dropped += size
            if self.dropped > UNREAD_BODY:
                self._shared.count(ConnectionEnd.UNREAD_BODY)
                self._protocol.transport.close()

    def lost(self) -> None:
        """The connection has ended: free all. An application that is not done yet hears of it by its `Client`."""
        for timer in (self.timer, self._asking):
            if timer is not None:
                timer.cancel()
        self._shared.idle.pop(self._protocol, None)
        self._shared.departures.forget(self._watched)
        self._protocol.flow.close()
        self._left.set_result(None)
        self._shared.on_lost()
        # What refers to itself stays until the collector comes upon it: tens of objects for each connection, which
        # a crowd of clients makes faster than its rare full collections find them.
        self.refusal = None
        del self._protocol

    # --- its end -------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Have the connection end after the next response that has not begun."""
        self.ending = True
        cycle = self._protocol.cycle
        if cycle is not None and not cycle.started:
            cycle.keep_alive = False

    def may_end(self) -> bool:
        """Whether the connection can be ended without losing a request, now that its server stops.

        Where it cannot, it ends by itself: after a response, or when its time is up.
        """
        if self._left.done():
            return False
        self.drain()
        if self.refusal is not None or self._protocol.transport.is_closing():
            return False
        if self._protocol.cycle is not None:
            self._protocol.cycle.keep_alive = False
            return False
        if self._protocol.head_begun() or self._unread():
            return False
        if self.unused:
            self.unused = False
            self._protocol.loop.call_later(FIRST_REQUEST, self._protocol.shutdown)
            return False
        return True

    def refuse(self, refusal: Refusal) -> None:
        """End the connection: after the response before, if one is under way, with a problem document."""
        self.head_complete()
        self.refusal = refusal
        self._shared.count(refusal.end)
        self._protocol.flow.drop()
        cycle = self._protocol.cycle
        if cycle is None:
            self.answer()
        elif not self._protocol.client.whole:
            # The body of the very request that is being answered is broken.
            cycle.disconnect()
            if cycle.started:
                self._protocol.transport.abort()
            else:
                self.answer()

    def more_to_come(self) -> bool:
        """Whether the client may be sending: the rest of a body, or requests that will not be answered."""
        return not self._protocol.client.whole or self._unread()

    def _unread(self) -> bool:
        """Whether something has arrived that has not been parsed."""
        if self._protocol.flow.waiting:
            return True
        connection = self._protocol.transport.get_extra_info("socket")
        if connection is None or connection.fileno() < 0:
            return False
        (size,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4)))
        return bool(size)

    # --- clients that are late -------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """End the connection if its client sends or takes nothing for too long. To be called every second.

        Args:
            now: the time, by the loop's clock.
        """
        protocol, timeouts = self._protocol, self._shared.timeouts
        if self._writing.stalled(now) > timeouts.write:
            self._end(ConnectionEnd.WRITE_TIMEOUT)
        elif protocol.transport.is_closing() or protocol.client.whole or protocol.flow.stopped:
            return
        elif protocol.cycle is not None and protocol.cycle.awaits_continue:
            protocol.flow.heard = now  # its time begins when it is told to go on
        elif now - protocol.flow.heard > timeouts.body:
            if self.answering():
                self.refuse(Refusal(BODY_LATE))
            else:
                self._end(ConnectionEnd.BODY_TIMEOUT)

    def _end(self, end: ConnectionEnd) -> None:
        self._shared.count(end)
        _log.info("connection ended", client=self._client_name(), reason=end.value)
        self._protocol.transport.abort()

    def _head_is_late(self) -> None:
        self.timer = None
        if self._protocol.flow.stopped:
            self.expect_head()  # it is this side that is late
        elif self._protocol.head_begun():
            self.refuse(Refusal(HEAD_LATE))
        else:
            self._protocol.transport.close()

    # --- clients that go away --------------------------------------------------------------------------------

    def watch(self) -> None:
        """Notice from now on when the client goes away, though the connection is not read."""
        connection = self._protocol.transport.get_extra_info("socket")
        if self._watched < 0 and connection is not None and connection.fileno() >= 0:
            self._watched = connection.fileno()
            self._shared.departures.watch(self._watched, self._gone, self._ask_later)

    def eof_received(self) -> bool:
        """The client sends no more: tell whether the connection stays open for what it may be waiting for."""
        self._protocol.flow.end()
        if self._is_awaited():
            self.watch()
            self._ask_later()
            return True
        self._protocol.transport.close()
        return False

    def dry(self) -> None:
        """All was parsed that the client has sent, and it sends no more."""
        if not self._is_awaited():
            self._protocol.transport.close()

    def _is_awaited(self) -> bool:
        """Whether a client that sends no more may be waiting for a response, which then is the last."""
        protocol = self._protocol
        if self.refusal is not None or protocol.transport.is_closing():
            return False
        if protocol.flow.waiting:
            return True
        if protocol.cycle is None or not protocol.client.whole:
            return False
        protocol.cycle.keep_alive = False
        return True

    def _gone(self) -> None:
        self._protocol.transport.abort()

    def _ask_later(self, seconds: float = ASK_AFTER) -> None:
        if self._asking is None:
            self._asking = self._protocol.loop.call_later(seconds, self._ask, seconds)

    def _ask(self, seconds: float) -> None:
        """Have the client's kernel answer with a reset if nobody waits there for a response.

        An interim response is all that may be sent before a final one. A client must understand it (RFC 9110,
        section 15.2). Not all do (nginx, undici), so it is kept for those who closed their sending half, or else
        are gone.
        """
        self._asking = None
        protocol = self._protocol
        cycle = protocol.cycle
        if cycle is None or protocol.transport.is_closing():
            return
        if cycle.scope["http_version"] != "1.0" and not cycle.started:
            protocol.transport.write(CONTINUE)
        self._ask_later(2 * seconds)

    # -----------------------------------------------------------------------------------------------------------

    def _client_name(self) -> str:
        peer = self._protocol.peer
        return UNIX if peer is None else peer[0]

    def answer(self) -> None:
        """Answer what was refused, if that has not been done."""
        protocol, refusal = self._protocol, self.refusal
        if refusal is None or self._answered or protocol.transport.is_closing():
            return
        self._answered = True
        identity = request_id({})
        problem = refusal.problem
        _log.info(
            "request refused",
            request_id=identity,
            client=self._client_name(),
            status=problem.status,
            reason=str(refusal.__cause__ or problem.title)[:MAX_REASON],
        )
        protocol.transport.write(_response(problem, identity))
        protocol.transport.linger()


def max_head(config: uvicorn.Config) -> int:
    """The bound of a request's line and headers, in bytes: uvicorn's setting for h11, used for both parsers."""
    size = config.h11_max_incomplete_event_size
    return ServerConfig().max_header_bytes if size is None else size


def _response(problem: Problem, identity: str) -> bytes:
    body = problem.body(identity)
    lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}".encode()]
    for name, value in (
        (b"date", formatdate(usegmt=True).encode()),
        *problem.headers(identity, len(body)),
        (b"connection", b"close"),
    ):
        lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join((*lines, b"", body))
