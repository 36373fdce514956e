"""One outbound request that a component of the gateway answers, in the process and without a connection.

What the caller writes of its request's body the callee reads of its own, and what the callee writes of its
response's body the caller reads: each side has room for as much as it has for a server or a client elsewhere, and
who writes waits for who reads. The callee is in a task of its own. Until its response has passed whole, it ends
with the exchange; from then on it may go on, as one may whose client has been answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol

from gateway.bindings.context import Caller
from gateway.bindings.http.body import BodyAborted, IncomingContent, OutgoingContent
from gateway.bindings.http.fields import Fields, HeaderError
from gateway.bindings.http.outbound.exchange import Exchange, ResponseHead, too_late
from gateway.bindings.http.outbound.failure import OutboundFailure
from gateway.bindings.http.outbound.request import OutboundRequest, sendable_trailers
from gateway.bindings.http.types import BODILESS, IncomingRequest, OutgoingResponse
from gateway.host.values import Variant
from gateway.http.connection_options import connection_options
from gateway.http.gateway_fields import RESERVED

__all__ = ["CLIENTS", "OUTGOING_HANDLER", "LinkedExchange", "LinkedHandler", "LinkedRequest"]

OUTGOING_HANDLER: Final = "wasi:http/outgoing-handler"
CLIENTS: Final = (OUTGOING_HANDLER, "wasi:http/client")
"""What components send requests by; those of WASI 0.3 have the second."""

_TERMINATED: Final = Variant("connection-terminated")
"""What there is of a request or a response whose other end has gone, as one reads it of a server or a client."""


class LinkedRequest(Protocol):
    """A request to a name, for the component that answers it.

    Attributes:
        on_left: called when nobody waits any more for a callee that may go on.
    """

    on_left: Callable[[], None]

    def make(self, kind: type[IncomingRequest], max_body: int | None) -> IncomingRequest:
        """Make the request as the callee has it, of a class, whose body has at most so many bytes."""

    def respond(self, response: OutgoingResponse | Variant) -> None:
        """Take what the callee has set as its response."""


class LinkedHandler(Protocol):
    """A component that answers requests to a name."""

    async def __call__(self, caller: Caller, request: LinkedRequest, /) -> None:
        """Have it answer one.

        Raises:
            OutboundFailure: it was not called, or has not come to its end.
        """


class LinkedExchange(Exchange):
    """A request to a component of the gateway.

    Args:
        request: as of `Exchange`.
        context: ditto.
        ended: ditto.
        handler: what answers it.
        caller: on whose behalf.
    """

    _callee: asyncio.Task[OutboundFailure | None]

    def __init__(
        self,
        request: OutboundRequest,
        context: Mapping[str, str],
        ended: Callable[[Exchange], None],
        *,
        handler: LinkedHandler,
        caller: Caller,
    ) -> None:
        self._content = IncomingContent()
        self._max_body: int | None = None
        self._responded: asyncio.Future[OutgoingResponse | Variant] = asyncio.Future()
        self._sender: asyncio.Task[None] | None = None
        self._broken: OutboundFailure | None = None
        self._is_passed = False
        self.on_left: Callable[[], None] = lambda: None
        self._answering = partial(_answer, handler, caller, self)
        super().__init__(request, context, ended)

    def cancel(self) -> None:
        """`Exchange.cancel`: a callee whose response has passed hears that its client has gone, and goes on."""
        if not self._is_passed:
            super().cancel()
            return
        if self._sender is not None:
            self._sender.cancel()
        self._content.fail(_TERMINATED)
        self.on_left()

    async def _converse(self) -> None:
        self._callee = asyncio.create_task(self._answering())
        try:
            head, content = self._head(await self._response())
            await self._pass(head, content)
            self._is_passed = True
            head.content.on_abandoned = None
            await asyncio.wait((self._callee,))
            if not self._callee.cancelled():
                self._callee.result()
        finally:
            tasks = [task for task in (self._callee, self._sender) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    # --- the request ---------------------------------------------------------------------------------------

    def make(self, kind: type[IncomingRequest], max_body: int | None) -> IncomingRequest:
        """`LinkedRequest.make`."""
        request = self._request
        head, self._max_body = request.head, max_body
        if request.content is None:
            self._content.end()
        else:
            self._sender = asyncio.create_task(self._send(request.content))
        headers = list(head.headers)
        return kind(
            method=head.method.decode(),
            path_with_query=head.target.decode(),
            scheme=request.origin.scheme,
            authority=next(value.decode() for name, value in headers if name == b"host"),
            headers=headers,
            content=self._content,
        )

    async def _send(self, source: OutgoingContent) -> None:
        received = 0
        try:
            while chunk := await source.chunk():
                received += len(chunk)
                if self._max_body is not None and received > self._max_body:
                    code = Variant("HTTP-request-body-size", self._max_body)
                    raise OutboundFailure(code, f"larger than {self._max_body} bytes (max_body)")
                self._content.feed(chunk)
                await self._content.room()
            trailers = sendable_trailers(self._request.head, source.trailers)
            self._content.end(Fields.incoming(trailers, RESERVED) if trailers else None)
        except BodyAborted:
            reason = "the component dropped the request's body without finishing it"
            self._break(OutboundFailure(Variant("HTTP-protocol-error"), reason))
        except OutboundFailure as failure:
            self._break(failure)

    def _break(self, failure: OutboundFailure) -> None:
        """The request will never be whole: the callee ends, unless it has answered."""
        self._content.fail(_TERMINATED)
        if not self._is_passed:
            self._broken = failure
            self._callee.cancel()

    # --- the response --------------------------------------------------------------------------------------

    def respond(self, response: OutgoingResponse | Variant) -> None:
        """`LinkedRequest.respond`."""
        if not self._responded.done():
            self._responded.set_result(response)

    async def _response(self) -> OutgoingResponse:
        seconds = self._request.timeouts.first_byte
        either = (self._callee, self._responded)
        done, _ = await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise too_late("no response", seconds)
        if not self._responded.done():
            raise self._why("no response", _TERMINATED)
        response = self._responded.result()
        if isinstance(response, OutgoingResponse):
            return response
        code = Variant(response.case, _without_words(response.payload))
        raise OutboundFailure(code, f"the component has set this error: {response}")

    def _head(self, response: OutgoingResponse) -> tuple[ResponseHead, OutgoingContent | None]:
        """The head of a response, and the body that follows, if one does."""
        content = response.content
        bodiless = self._request.head.method == b"HEAD" or response.status in BODILESS
        if bodiless and content is not None:
            content.forsake()
            content = None
        try:
            announced = response.headers.content_length()
            headers = response.headers.asgi()
        except HeaderError:
            raise _unusable("its headers contradict each other about content-length") from None
        if not 200 <= response.status <= 599:
            raise _unusable(f"status {response.status} is not that of a final response")
        if content is None and announced and not bodiless:
            raise _unusable(f"its headers announce {announced} bytes of content, and it has none")
        options = connection_options(headers)
        fields = Fields.incoming(headers, options)
        return ResponseHead(response.status, fields, IncomingContent(), options), content

    async def _pass(self, head: ResponseHead, content: OutgoingContent | None) -> None:
        head.content.on_abandoned = self.cancel
        self._settle(head)
        if content is None:
            head.content.end()
            return
        # One that has not ended by then never will.
        self._callee.add_done_callback(lambda _: content.abort())
        seconds = self._request.timeouts.between_bytes
        while True:
            try:
                async with asyncio.timeout(seconds):
                    chunk = await content.chunk()
            except TimeoutError:
                raise too_late("no more of the response", seconds) from None
            except BodyAborted:
                incomplete = Variant("HTTP-response-incomplete")
                raise self._why("its response has not ended", incomplete) from None
            if not chunk:
                break
            head.content.feed(chunk)
            await head.content.room()
        trailers = None
        if content.trailers is not None:
            raw = [(name.encode(), value) for name, value in content.trailers.entries()]
            trailers = Fields.incoming(raw, head.options)
        head.content.end(trailers)

    def _why(self, otherwise: str, code: Variant) -> OutboundFailure:
        """What to raise for a response that is not there, or not whole, of a callee that has let go of it."""
        if self._broken is not None:
            return self._broken
        callee = self._callee
        if not callee.done() or callee.cancelled() or (failure := callee.result()) is None:
            return OutboundFailure(code, otherwise)
        if self._responded.done():
            return OutboundFailure(code, failure.reason)
        return failure


async def _answer(
    handler: LinkedHandler, caller: Caller, request: LinkedRequest
) -> OutboundFailure | None:
    """Have a component answer; gives its failure, which nobody may ask for."""
    try:
        await handler(caller, request)
    except OutboundFailure as failure:
        return failure
    return None


def _without_words(payload: Any) -> Any:
    """That of an `error-code`, in which all text is optional: what a callee says in words is for the log."""
    if isinstance(payload, dict):
        return {name: _without_words(field) for name, field in payload.items()}
    return None if isinstance(payload, str) else payload


def _unusable(reason: str) -> OutboundFailure:
    return OutboundFailure(Variant("HTTP-protocol-error"), f"its response is unusable: {reason}")
