"""One HTTP request and the response that a component gives to it.

The task that the server runs the application in drives the guest. Most guests that only compute are done
before they ever wait: their response is sent in one go. For one that waits, two more tasks move bytes, as
fast as the guest and the client let them: one feeds the request's body to the guest (and notices when the
client goes away), one sends the response as soon as there is one, while the guest goes on.

Whatever ends the guest, the client gets a whole response, a problem document, or a broken connection; never
a response that looks whole and is not. What holds at every await:

- `request.status` is 0 until a response begins, and never again: who is to answer looks at it first.
- `_complete` is set before the last message is sent, not after: without it, the connection is broken in the end.
- `_client_left` says that nobody is there to notice, so nothing has to be broken.
- The guest runs in one task only, that of the server. The other two never touch it, but stop it.

Source: `wasi:http@0.2.12`, `handler.wit` and `types.wit`; the ASGI specification, version 3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import structlog

from gateway.bindings.http.body import BodyAborted, IncomingContent
from gateway.bindings.http.error_code import CASES
from gateway.bindings.http.fields import Fields, HeaderError
from gateway.bindings.http.types import (
    BODILESS,
    IncomingRequest,
    OutgoingResponse,
    ResponseOutparam,
)
from gateway.bindings.p3 import http as p3
from gateway.host.linker import Export
from gateway.host.values import Variant
from gateway.http import problem
from gateway.http.problem import Problem
from gateway.http.request_id import HEADER as REQUEST_ID
from gateway.observe.events import (
    Cancelled,
    HttpIncomingHandlerHandleReturned,
    Outcome,
    Rejected,
    outcome_of,
)
from gateway.routes import date
from gateway.routes.request import SERVER_TIMING, Request, server_timing
from gateway.serving.admission import Place
from gateway.serving.call import Call
from gateway.serving.service import Service

__all__ = ["Exchange", "ResponseAborted"]

_log = structlog.get_logger("gateway.http")

_TRAILERS: Final = "http.response.trailers"
"""The extension of ASGI by which some servers send trailers (uvicorn has none), and its message."""


_NOT_THE_GUESTS: Final = frozenset((REQUEST_ID, date.FIELD))
"""Fields that a guest's response loses: the id of the request is ours to tell, and the date the server's, unless
that leaves it to the application (`gateway.routes.date`)."""


PROBLEMS: Final = {
    Outcome.DEADLINE: problem.DEADLINE,
    Outcome.CPU_TIME: problem.CPU_TIME,
    Outcome.EXHAUSTED: problem.OVERLOADED,
    Outcome.REJECTED: problem.CONTENT_TOO_LARGE,
    Outcome.TRAP: problem.COMPONENT_FAILED,
    Outcome.ERR: problem.COMPONENT_FAILED,
    Outcome.CANCELLED: problem.STOPPING,  # who left is told nothing
    Outcome.FAILED: problem.GATEWAY_FAILED,
}
"""What a client is told where no response has begun."""


class ResponseAborted(Exception):
    """A response had begun and will never be whole: the server must break the connection."""


class Exchange:
    """A request under way, and the response that a component gives to it.

    Args:
        service: the component that answers.
        handler: its `wasi:http/incoming-handler`.
        request: the request.
        place: the place of the invocation among those in flight.
        route: the route that led here.
        target: the request target, as the component sees it.
        told: fields that the gateway adds to those of the request (`gateway.http.gateway_fields`).
    """

    def __init__(
        self,
        service: Service,
        handler: Export,
        request: Request,
        *,
        place: Place,
        route: str,
        target: str,
        told: Sequence[tuple[str, bytes]],
    ) -> None:
        self._request = request
        self._server_timing = service.server_timing
        self._max_body = service.config.max_body
        self._content = IncomingContent()
        self._incoming = self._incoming_request(
            p3.Request if service.linked.component.concurrent else IncomingRequest, target, told
        )
        self._extensions = request.scope.get("extensions") or {}
        self._response: OutgoingResponse | Variant | None = None
        self._responded: asyncio.Future[None] | None = None
        self._unusable = False
        self._complete = False
        self._client_left = False
        self._client = request.client
        self._call = Call(
            service,
            handler,
            (self._incoming, ResponseOutparam(self._respond)),
            place=place,
            event=HttpIncomingHandlerHandleReturned,
            request_id=request.id,
            trace=request.trace,
            route=route,
            lane=self._client.lane,
        )

    async def run(self) -> None:
        """Have the component answer.

        Raises:
            ResponseAborted: the response had begun and is not whole.
            asyncio.CancelledError: the server gave the request up.
        """
        request = self._request
        # Until something else is known: the server may cancel any await.
        request.outcome = Outcome.CANCELLED
        with self._call as call:
            failure: BaseException | None = None
            try:
                if not call.invocation.has_turn:
                    await call.turn(self._client.left)
                finished = call.invocation.begin()
            except Exception as error:
                failure, finished = error, True
            if not finished:
                failure = await self._run()
            # The guest's memory is free by now: a client that takes its time keeps none of it.
            if failure is not None:
                call.report(failure)
            try:
                if request.status == 0 and not isinstance(failure, Cancelled):
                    await self._conclude(failure)
            except OSError:  # ASGI, "Disconnected Client": what `send` may raise then
                self._client_left = True
            finally:
                call.outcome = request.outcome = outcome_of(failure, answered=self._is_answered())
                call.bytes_out = request.sent
        # Only now, when the event is sent: whoever breaks the connection may not come back here.
        if request.status != 0 and not self._complete and not self._client_left:
            raise ResponseAborted

    # --- the guest -----------------------------------------------------------------------------------------

    def _incoming_request(
        self, message: type[IncomingRequest], target: str, told: Sequence[tuple[str, bytes]]
    ) -> IncomingRequest:
        request, scope = self._request, self._request.scope
        # Whether it is certain before anything is received (RFC 9112 section 6.3) that there is no body.
        if (
            scope["http_version"] in {"1.0", "1.1"}
            and b"transfer-encoding" not in request.lines
            and set(request.lines.get(b"content-length", ())) <= {b"0"}
        ):
            self._content.end()
        return message(
            method=scope["method"],
            path_with_query=target,
            scheme=request.origin.scheme,
            authority=request.origin.authority,
            headers=scope["headers"],
            told=told,
            content=self._content,
        )

    def _respond(self, response: OutgoingResponse | Variant) -> None:
        # Once: the guest gives its `response-outparam` away. Before it waits, there is nobody to wake.
        self._response = response
        if self._responded is not None:
            self._responded.set_result(None)

    async def _run(self) -> BaseException | None:
        """Drive a guest that waits, with the bytes of both bodies moving; returns what ended it, if not itself."""
        left = self._client.left
        if left is not None:
            left.add_done_callback(self._make_room)
        pump = asyncio.create_task(self._move(self._pump_request))
        sender = asyncio.create_task(self._move(self._send_when_set))
        failure: BaseException | None = None
        try:
            try:
                await self._call.run()
            except Exception as error:
                failure = error
            # The guest is gone. A response that has begun goes on if all of it was written, until it
            # is sent or the client leaves.
            if self._request.status != 0 and (
                failure is None or self._complete or self._is_whole()
            ):
                await asyncio.wait((sender, pump), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if left is not None:
                left.remove_done_callback(self._make_room)
            # Both have ended when this returns: what is left to send, `run` sends alone.
            for task in (pump, sender):
                task.cancel()
            results = await asyncio.gather(pump, sender, return_exceptions=True)
        # What a task failed with is why the guest was cancelled (`_move`). Where it trapped, that counts.
        for result in results:
            if isinstance(result, Exception) and isinstance(failure, Cancelled | None):
                failure = result
        return failure

    async def _move(self, move: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run what moves one of the bodies; stop the guest if that fails, or it would wait for bytes to move."""
        try:
            # Made here: of a task that is cancelled before it begins, what it was given would never be awaited.
            await move()
        except OSError:  # ASGI, "Disconnected Client": what `send` may raise then
            self._client_left = True
            self._call.stop(Cancelled("the client went away"))
        except Exception:
            self._call.stop(Cancelled("the server failed"))
            raise

    # --- the request's body --------------------------------------------------------------------------------

    async def _pump_request(self) -> None:
        """Feed the body to the guest as it reads, until the client goes away; stop the guest if it is too much."""
        content, max_body = self._content, self._max_body
        received = 0
        while (message := await self._request.receive())["type"] != "http.disconnect":
            body = message.get("body", b"")
            received += len(body)
            self._call.bytes_in = received
            if max_body is not None and received > max_body:
                # `feed` drops all from here on: no guest sees what is beyond the bound.
                content.discard()
                self._call.stop(Rejected(f"the request body is larger than {max_body} bytes"))
            content.feed(body)
            if message.get("more_body", False):
                # Not received before there is room: so the server stops to read, and the client to send.
                await content.room()
            else:
                content.end()
        content.fail(Variant("connection-terminated"))
        # A server also says so once the response is complete, and then the guest may go on.
        if not self._complete:
            self._client_left = True
            self._call.stop(Cancelled("the client went away"))

    def _make_room(self, _left: asyncio.Future[None]) -> None:
        """Have what is pumped go on to where it hears that the client went away."""
        self._content.discard()

    # --- the response --------------------------------------------------------------------------------------

    async def _send_when_set(self) -> None:
        if self._response is None:
            self._responded = asyncio.get_running_loop().create_future()
            await self._responded
        response = self._response
        if isinstance(response, OutgoingResponse):
            await self._send_response(response)
        else:
            await self._conclude(None)

    async def _send_response(self, response: OutgoingResponse) -> None:
        content = response.content
        bodiless = self._is_bodiless(response)
        # Whether the server will be given trailers, as far as it is known by now.
        trailing = (
            _TRAILERS in self._extensions
            and not bodiless
            and content is not None
            and (not content.ended or content.trailers is not None)
        )
        head = self._head(response, bodiless=bodiless, trailing=trailing)
        if content is not None and (isinstance(head, str) or bodiless):
            content.forsake()
            content = None
        if isinstance(head, str):
            await self._fail(head)
            return
        # Whether the guest has the body, and has not let go of it.
        if self._incoming.content is None and not self._content.abandoned:
            self._client.reads_on = True
        self._request.status = response.status
        start = {"type": "http.response.start", "status": response.status, "headers": head}
        if trailing:
            start["trailers"] = True
        await self._request.send(start)
        if content is None:
            await self._send_last(b"")
            return
        while True:
            try:
                chunk = content.take() if content.ended else await content.chunk()
            except BodyAborted:
                return
            if content.ended:
                await self._send_last(chunk)
                if trailing:
                    await self._send_trailers(content.trailers)
                elif content.trailers is not None:
                    _log.debug(
                        "trailers not sent", reason="the server carries none", **self._call.context
                    )
                return
            self._request.sent += len(chunk)
            await self._request.send(
                {"type": "http.response.body", "body": chunk, "more_body": True}
            )

    def _head(
        self, response: OutgoingResponse, *, bodiless: bool, trailing: bool
    ) -> list[tuple[bytes, bytes]] | str:
        """The headers to send, or what is wrong with the response."""
        content = response.content
        if not 200 <= response.status <= 599:
            return f"status {response.status} cannot be sent as that of a final response"
        try:
            announced = (
                response.headers.content_length() if content is None else content.content_length
            )
            headers = response.headers.asgi()
        except HeaderError:
            return "its headers contradict each other about content-length"
        if response.status in BODILESS:
            # In a 204 it is forbidden, in a 304 optional (RFC 9110 section 8.6), and uvicorn takes it for a
            # promise of content. A 205 has none, but no reader of HTTP knows that by its status.
            headers = [header for header in headers if header[0] != b"content-length"]
            if response.status == 205:
                headers.append((b"content-length", b"0"))
        elif not bodiless:
            if content is None and announced:
                return f"its headers announce {announced} bytes of content, and it has none"
            # Where it is known by now, and trailers need no chunks to follow.
            if announced is None and not trailing and (content is None or content.ended):
                length = 0 if content is None else content.written
                headers.append((b"content-length", b"%d" % length))
        for name, _ in headers:
            if name in _NOT_THE_GUESTS:
                headers = self._granted(headers)
                break
        headers.append((REQUEST_ID, self._request.id.encode()))
        if self._server_timing:
            headers.append((SERVER_TIMING, server_timing(self._call.phases)))
        return headers

    def _granted(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The headers of a response without those that the guest may not set."""
        dropped = _NOT_THE_GUESTS
        if date.EXTENSION in self._extensions:
            dropped -= {date.FIELD}
        return [header for header in headers if header[0] not in dropped]

    async def _send_trailers(self, trailers: Fields | None) -> None:
        headers = [] if trailers is None else trailers.asgi()
        await self._request.send({"type": _TRAILERS, "headers": headers, "more_trailers": False})

    async def _send_last(self, chunk: bytes) -> None:
        # Set first: the server may call the client gone as soon as it has the last message.
        self._complete = True
        self._request.sent += len(chunk)
        await self._request.send({"type": "http.response.body", "body": chunk})

    async def _send_problem(self, what: Problem) -> None:
        self._complete = True
        await self._request.refuse(what)

    def _is_bodiless(self, response: OutgoingResponse) -> bool:
        """Whether the response has no content, whatever the guest wrote."""
        return self._request.scope["method"] == "HEAD" or response.status in BODILESS

    def _is_whole(self) -> bool:
        """Whether there is a response with nothing left for the guest to add."""
        response = self._response
        return isinstance(response, OutgoingResponse) and (
            response.content is None or response.content.ended or self._is_bodiless(response)
        )

    def _is_answered(self) -> bool:
        """Whether the guest has given a response that the client could have had in full."""
        return (
            isinstance(self._response, OutgoingResponse)
            and not self._unusable
            and (self._complete or self._is_whole())
        )

    async def _conclude(self, failure: BaseException | None) -> None:
        """Answer where no answer has begun: the guest has ended, or has set an error."""
        response = self._response
        if isinstance(response, OutgoingResponse):
            if self._is_whole():
                await self._send_response(response)
            elif failure is None:
                await self._fail("its response's body was dropped unfinished")
            else:
                await self._send_problem(PROBLEMS[outcome_of(failure, answered=False)])
        elif response is not None:
            _log.warning("component set an error", error=str(response), **self._call.context)
            await self._send_problem(problem.component_error(CASES[response.case].status_code))
        elif failure is not None:
            await self._send_problem(PROBLEMS[outcome_of(failure, answered=False)])
        else:
            _log.error("guest never invoked `response-outparam::set` method", **self._call.context)
            await self._send_problem(problem.NO_RESPONSE)

    async def _fail(self, reason: str) -> None:
        self._unusable = True
        _log.error("response unusable", reason=reason, **self._call.context)
        await self._send_problem(problem.COMPONENT_FAILED)
