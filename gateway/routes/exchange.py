"""One HTTP request and the response that a component gives to it.

The task that the server runs the application in drives the guest. Most guests that only compute are done
before they ever wait: their response is sent in one go. For one that waits, two more tasks move bytes, as
fast as the guest and the client let them: one feeds the request's body to the guest (and notices when the
client goes away), one sends the response as soon as there is one, while the guest goes on.

Whatever ends the guest, the client gets a whole response, a problem document, or a broken connection; never
a response that looks whole and is not.

Source: `wasi:http@0.2.12`, `handler.wit` and `types.wit`; the ASGI specification, version 3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import structlog
from starlette.types import Receive, Scope, Send

from gateway.bindings.body import BodyAborted, IncomingContent
from gateway.bindings.error_code import CASES
from gateway.bindings.fields import Fields, HeaderError
from gateway.bindings.http import (
    IncomingRequest,
    OutgoingResponse,
    ResponseOutparam,
    method_variant,
    scheme_variant,
)
from gateway.bindings.stdio import LineOutput
from gateway.events import Cancelled, Outcome, Rejected, outcome_of
from gateway.host.errors import DeadlineExceeded, Exhausted, Exit, Trap
from gateway.host.invocation import Invocation
from gateway.host.values import Variant
from gateway.routes import problem
from gateway.routes.forwarded import Origin
from gateway.routes.problem import Problem, send_problem
from gateway.routes.request_id import HEADER as REQUEST_ID
from gateway.routes.target import target_of
from gateway.service import Service

__all__ = ["Exchange", "ResponseAborted"]

_log = structlog.get_logger("gateway.http")

_BODILESS: Final = frozenset((204, 304))
"""Statuses whose responses have no content (RFC 9110 sections 15.3.5 and 15.4.5)."""

_TRAILERS: Final = "http.response.trailers"
"""The extension of ASGI by which some servers send trailers (uvicorn has none), and its message."""

_OURS: Final = frozenset((REQUEST_ID, b"date"))
"""Fields that a guest's response loses: the id of the request is ours to tell, and the server dates its
responses itself (RFC 9110 section 6.6.1)."""


class ResponseAborted(Exception):
    """A response had begun and will never be whole: the server must break the connection."""


class Exchange:
    """A request under way.

    Args:
        service: the component that answers.
        scope: the ASGI scope of the request.
        receive: its messages.
        send: where the response goes.
        origin: where the request comes from.
        request_id: its id.

    Attributes:
        status: the status code that was sent; 0 before.
        sent: how many bytes of content were sent.
        outcome: how the invocation ended.
    """

    def __init__(
        self,
        service: Service,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        origin: Origin,
        request_id: str,
    ) -> None:
        self.status = 0
        self.sent = 0
        self.outcome = Outcome.CANCELLED
        self._service = service
        self._scope = scope
        self._receive = receive
        self._send = send
        self._origin = origin
        self._request_id = request_id
        self._wasi = service.grants.context(request_id, self._write_output)
        self._request_content = IncomingContent()
        self._response: OutgoingResponse | Variant | None = None
        self._responded: asyncio.Future[None] | None = None
        self._unusable = False
        self._complete = False
        self._client_left = False
        self._output: LineOutput | None = None

    async def run(self) -> None:
        """Have the component answer.

        Raises:
            ResponseAborted: the response had begun and is not whole.
            asyncio.CancelledError: the server gave the request up.
        """
        invocation = self._invocation()
        failure: BaseException | None = None
        try:
            try:
                finished = invocation.start()
            except Exception as error:
                failure, finished = error, True
            if not finished:
                failure = await self._run(invocation)
        finally:
            invocation.close()
            self._wasi.close()
            if self._output is not None:
                self._output.close()
        if failure is not None:
            self._report(failure)
        try:
            if self.status == 0 and not isinstance(failure, Cancelled):
                await self._conclude(failure)
        except OSError:  # ASGI, "Disconnected Client": what `send` may raise then
            self._client_left = True
        finally:
            self.outcome = outcome_of(failure, answered=self._is_answered())
        if self.status != 0 and not self._complete and not self._client_left:
            raise ResponseAborted

    # --- the guest -----------------------------------------------------------------------------------------

    def _invocation(self) -> Invocation:
        if self._has_no_body():
            self._request_content.end()
        service = self._service
        config = service.config
        return Invocation(
            service.handler,
            (self._incoming_request(), ResponseOutparam(self._respond)),
            self._wasi,
            max_memory=config.max_memory,
            max_execution_time=config.max_execution_time,
        )

    def _incoming_request(self) -> IncomingRequest:
        scope = self._scope
        return IncomingRequest(
            method=method_variant(scope["method"]),
            path_with_query=target_of(scope),
            scheme=scheme_variant(self._origin.scheme),
            authority=self._origin.authority,
            headers=Fields.incoming(scope["headers"]),
            content=self._request_content,
        )

    def _has_no_body(self) -> bool:
        """Whether it is certain before anything is received (RFC 9112 section 6.3) that there is none."""
        if self._scope["http_version"] not in {"1.0", "1.1"}:
            return False
        return not any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in self._scope["headers"]
        )

    def _respond(self, response: OutgoingResponse | Variant) -> None:
        self._response = response
        if self._responded is not None:
            self._responded.set_result(None)

    def _write_output(self, stream: str, data: bytes) -> None:
        if self._output is None:
            self._output = LineOutput(self._log_output)
        self._output(stream, data)

    def _log_output(self, stream: str, line: str) -> None:
        _log.info("guest output", stream=stream, line=line, **self._context())

    async def _run(self, invocation: Invocation) -> BaseException | None:
        """Drive a guest that waits, with the bytes of both bodies moving; returns what ended it, if not itself."""
        pump = asyncio.create_task(self._move(self._pump_request(invocation), invocation))
        sender = asyncio.create_task(self._move(self._send_when_set(), invocation))
        failure: BaseException | None = None
        try:
            try:
                await invocation.run()
            except Exception as error:
                failure = error
            # The guest is gone. A response that has begun goes on if all of it was written, until it
            # is sent or the client leaves.
            if self.status != 0 and (failure is None or self._complete or self._is_whole()):
                await asyncio.wait((sender, pump), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (pump, sender):
                task.cancel()
            results = await asyncio.gather(pump, sender, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and isinstance(failure, Cancelled | None):
                failure = result
        return failure

    async def _move(self, moving: Coroutine[Any, Any, None], invocation: Invocation) -> None:
        """Run what moves one of the bodies; stop the guest if that fails, or it would wait for bytes to move."""
        try:
            await moving
        except OSError:  # ASGI, "Disconnected Client": what `send` may raise then
            self._client_left = True
            invocation.stop(Cancelled("the client went away"))
        except Exception:
            invocation.stop(Cancelled("the server failed"))
            raise

    # --- the request's body --------------------------------------------------------------------------------

    async def _pump_request(self, invocation: Invocation) -> None:
        """Feed the body to the guest as it reads, until the client goes away; stop the guest if it is too much."""
        content = self._request_content
        max_body = self._service.config.max_body
        received = 0
        while (message := await self._receive())["type"] != "http.disconnect":
            body = message.get("body", b"")
            received += len(body)
            if max_body is not None and received > max_body:
                content.discard()
                invocation.stop(Rejected(f"the request body is larger than {max_body} bytes"))
            content.feed(body)
            if message.get("more_body", False):
                await content.room()
            else:
                content.end()
        content.fail(Variant("connection-terminated"))
        # A server also says so once the response is complete, and then the guest may go on.
        if not self._complete:
            self._client_left = True
            invocation.stop(Cancelled("the client went away"))

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
        head = self._head(response)
        content = response.content
        if content is not None and (isinstance(head, str) or self._is_bodiless(response)):
            content.forsake()
            content = None
        if isinstance(head, str):
            await self._fail(head)
            return
        carries_trailers = _TRAILERS in (self._scope.get("extensions") or {})
        trailing = content is not None and carries_trailers
        await self._send_head(response.status, head, trailing=trailing)
        if content is None:
            await self._send_last(b"")
            return
        while True:
            try:
                chunk = await content.chunk()
            except BodyAborted:
                return
            if content.ended and content.drained:
                await self._send_last(chunk)
                if trailing:
                    await self._send_trailers(content.trailers)
                elif content.trailers is not None:
                    _log.debug(
                        "trailers not sent", reason="the server carries none", **self._context()
                    )
                return
            self.sent += len(chunk)
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    def _head(self, response: OutgoingResponse) -> list[tuple[bytes, bytes]] | str:
        """The headers to send, or what is wrong with the response."""
        if not 200 <= response.status <= 599:
            return f"status {response.status} cannot be sent as that of a final response"
        try:
            announced = response.headers.content_length()
            headers = response.headers.asgi()
        except HeaderError:
            return "its headers contradict each other about content-length"
        if response.status in _BODILESS:
            # In a 204 it is forbidden, in a 304 optional (RFC 9110 section 8.6), and uvicorn takes it for a
            # promise of content.
            headers = [header for header in headers if header[0] != b"content-length"]
        elif response.content is None and not self._is_bodiless(response):
            if announced:
                return f"its headers announce {announced} bytes of content, and it has none"
            if announced is None:
                headers.append((b"content-length", b"0"))
        headers = [header for header in headers if header[0] not in _OURS]
        headers.append((REQUEST_ID, self._request_id.encode()))
        return headers

    async def _send_head(
        self, status: int, headers: list[tuple[bytes, bytes]], *, trailing: bool
    ) -> None:
        self.status = status
        message = {"type": "http.response.start", "status": status, "headers": headers}
        if trailing:
            message["trailers"] = True
        await self._send(message)

    async def _send_trailers(self, trailers: Fields | None) -> None:
        headers = [] if trailers is None else trailers.asgi()
        await self._send({"type": _TRAILERS, "headers": headers, "more_trailers": False})

    async def _send_last(self, chunk: bytes) -> None:
        # Set first: the server may call the client gone as soon as it has the last message.
        self._complete = True
        self.sent += len(chunk)
        await self._send({"type": "http.response.body", "body": chunk})

    async def _send_problem(self, what: Problem) -> None:
        self.status = what.status
        self._complete = True
        head_only = self._scope["method"] == "HEAD"
        await send_problem(self._send, what, self._request_id, head_only=head_only)

    def _is_bodiless(self, response: OutgoingResponse) -> bool:
        """Whether the response ends with its head (RFC 9112 section 6.3)."""
        return self._scope["method"] == "HEAD" or response.status in _BODILESS

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
                await self._send_problem(_problem_of(failure))
        elif response is not None:
            _log.warning("component set an error", error=str(response), **self._context())
            await self._send_problem(problem.component_error(CASES[response.case].status_code))
        elif failure is not None:
            await self._send_problem(_problem_of(failure))
        else:
            _log.error("guest never invoked `response-outparam::set` method", **self._context())
            await self._send_problem(problem.NO_RESPONSE)

    async def _fail(self, reason: str) -> None:
        self._unusable = True
        _log.error("response unusable", reason=reason, **self._context())
        await self._send_problem(problem.COMPONENT_FAILED)

    # --- the log -------------------------------------------------------------------------------------------

    def _context(self) -> dict[str, str]:
        return {"component": self._service.name, "request_id": self._request_id}

    def _report(self, failure: BaseException) -> None:
        match failure:
            case Trap():
                _log.error(
                    "component trapped",
                    trap=failure.kind.value,
                    reason=failure.message,
                    backtrace=list(failure.backtrace),
                    **self._context(),
                )
            case DeadlineExceeded() | Exhausted() | Rejected():
                _log.warning(
                    "invocation stopped",
                    outcome=outcome_of(failure, answered=False).value,
                    reason=str(failure),
                    **self._context(),
                )
            case Cancelled() | Exit():
                _log.info("invocation ended early", reason=str(failure), **self._context())
            case _:
                _log.error("gateway failed", exc_info=failure, **self._context())


def _problem_of(failure: BaseException) -> Problem:
    match failure:
        case DeadlineExceeded():
            return problem.DEADLINE
        case Exhausted():
            return problem.OVERLOADED
        case Rejected():
            return problem.CONTENT_TOO_LARGE
        case Trap() | Exit():
            return problem.COMPONENT_FAILED
    return problem.GATEWAY_FAILED
