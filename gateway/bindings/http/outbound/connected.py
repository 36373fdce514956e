"""One outbound request that goes to a server, over a connection.

A task of its own sends the request's body while the response is read: a server may answer before it has all, or
refuse the rest. So a failure to send is not yet one of the exchange; what the server has said about it, or that it
has gone without a word, is for the reader to find.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import h11
import structlog

from gateway.bindings.http.body import BodyAborted, IncomingContent, OutgoingContent
from gateway.bindings.http.fields import Fields
from gateway.bindings.http.outbound.connection import Connection
from gateway.bindings.http.outbound.exchange import Exchange, ResponseHead, too_late
from gateway.bindings.http.outbound.failure import OutboundFailure
from gateway.bindings.http.outbound.request import OutboundRequest, sendable_trailers
from gateway.host.values import Variant
from gateway.http.connection_options import connection_options

if TYPE_CHECKING:
    from gateway.bindings.http.outbound.connector import Connector
    from gateway.bindings.http.outbound.pool import Pool

__all__ = ["ConnectedExchange"]

_log = structlog.get_logger("gateway.outbound")


class ConnectedExchange(Exchange):
    """A request to a server.

    Args:
        request: as of `Exchange`.
        context: ditto.
        ended: ditto.
        pool: the connections that are idle.
        connector: makes others.
    """

    def __init__(
        self,
        request: OutboundRequest,
        context: Mapping[str, str],
        ended: Callable[[Exchange], None],
        *,
        pool: Pool,
        connector: Connector,
    ) -> None:
        self._pool = pool
        self._connector = connector
        super().__init__(request, context, ended)

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
            raise too_late("no response", seconds) from None
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
                raise too_late("no more of the response", seconds) from None
            if not isinstance(received, bytes | bytearray):
                content.end(Fields.incoming(received, head.options) if received else None)
                return
            content.feed(received)
            await content.room()
