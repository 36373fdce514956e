"""One outbound request and its response.

An exchange is a task. It lives until both bodies have passed, but no longer than the guest holds on to the
response, in whatever form (`future-incoming-response`, `incoming-response`, `incoming-body`, `future-trailers`),
and never longer than its invocation. Where it ends early its connection is closed, and the guest's writes to the
request's body find it closed.

A task of its own sends the request's body while the response is read: a server may answer before it has all, or
refuse the rest. So a failure to send is not yet one of the exchange; what the server has said about it, or that it
has gone without a word, is for the reader to find.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Set
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

import h11
import structlog

from gateway.bindings.http.body import BodyAborted, IncomingContent, OutgoingContent
from gateway.bindings.http.fields import Fields
from gateway.bindings.http.outbound.connection import Connection
from gateway.bindings.http.outbound.failure import EgressDenied, OutboundFailure
from gateway.bindings.http.outbound.request import OutboundRequest, sendable_trailers
from gateway.bindings.io import Waiters
from gateway.host.values import Variant
from gateway.http.connection_options import connection_options

if TYPE_CHECKING:
    from gateway.bindings.http.outbound.connector import Connector
    from gateway.bindings.http.outbound.pool import Pool

__all__ = ["Exchange", "ExchangeOutcome", "ResponseHead", "outcome_of", "report"]

_log = structlog.get_logger("gateway.outbound")

ExchangeOutcome: TypeAlias = Literal["response", "refused", "failed", "cancelled"]
"""How a request ended: with a response, as far as the guest wanted it; by the component's policy; with an error,
before the end of the response; or nobody waited for the response any more. The values are stable: they are used as
metric labels."""


class ResponseHead(NamedTuple):
    """A response whose content may still come.

    Attributes:
        status: its status code.
        headers: its headers.
        content: its body.
        options: the fields that its `Connection` names: not the guest's, among its trailers neither.
    """

    status: int
    headers: Fields
    content: IncomingContent
    options: Set[bytes]


class Exchange:
    """A request under way.

    Args:
        request: the request.
        pool: the connections that are idle.
        connector: makes others.
        context: whose request it is, for the log.
        ended: called when it has ended.

    Attributes:
        result: the head of the response, or the `error-code` of its failure, once there is either.
        waiters: what to wake then.
        failure: why it has failed, if it has.
    """

    def __init__(
        self,
        request: OutboundRequest,
        pool: Pool,
        connector: Connector,
        context: Mapping[str, str],
        ended: Callable[[Exchange], None],
    ) -> None:
        self.result: ResponseHead | Variant | None = None
        self.waiters: Final = Waiters()
        self.failure: OutboundFailure | None = None
        self._request = request
        self._pool = pool
        self._connector = connector
        self._context = context
        self._ended = ended
        self._task = asyncio.get_running_loop().create_task(self._run())
        # Not in a `finally`, which a task never comes to that is cancelled before its first step.
        self._task.add_done_callback(self._finish)

    @property
    def outcome(self) -> ExchangeOutcome:
        """How it ended, once it has."""
        if self.failure is not None:
            return outcome_of(self.failure)
        return "response" if isinstance(self.result, ResponseHead) else "cancelled"

    def cancel(self) -> None:
        """End it, and close its connection unless it is complete. Never raises, and may be called again."""
        self._task.cancel()

    async def settled(self) -> ResponseHead | Variant:
        """Wait until there is a `result`."""
        while self.result is None:
            waiter = asyncio.get_running_loop().create_future()
            self.waiters.watch(waiter)
            await waiter
        return self.result

    async def wait(self) -> None:
        """Wait for its end."""
        await asyncio.wait((self._task,))

    async def _run(self) -> None:
        try:
            await self._converse()
        except OutboundFailure as failure:
            report(failure, self._request, self._context)
            self.failure = failure
            self._fail(failure.code)
        except Exception as error:
            self._report_bug()
            self.failure = OutboundFailure(Variant("internal-error"), repr(error))
            self._fail(self.failure.code)

    def _finish(self, _task: asyncio.Task[None]) -> None:
        # Only has an effect on what was cancelled.
        self._fail(Variant("connection-terminated"))
        if isinstance(self.result, ResponseHead):
            self.result.content.on_abandoned = None
        if self._request.content is not None:
            self._request.content.forsake()
        self._ended(self)

    async def _converse(self) -> None:
        request = self._request
        connection = self._pool.take(request.origin)
        if connection is not None:
            try:
                await self._use(connection)
            except OutboundFailure:
                # The server closed it just as the request was sent: RFC 9112 section 9.3.1.
                if not (connection.closed and request.repeatable) or connection.received:
                    raise
            else:
                return
        connection = await self._connector.connect(request.origin, request.timeouts.connect)
        await self._use(connection)

    async def _use(self, connection: Connection) -> None:
        request = self._request
        sender: asyncio.Task[None] | None = None
        try:
            if request.content is None:
                connection.send(request.head, h11.EndOfMessage())
            else:
                connection.send(request.head)
                sending = self._send(connection, request.content)
                sender = asyncio.get_running_loop().create_task(sending)
            head = await self._receive_head(connection)
            await self._receive_content(connection, head)
            if sender is not None and connection.stays_open:
                await sender
        finally:
            if sender is not None:
                sender.cancel()
            if connection.reusable:
                self._pool.put(request.origin, connection)
            else:
                connection.abort()

    async def _send(self, connection: Connection, content: OutgoingContent) -> None:
        try:
            while chunk := await content.chunk():
                connection.send(h11.Data(chunk))
                await connection.drain()
            trailers = sendable_trailers(self._request.head, content.trailers)
            if content.trailers is not None and len(trailers) < len(content.trailers.entries()):
                _log.debug(
                    "trailers not sent",
                    reason="only those go out that `Trailer` announces, after chunks",
                    **self._context,
                )
            connection.send(h11.EndOfMessage(headers=trailers))
        except BodyAborted:
            reason = "the component dropped the request's body without finishing it"
            connection.abort(OutboundFailure(Variant("HTTP-protocol-error"), reason))
        except OutboundFailure:
            content.forsake()
        except Exception as error:
            self._report_bug()
            connection.abort(OutboundFailure(Variant("internal-error"), repr(error)))

    async def _receive_head(self, connection: Connection) -> ResponseHead:
        seconds = self._request.timeouts.first_byte
        try:
            async with asyncio.timeout(seconds):
                response = await connection.head()
        except TimeoutError:
            raise _too_late("no response", seconds) from None
        options = connection_options(response.headers)
        head = ResponseHead(
            response.status_code,
            Fields.incoming(response.headers, options),
            IncomingContent(),
            options,
        )
        head.content.on_abandoned = self.cancel
        self._settle(head)
        return head

    async def _receive_content(self, connection: Connection, head: ResponseHead) -> None:
        content = head.content
        if self._request.head.method == b"CONNECT" and 200 <= head.status < 300:
            # What follows is not HTTP (RFC 9110 section 9.3.6), and nobody is there to speak it.
            content.end()
            return
        seconds = self._request.timeouts.between_bytes
        while True:
            try:
                async with asyncio.timeout(seconds):
                    received = await connection.content()
            except TimeoutError:
                raise _too_late("no more of the response", seconds) from None
            if not isinstance(received, bytes | bytearray):
                content.end(Fields.incoming(received, head.options) if received else None)
                return
            content.feed(received)
            await content.room()

    def _settle(self, result: ResponseHead | Variant) -> None:
        self.result = result
        self.waiters.wake()

    def _fail(self, code: Variant) -> None:
        if self.result is None:
            self._settle(code)
        elif isinstance(self.result, ResponseHead):
            self.result.content.fail(code)

    def _report_bug(self) -> None:
        _log.exception("gateway failed", origin=str(self._request.origin), **self._context)


def outcome_of(failure: OutboundFailure) -> ExchangeOutcome:
    """How a request ended that has failed."""
    return "refused" if isinstance(failure, EgressDenied) else "failed"


def report(failure: OutboundFailure, request: OutboundRequest, context: Mapping[str, str]) -> None:
    """Log why a request has failed, and whose it was. Its target stays unsaid: it may carry secrets."""
    described = {"origin": str(request.origin), **context}
    if isinstance(failure, EgressDenied):
        _log.warning("outbound request refused", rule=failure.reason, **described)
    else:
        error, reason = failure.code.case, failure.reason
        _log.info("outbound request failed", error=error, reason=reason, **described)


def _too_late(what: str, seconds: float) -> OutboundFailure:
    return OutboundFailure(Variant("connection-read-timeout"), f"{what} within {seconds:g} s")
