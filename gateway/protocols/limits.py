"""What a connection may cost before there is a request, and how one that costs more is ended."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import structlog
import uvicorn

from gateway.config import ServerConfig
from gateway.routes.problem import Problem
from gateway.routes.request_id import request_id

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    AnyProtocol = H11Protocol | HttpToolsProtocol

__all__ = [
    "FIRST_REQUEST",
    "HEAD_TIMEOUT",
    "LINE_OVERHEAD",
    "MALFORMED",
    "NOT_IMPLEMENTED",
    "Guard",
    "Refusal",
    "max_head",
]

_log = structlog.get_logger("gateway.server")

HEAD_TIMEOUT: Final = 30.0
"""Seconds for a request's line and headers to arrive. Threat: connections held open by a byte now and then
("slowloris"). Precedent: `header_read_timeout` of hyper."""

LINGER: Final = 2.0
"""Seconds in which a client may go on sending after its request was refused. Closed at once, the kernel
answers what is still unread with a reset, and the client never sees why. Precedent: `SECONDS_TO_LINGER` of
Apache httpd."""

MAX_REASON: Final = 200
"""Characters of a parser's complaint that are logged: h11's quote all of a line that it refuses."""

FIRST_REQUEST: Final = 1.0
"""Seconds that a connection without any request may stay when its server stops. A proxy that connects sends its
request at once, so a new connection has one on its way; one that was opened for later must not hold up the stop.
Arbitrary: a few round trips around the world."""

LINE_OVERHEAD: Final = 4
"""Bytes of a header line besides name and value: a colon, a space, CR and LF."""

MALFORMED: Final = Problem(
    kind="malformed-request",
    status=400,
    title="The request is not valid HTTP",
    detail="The server could not read it as a message of HTTP/1.1.",
)

TIMEOUT: Final = Problem(
    kind="request-timeout",
    status=408,
    title="The request took too long to arrive",
    detail="Its headers were not complete in time. Send it again.",
)

NOT_IMPLEMENTED: Final = Problem(
    kind="not-implemented",
    status=501,
    title="The server cannot do this",
    detail="It supports neither CONNECT nor transfer codings other than chunked.",
)


class Refusal(Exception):
    """What was received is no request that an application could answer.

    Attributes:
        problem: what the client is told.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class Guard:
    """Keeps one connection within its bounds, and ends it with an answer where it leaves them.

    Args:
        protocol: the connection.
        head_begun: whether a part of a request's head has arrived.
        timeout: seconds for a head to arrive.

    Attributes:
        refusal: why the connection is being ended; None while it is not. Nothing that arrives after it
            is looked at.
        ending: whether the next response is the connection's last, and says so (RFC 9112, section 9.6).
    """

    def __init__(
        self, protocol: AnyProtocol, head_begun: Callable[[], bool], timeout: float
    ) -> None:
        self.refusal: Refusal | None = None
        self.ending = False
        self._answered = False
        self._unused = True
        self._protocol = protocol
        self._head_begun = head_begun
        self._timeout = timeout
        self._timer: asyncio.TimerHandle | None = None

    def expect_head(self) -> None:
        """Give the client its time for a request's head, unless it is being timed already."""
        if self._timer is None:
            self._timer = self._protocol.loop.call_later(self._timeout, self._head_is_late)

    def head_complete(self) -> None:
        """Stop the time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def answering(self) -> bool:
        """Whether the last request of this connection still lacks its response."""
        cycle = self._protocol.cycle
        return cycle is not None and not cycle.response_complete

    def begin(self) -> None:
        """A request has been received."""
        self._unused = False
        self._end_after_next()

    def _end_after_next(self) -> None:
        if self.ending and self.answering() and not self._protocol.cycle.response_started:
            self._protocol.cycle.keep_alive = False

    def drain(self) -> None:
        """Have the connection end after the next response that has not begun."""
        self.ending = True
        self._end_after_next()

    def may_end(self) -> bool:
        """Whether the connection can be ended without losing a request, now that its server stops.

        Where it cannot, it ends by itself: after a response, or when its time is up.
        """
        self.drain()
        if self.refusal is not None or self._protocol.transport.is_closing():
            return False
        if self.answering():
            self._protocol.cycle.keep_alive = False
            return False
        if self._head_begun() or self._unread():
            return False
        if self._unused:
            self._unused = False
            self._protocol.loop.call_later(FIRST_REQUEST, self._protocol.shutdown)
            return False
        return True

    def refuse(self, refusal: Refusal) -> None:
        """End the connection: after the response before, if one is under way, with a problem document."""
        self.head_complete()
        self.refusal = refusal
        cycle = self._protocol.cycle
        if not self.answering():
            self._answer()
        elif cycle.more_body:
            # The body of the very request that is being answered is broken.
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started or getattr(self._protocol, "pipeline", None):
                self._protocol.transport.abort()
            else:
                self._answer()

    def response_complete(self) -> None:
        """Give the answer that waited for the responses before it."""
        if self.refusal is not None and not self.answering():
            self._answer()

    def _unread(self) -> bool:
        """Whether something has arrived that the loop has not read yet."""
        connection = self._protocol.transport.get_extra_info("socket")
        if connection is None or connection.fileno() < 0:
            return False
        (size,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4)))
        return bool(size)

    def _head_is_late(self) -> None:
        self._timer = None
        if self._protocol.flow.read_paused:
            self.expect_head()  # it is this side that is late
        elif self._head_begun():
            self.refuse(Refusal(TIMEOUT))
        else:
            self._protocol.transport.close()

    def _answer(self) -> None:
        protocol, refusal = self._protocol, self.refusal
        if refusal is None or self._answered or protocol.transport.is_closing():
            return
        self._answered = True
        identity = request_id(())
        problem = refusal.problem
        _log.info(
            "request refused",
            request_id=identity,
            client=protocol.client and protocol.client[0],
            status=problem.status,
            reason=str(refusal.__cause__ or problem.title)[:MAX_REASON],
        )
        protocol._unset_keepalive_if_required()
        protocol.flow.resume_reading()
        protocol.transport.write(_response(problem, identity))
        protocol.transport.write_eof()
        self._timer = protocol.loop.call_later(LINGER, protocol.transport.abort)


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
