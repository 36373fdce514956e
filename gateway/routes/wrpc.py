"""wRPC over HTTP: a POST below `wrpc_prefix` has the stream of an invocation, and its answer has the result.

This way an invocation that fails can be told from one that returns nothing: by the status, and a problem document.

Some peers end the body of their request only when they have the head of the response. So an invocation is complete
with its first frame, where that has all arguments, or with the last of its streams and futures; what comes later
is not looked at.

Source: `wrpc-http` of https://github.com/bytecodealliance/wrpc, SPEC.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

import structlog
from starlette.types import Receive

from gateway.config import ServerConfig, canonical_path
from gateway.host.errors import Exhausted, InvocationError
from gateway.host.pieces import of_any_length
from gateway.http import problem
from gateway.http.problem import Problem
from gateway.observe.events import Outcome, outcome_of
from gateway.routes.attended import Attended
from gateway.routes.exchange import PROBLEMS
from gateway.routes.request import ClientDisconnected, Request, server_timing
from gateway.serving.admission import NoRoom
from gateway.serving.call import Call
from gateway.serving.service import Service
from gateway.serving.wrpc_functions import MAX_REASON, WrpcFunction, WrpcFunctions
from gateway.wrpc.cursor import Malformed, TooLarge
from gateway.wrpc.frames import MAX_FRAMES, Incoming

__all__ = ["WrpcEndpoint"]

_log = structlog.get_logger("gateway.wrpc")

_MEDIA_TYPE: Final = b"application/octet-stream"
"""What a result is; peers have no type of their own."""


class WrpcEndpoint:
    """Where the requests below `wrpc_prefix` go.

    Args:
        services: the components that are served there.
        config: what the operator said of the server.
    """

    def __init__(self, services: Sequence[Service], config: ServerConfig) -> None:
        self._served = {service.name: (service, WrpcFunctions(service)) for service in services}
        self._prefix = config.wrpc_prefix
        self._max_body = config.rpc_max_body
        self._max_result = config.rpc_max_result

    async def answer(self, request: Request) -> None:
        """Answer a request."""
        request.pages = {}
        name = canonical_path(request.path)[len(self._prefix) + 1 :]
        if name not in self._served:
            await request.refuse(problem.NO_ROUTE)
            return
        service, functions = self._served[name]
        request.component = service.name
        request.route = f"{self._prefix}/{service.name}"
        request.log = service.access_log
        if request.scope["method"] != "POST":
            await request.refuse(problem.METHOD_NOT_ALLOWED, (b"allow", b"POST"))
        elif _is_of_another_site(request):
            await request.refuse(problem.OTHER_SITE)
        else:
            await self._post(service, functions, request)

    async def _post(self, service: Service, functions: WrpcFunctions, request: Request) -> None:
        attended = Attended(service, request, route=self._prefix, max_result=self._max_result)
        try:
            answer = await self._answer(attended, functions, request)
        except ClientDisconnected:
            request.outcome = Outcome.CANCELLED
            return
        except TooLarge:
            answer = problem.CONTENT_TOO_LARGE
        except TimeoutError:
            answer = problem.REQUEST_TIMEOUT
        except Malformed as malformed:
            _log.info(
                "invocation refused",
                component=service.name,
                request_id=request.id,
                reason=str(malformed)[:MAX_REASON],
            )
            answer = problem.NO_INVOCATION
        finally:
            await attended.aclose()
        if service.server_timing:
            request.timing = server_timing(*attended.phases)
        if attended.client_left:
            return
        if isinstance(answer, Problem):
            await request.refuse(answer)
        else:
            await request.respond(200, _MEDIA_TYPE, answer)

    async def _answer(
        self, attended: Attended, functions: WrpcFunctions, request: Request
    ) -> bytes | Problem:
        """Make an invocation.

        Raises:
            ClientDisconnected: the stream is not whole and never will be.
            Malformed: it is none, or too large.
            TimeoutError: it was not whole in time.
        """
        stream = Incoming(_Body(request.receive), self._max_body)
        async with request.receiving():
            function = functions.find(await stream.header())
        if function is None:
            return problem.NO_FUNCTION
        frames = 1
        while True:
            async with request.receiving():
                params = await function.arguments.received(stream, frames=frames)
            try:
                place = await attended.enter()
            except NoRoom:
                return self._not_made(attended, Outcome.EXHAUSTED, function, request)
            with place:
                try:
                    arguments = await of_any_length(partial(function.arguments.read, params))
                except Exhausted:
                    return self._not_made(attended, Outcome.EXHAUSTED, function, request)
                except Malformed:
                    if stream.ended or function.arguments.go_on:
                        raise
                else:
                    with attended.call(function.function.export, arguments, place) as call:
                        call.bytes_in = stream.size
                        answer = await self._perform(attended, call, function)
                    request.outcome = call.outcome
                    return answer
            frames = MAX_FRAMES  # they may come in more

    async def _perform(
        self, attended: Attended, call: Call, function: WrpcFunction
    ) -> bytes | Problem:
        result = await attended.perform(call, function.function)
        if isinstance(result, Exception):
            return PROBLEMS[call.outcome]
        try:
            answer = bytes(await attended.of_any_length(partial(function.answer, result)))
        except InvocationError as failure:
            call.report(failure)
            call.outcome = outcome_of(failure, answered=False)
            return PROBLEMS[call.outcome]
        call.bytes_out = len(answer)
        return answer

    def _not_made(
        self, attended: Attended, outcome: Outcome, function: WrpcFunction, request: Request
    ) -> Problem:
        request.outcome = outcome
        attended.not_made(outcome, function.function.export)
        return PROBLEMS[outcome]


class _Body:
    """The body of a request, as the stream of a peer: a `Source`.

    Args:
        receive: the messages of the request.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._piece = b""
        self._at = 0
        self._more = True

    async def read(self, n: int, /) -> bytes:
        """`Source.read`.

        Raises:
            ClientDisconnected: the body is not whole and never will be.
        """
        while self._at == len(self._piece) and self._more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            self._piece, self._at = message.get("body", b""), 0
            self._more = message.get("more_body", False)
        first = self._at
        self._at = min(first + n, len(self._piece))
        return self._piece[first : self._at]

    async def readexactly(self, n: int, /) -> bytes:
        """`Source.readexactly`."""
        taken = bytearray()
        while len(taken) < n:
            piece = await self.read(n - len(taken))
            if not piece:
                raise asyncio.IncompleteReadError(bytes(taken), n)
            taken += piece
        return bytes(taken)


def _is_of_another_site(request: Request) -> bool:
    """Whether a page of another site had a browser send it, which sends what has no type without asking first.

    Source: Fetch Metadata Request Headers, section 2.4; RFC 6454, section 7, for browsers that tell no more.
    """
    if (sites := request.lines.get(b"sec-fetch-site")) is not None:
        return sites[0] not in {b"same-origin", b"none"}
    origins = request.lines.get(b"origin", ())
    return any(
        origin.decode("latin-1").partition("://")[2] != request.origin.authority
        for origin in origins
    )
