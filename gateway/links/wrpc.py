"""A peer that speaks wRPC at the other end of a link: by TCP, by a Unix socket, or by HTTP.

The protocol has no form for a call that failed: a peer ends its stream without a result then, which is all that
can be told of it.

Source: SPEC.md of https://github.com/bytecodealliance/wrpc, v0.0.1-draft.1
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import httpx

from gateway.bindings.context import Caller
from gateway.host import wit
from gateway.http.trace_context import TraceContext
from gateway.links.http_server import HttpServer
from gateway.links.remote import (
    CONNECT_TIMEOUT,
    MAX_CONNECTIONS,
    Means,
    Reach,
    RemoteTarget,
    failed,
    unreachable,
)
from gateway.links.target import CallFailed, CallOutcome
from gateway.wrpc.cursor import Cursor, Malformed
from gateway.wrpc.frames import MAX_FRAMES_SIZE, Header, Incoming, invocation
from gateway.wrpc.handles import Handles
from gateway.wrpc.values import Values

__all__ = ["MEDIA_TYPE", "WrpcTarget"]

MEDIA_TYPE: Final = "application/octet-stream"
"""Of streams that go by HTTP, where peers have none of their own."""


class WrpcTarget(RemoteTarget["_Function", Cursor]):
    """A peer that has the functions of an interface.

    By TCP and by a Unix socket each call has a connection of its own, as the specification has it.

    Args:
        url: where it is: `wrpc+tcp://HOST:PORT`, `wrpc+unix:PATH`, `wrpc+http://...` or `wrpc+https://...`.
        means: what calls take.
        resources: those that it has for its caller.
    """

    kind = "wrpc"

    def __init__(self, url: str, means: Means, resources: Collection[wit.Resource] = ()) -> None:
        super().__init__(url, means, resources)
        self._handles = Handles(url)
        self._url = urlsplit(url)
        self._max_result = means.max_result
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)
        self._reach = Reach()
        self._server: HttpServer | None = None
        _, _, scheme = self._url.scheme.partition("+")
        if scheme in {"http", "https"}:
            self._server = HttpServer(
                self._url._replace(scheme=scheme).geturl(),
                MEDIA_TYPE,
                _succeeded,
                tls=means.tls,
                max_response=means.max_result + MAX_FRAMES_SIZE,
            )

    def gave(self, resource: object) -> bool:
        """`Target.gave`."""
        return self._handles.has(resource)

    def function(self, interface: str, name: str, ty: wit.Function) -> _Function:
        """`RemoteTarget.function`."""
        return _Function(Header(interface, _wire_name(name)), self._handles.of(ty))

    async def exchange(
        self, function: _Function, request: bytes, caller: Caller, trace: TraceContext | None
    ) -> Cursor:
        """`RemoteTarget.exchange`."""
        try:
            if self._server is None:
                async with self._places:
                    return await self._stream(function, request)
            source = asyncio.StreamReader()
            source.feed_data(await self._server.post(request, caller, trace))
            source.feed_eof()
            return await function.received(Incoming(source, self._max_result))
        except Malformed as malformed:
            raise failed(
                CallOutcome.FAILED, f"its stream is not as it should be: {malformed}"
            ) from None

    async def aclose(self) -> None:
        """`Target.aclose`."""
        if self._server is not None:
            await self._server.aclose()

    async def _stream(self, function: _Function, request: bytes) -> Cursor:
        self._reach.check()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                source, sink = await self._connect()
        except OSError as error:  # a `TimeoutError` is one
            raise self._reach.failed(error) from None
        try:
            # It goes out while the result comes in: a peer may answer a stream as it reads it.
            sink.write(request)
            sink.write_eof()
            return await function.received(Incoming(source, self._max_result))
        except OSError as error:
            raise unreachable(error, begun=True) from None
        finally:
            sink.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._url.scheme == "wrpc+unix":
            return await asyncio.open_unix_connection(unquote(self._url.path))
        return await asyncio.open_connection(self._url.hostname, self._url.port)


class _Function:
    """A function of a peer."""

    def __init__(self, header: Header, ty: wit.Function) -> None:
        self._header = header
        self._params = Values([param for _, param in ty.params])
        self._result = Values([] if ty.result is None else [ty.result])
        self._returns = ty.result is not None

    def request(self, args: Sequence[Any]) -> bytes:
        """The stream of a call."""
        return invocation(self._header, self._params.frames(args))

    async def received(self, stream: Incoming) -> Cursor:
        """What comes of its result.

        Raises:
            CallFailed: nothing does.
            Malformed: as of `Values.received`.
        """
        try:
            came = await self._result.received(stream)
        except Malformed:
            if stream.ended and not stream.size:
                raise _no_result() from None
            raise
        if self._returns and not came.left:
            raise _no_result()
        return came

    def result(self, response: Cursor) -> Any:
        """What it returned."""
        try:
            return next(iter(self._result.read(response)), None)
        except Malformed as malformed:
            raise failed(
                CallOutcome.FAILED, f"its result is of another type: {malformed}"
            ) from None


def _no_result() -> CallFailed:
    reason = "it ended the stream without a result, as peers do that fail or have no such function"
    return failed(CallOutcome.FAILED, reason)


def _wire_name(function: str) -> str:
    """What peers call a function: one of a resource without what WIT puts before it."""
    _, owner, name = wit.split_function(function)
    return function if owner is None else ".".join(filter(None, (owner, name)))


def _succeeded(response: httpx.Response) -> bool:
    return response.is_success
