"""A peer that speaks wRPC at the other end of a link: by TCP, by a Unix socket, or by HTTP.

The protocol has no form for a call that failed: a peer ends its stream without a result then, which is all that
can be told of it.

Source: SPEC.md of https://github.com/bytecodealliance/wrpc, v0.0.1-draft.1
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import httpx

from gateway.bindings.context import Caller
from gateway.host import wit
from gateway.host.elements import Broken, over_time
from gateway.host.pieces import of_any_length
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
from gateway.wrpc.index import IndexedCursor
from gateway.wrpc.over_time import Arrivals, Pending, send
from gateway.wrpc.values import Values

__all__ = ["MEDIA_TYPE", "WrpcTarget"]

MEDIA_TYPE: Final = "application/octet-stream"
"""Of streams that go by HTTP, where peers have none of their own."""


class WrpcTarget(RemoteTarget["_Function", "Cursor | _Returned"]):
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
        self._going_on: set[asyncio.Task[None]] = set()
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
    ) -> Cursor | _Returned:
        """`RemoteTarget.exchange`."""
        try:
            if self._server is None:
                if isinstance(request, _Request):
                    return await self._begin(function, request)
                async with self._places:
                    return await self._stream(function, request)
            if isinstance(request, _Request):
                request = await request.whole(self._max_result)
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
        for task in tuple(self._going_on):
            task.cancel()
        if self._server is not None:
            await self._server.aclose()

    async def _begin(self, function: _Function, request: _Request) -> _Returned:
        """Call a function whose streams and futures go on when it has returned."""
        await self._places.acquire()
        try:
            source, sink = await self._connected()
        except BaseException:
            self._places.release()
            request.close()
            raise
        sink.transport.set_write_buffer_limits(0)
        sink.write(request)
        sending = asyncio.create_task(_send(request, sink))
        goes_on = False
        try:
            arrivals = function.arrivals(Incoming(source, self._max_result), self._max_result)
            try:
                root = await arrivals.root()
            except OSError as error:
                raise unreachable(error, begun=True) from None
            except Malformed:
                if arrivals.is_empty:
                    raise _no_result() from None
                raise
            result = await of_any_length(partial(function.result, root))
            task = asyncio.create_task(self._go_on(arrivals, sending, request, sink))
            self._going_on.add(task)
            task.add_done_callback(self._going_on.discard)
            goes_on = True
        finally:
            if not goes_on:
                self._end(sending, request, sink)
        return _Returned(result)

    async def _go_on(
        self,
        arrivals: Arrivals,
        sending: asyncio.Task[None],
        request: _Request,
        sink: asyncio.StreamWriter,
    ) -> None:
        try:
            await arrivals.go_on()
            await sending
        except (OSError, Broken) as error:
            arrivals.fail(Broken(str(error) or type(error).__name__))
        finally:
            self._end(sending, request, sink)

    def _end(
        self, sending: asyncio.Task[None], request: _Request, sink: asyncio.StreamWriter
    ) -> None:
        sending.cancel()
        request.close()
        sink.transport.abort()
        self._places.release()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._reach.check()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return await self._connect()
        except OSError as error:  # a `TimeoutError` is one
            raise self._reach.failed(error) from None

    async def _stream(self, function: _Function, request: bytes) -> Cursor:
        source, sink = await self._connected()
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
        self._over_time = None if ty.result is None else over_time(ty.result)

    def request(self, args: Sequence[Any]) -> bytes:
        """The stream of a call, or what begins it."""
        begun, pending = self._params.begun(args)
        stream = invocation(self._header, begun)
        if self._params.go_on or self._result.go_on:
            return _Request(stream, pending)
        return stream

    def arrivals(self, stream: Incoming, max_size: int) -> Arrivals:
        """What comes of a result with streams or futures, or beside them."""
        return self._result.arrivals(stream, max_size)

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

    def result(self, response: Cursor | _Returned) -> Any:
        """What it returned."""
        if isinstance(response, _Returned):
            return response.value
        try:
            value = next(iter(self._result.read(response)), None)
            if self._over_time is None or _comes_over_time(response):
                return value
            return self._over_time(value)
        except Malformed as malformed:
            raise failed(
                CallOutcome.FAILED, f"its result is of another type: {malformed}"
            ) from None


class _Request(bytes):
    """What begins a call with streams or futures.

    Attributes:
        pending: what follows, as it comes.
    """

    pending: list[Pending]

    def __new__(cls, stream: bytes, pending: list[Pending]) -> _Request:
        made = super().__new__(cls, stream)
        made.pending = pending
        return made

    async def whole(self, max_size: int) -> bytes:
        """All of it, once it is there: one who answers may want all before.

        Raises:
            CallFailed: there is no end of it, or too much.
        """
        out = bytearray(self)

        async def write(some: bytes) -> None:
            out.extend(some)
            if len(out) > max_size:
                raise Broken(f"more than {max_size} bytes")

        try:
            await send(self.pending, write)
        except Broken as broken:
            raise failed(CallOutcome.FAILED, f"its arguments: {broken}") from None
        return bytes(out)

    def close(self) -> None:
        """Send no more."""
        for _, _, elements in self.pending:
            elements.close()


class _Returned(NamedTuple):
    """What a call has returned whose streams and futures go on.

    Attributes:
        value: that.
    """

    value: Any


def _comes_over_time(response: Cursor) -> bool:
    return isinstance(response, IndexedCursor) and response.arrive is not None


async def _send(request: _Request, sink: asyncio.StreamWriter) -> None:
    """Send what follows, and end this side of the connection."""

    async def write(some: bytes) -> None:
        sink.write(some)
        await sink.drain()

    await sink.drain()
    await send(request.pending, write)
    sink.write_eof()


def _no_result() -> CallFailed:
    reason = "it ended the stream without a result, as peers do that fail or have no such function"
    return failed(CallOutcome.FAILED, reason)


def _wire_name(function: str) -> str:
    """What peers call a function: one of a resource without what WIT puts before it."""
    _, owner, name = wit.split_function(function)
    return function if owner is None else ".".join(filter(None, (owner, name)))


def _succeeded(response: httpx.Response) -> bool:
    return response.is_success
