"""`wasi:http@0.3`: the plain functions of `types`, and what the adapter asks of the host for the others.

Requests and responses are those of WASI 0.2 underneath, so whoever makes a request and sends a response need not
know which a guest is of. The contents of a message that a guest makes stay in the guest until it is sent; then
they go through the channel that it got when it was made.

Source: `wasi:http@0.3.2`, `types.wit`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from gateway.bindings.context import WasiCtx
from gateway.bindings.fallible import fallible
from gateway.bindings.http import types as p2
from gateway.bindings.http.body import (
    BodyInputStream,
    BodyOutputStream,
    IncomingContent,
    OutgoingContent,
    relay,
)
from gateway.bindings.http.context import HttpCtx
from gateway.bindings.http.fields import Fields, FieldsTooLarge, HeaderError
from gateway.bindings.http.outbound import Exchange, OutboundFailure, ResponseHead, outbound_request
from gateway.bindings.http.outgoing_handler import send, timeouts
from gateway.bindings.http.types import (
    FieldsHandle,
    IncomingRequest,
    OutgoingResponse,
    RequestOptions,
    ResponseOutparam,
    charge,
)
from gateway.bindings.p3.tasks import Sink, Source, Tasks, host
from gateway.host.binding import HostInterface
from gateway.host.errors import Trap
from gateway.host.values import Err, Ok, Variant
from gateway.http.syntax import is_method, is_scheme

__all__ = ["INTERFACES", "Request", "Response"]

_NEVER_SENT: Final = Variant("internal-error", "it was never sent")


class Request(IncomingRequest):
    """`request`.

    Attributes:
        channel: where its contents come from, if a guest has made it.
        options: its options, if it has some.
    """

    __slots__ = ("channel", "options")

    def __init__(
        self, *, channel: Contents | None = None, options: Options | None = None, **received: Any
    ) -> None:
        super().__init__(**received)
        self.channel = channel
        self.options = options

    def drop(self) -> None:
        """Dropped instead of sent, or never consumed: nobody will want its contents."""
        super().drop()
        if self.channel is not None:
            self.channel.forsake()


class Response(OutgoingResponse):
    """`response`.

    Attributes:
        channel: where its contents come from, if a guest has made it.
        received: its contents, if the host has received it, until they are consumed.
    """

    __slots__ = ("channel", "received")

    def __init__(
        self,
        headers: Fields,
        channel: Contents | None = None,
        received: IncomingContent | None = None,
    ) -> None:
        super().__init__(headers)
        self.channel = channel
        self.received = received

    def drop(self) -> None:
        """Dropped instead of returned: nobody will want its contents."""
        super().drop()
        if self.channel is not None:
            self.channel.forsake()
        elif self.received is not None:
            self.received.abandon()


class Contents(Sink):
    """The contents of a message that a guest has made.

    Attributes:
        content: where they go; None where nobody wants them.
        sent: whether the message was returned, or sent.
        failure: what sending it has failed with, if it has.
    """

    def __init__(self, tasks: Tasks) -> None:
        super().__init__(tasks, None)
        self.content: OutgoingContent | None = None
        self.sent = False
        self.failure: Variant | None = None

    def open(self, ctx: WasiCtx, message: Request | Response, size_error: str) -> None:
        """Have room for what the guest writes."""
        self.content = _outgoing(ctx, message.headers, size_error)
        self.stream = BodyOutputStream(self.content)

    def begin(self) -> None:
        """The message is on its way."""
        self.sent = True
        if self.content is not None:
            self.content.begin()
        self.tasks.go_on(self)

    def forsake(self) -> None:
        """Nobody wants it any more."""
        if self.content is not None:
            self.content.forsake()
        self.tasks.go_on(self)

    def close(self) -> None:
        """The guest is gone: what it has not ended is not whole."""
        if self.content is not None:
            self.content.abort()


def _outgoing(ctx: WasiCtx, headers: Fields, size_error: str) -> OutgoingContent:
    """The contents of a message to send, of the length that its headers announce.

    Where they contradict each other about that, it is told when the message is sent.
    """
    try:
        length = headers.content_length()
    except HeaderError:
        length = None
    return OutgoingContent(ctx.of(HttpCtx).queue, length, size_error)


class Body(Source):
    """A body that the host has received.

    Args:
        tasks: whose it is.
        content: the body.
        fetched: whether it is a response's: to read no more of that is to cancel it.
    """

    def __init__(self, tasks: Tasks, content: IncomingContent, *, fetched: bool) -> None:
        super().__init__(tasks, BodyInputStream(content))
        self.content = content
        self._fetched = fetched

    def discard(self) -> None:
        """The guest reads no more of it, and may wait for its end."""
        super().discard()
        if self._fetched and not self.content.ended:
            self.content.abandon()
        else:
            self.content.discard()

    def close(self) -> None:
        """Nobody wants the rest."""
        self.content.abandon()


types = HostInterface("wasi:http/types", "0.3.2")
client = HostInterface("wasi:http/client", "0.3.2", key="allowed_outbound_hosts")
INTERFACES = (types, client)


# --- what is the same in WASI 0.2 ---------------------------------------------------------------------------

types.constructor("fields")(p2.fields_new)
types.method("fields", "get")(p2.fields_get)
types.method("fields", "has")(p2.fields_has)
types.method("fields", "delete")(p2.fields_delete)
types.method("fields", "copy-all")(p2.fields_entries)
types.method("fields", "clone")(p2.fields_clone)
types.method("request", "get-method")(p2.incoming_request_method)
types.method("request", "get-path-with-query")(p2.incoming_request_path)
types.method("request", "set-path-with-query")(p2.outgoing_request_set_path)
types.method("request", "get-authority")(p2.incoming_request_authority)
types.method("request", "set-authority")(p2.outgoing_request_set_authority)
types.method("request", "get-headers")(p2.message_headers)
types.method("response", "get-status-code")(p2.outgoing_response_status)
types.method("response", "set-status-code")(p2.outgoing_response_set_status)
types.method("response", "get-headers")(p2.message_headers)


# --- fields ------------------------------------------------------------------------------------------------


def _header_error(error: HeaderError | FieldsTooLarge) -> Variant:
    return Variant("size-exceeded" if isinstance(error, FieldsTooLarge) else error.case)


_header_errors = fallible(HeaderError, FieldsTooLarge, err=_header_error)


@types.static("fields", "from-list")
@_header_errors
def fields_from_list(ctx: WasiCtx, entries: list[tuple[str, bytes]]) -> FieldsHandle:
    """Mutable fields of the entries."""
    charge(ctx, entries)
    return FieldsHandle(Fields.from_list(entries))


@types.method("fields", "set")
@_header_errors
def fields_set(ctx: WasiCtx, this: FieldsHandle, name: str, values: list[bytes]) -> None:
    """Replace the values of a name."""
    charge(ctx, [(name, value) for value in values])
    this.fields.set(name, values)


@types.method("fields", "append")
@_header_errors
def fields_append(ctx: WasiCtx, this: FieldsHandle, name: str, value: bytes) -> None:
    """Add a value."""
    charge(ctx, ((name, value),))
    this.fields.append(name, value)


@types.method("fields", "get-and-delete")
@_header_errors
def fields_get_and_delete(_ctx: WasiCtx, this: FieldsHandle, name: str) -> list[bytes]:
    """Remove a name; returns its values."""
    values = this.fields.get(name)
    this.fields.delete(name)
    return values


# --- requests ----------------------------------------------------------------------------------------------


@types.method("request", "set-method")
def request_set_method(_ctx: WasiCtx, this: Request, method: Variant) -> Err | None:
    """Set the method; fails on what is not a token."""
    if method.case == "other" and not is_method(method.payload):
        return Err()
    this.method = method.payload if method.case == "other" else method.case.upper()
    return None


@types.method("request", "get-scheme")
def request_scheme(_ctx: WasiCtx, this: Request) -> Variant | None:
    """The scheme."""
    return p2.scheme_variant(this.scheme) if this.scheme else None


@types.method("request", "set-scheme")
def request_set_scheme(_ctx: WasiCtx, this: Request, scheme: Variant | None) -> Err | None:
    """Set the scheme; fails on what is none."""
    if scheme is not None and scheme.case == "other":
        if not is_scheme(scheme.payload):
            return Err()
        this.scheme = scheme.payload
    else:
        this.scheme = "" if scheme is None else scheme.case.lower()
    return None


@types.method("request", "get-options")
def request_options(_ctx: WasiCtx, this: Request) -> Options | None:
    """A copy of its options that cannot be changed."""
    return None if this.options is None else this.options.copy(mutable=False)


# --- request-options ---------------------------------------------------------------------------------------


class Options(RequestOptions):
    """`request-options`.

    Attributes:
        mutable: whether they can be changed.
    """

    __slots__ = ("mutable",)

    def __init__(self) -> None:
        super().__init__()
        self.mutable = True

    def copy(self, *, mutable: bool) -> Options:
        """The same once more."""
        options = Options()
        for name in _TIMEOUTS.values():
            setattr(options, name, getattr(self, name))
        options.mutable = mutable
        return options


@types.constructor("request-options")
def request_options_new(_ctx: WasiCtx) -> Options:
    """No timeouts set."""
    return Options()


@types.method("request-options", "clone")
def request_options_clone(_ctx: WasiCtx, this: Options) -> Options:
    """A copy that can be changed."""
    return this.copy(mutable=True)


_TIMEOUTS: Final = {
    name: name.replace("-", "_")
    for name in ("connect-timeout", "first-byte-timeout", "between-bytes-timeout")
}


def _define_timeout(name: str, attribute: str) -> None:
    @types.method("request-options", f"get-{name}")
    def get(_ctx: WasiCtx, this: Options) -> int | None:
        value: int | None = getattr(this, attribute)
        return value

    @types.method("request-options", f"set-{name}")
    def set_(_ctx: WasiCtx, this: Options, duration: int | None) -> Err | None:
        if not this.mutable:
            return Err(Variant("immutable"))
        setattr(this, attribute, duration)
        return None


for _name, _attribute in _TIMEOUTS.items():
    _define_timeout(_name, _attribute)


# --- what the adapter asks for -----------------------------------------------------------------------------


@host.function("request-new")
def request_new(
    ctx: WasiCtx, headers: FieldsHandle, contents: bool, options: Options | None
) -> tuple[Request, int]:
    """A request that a guest makes, a GET without target, and the channel of its contents."""
    headers.fields.freeze()
    sink = Contents(ctx.of(Tasks))
    request = Request(
        method="GET",
        path_with_query=None,
        scheme="",
        authority=None,
        headers=headers.fields,
        content=None,
        channel=sink,
        options=options,
    )
    if contents:
        sink.open(ctx, request, "HTTP-request-body-size")
    return request, sink.number


@host.function("response-new")
def response_new(ctx: WasiCtx, headers: FieldsHandle, contents: bool) -> tuple[Response, int]:
    """A response of status 200 that a guest makes, and the channel of its contents."""
    headers.fields.freeze()
    sink = Contents(ctx.of(Tasks))
    response = Response(headers.fields, sink)
    if contents:
        sink.open(ctx, response, "HTTP-response-body-size")
        response.content = sink.content
    return response, sink.number


@host.function("request-consume")
def request_consume(ctx: WasiCtx, this: Request) -> tuple[bool, int]:
    """The channel of a request's contents, and whether a guest has made it, and so has them."""
    if this.channel is not None:
        return _taken_back(this.channel)
    content, this.content = this.content, None
    return _received(ctx, content, fetched=False)


@host.function("response-consume")
def response_consume(ctx: WasiCtx, this: Response) -> tuple[bool, int]:
    """The same of a response."""
    if this.channel is not None:
        return _taken_back(this.channel)
    content, this.received = this.received, None
    return _received(ctx, content, fetched=True)


def _received(ctx: WasiCtx, content: IncomingContent | None, *, fetched: bool) -> tuple[bool, int]:
    if content is None:
        raise Trap("a message whose body was taken already")
    tasks = ctx.of(Tasks)
    body = Body(tasks, content, fetched=fetched)
    tasks.go_on(body)
    return False, body.number


def _taken_back(contents: Contents) -> tuple[bool, int]:
    contents.tasks.go_on(contents)  # for the guest says what comes of it
    return True, contents.number


@host.function("trailers")
def trailers(ctx: WasiCtx, number: int) -> FieldsHandle | Err | None:
    """The trailers of a body that has ended, or what it has failed with."""
    body = ctx.of(Tasks).channel(number)
    if not isinstance(body, Body):
        raise Trap(f"channel {number} has no trailers")
    error = body.error or body.content.error
    if error is not None:
        return Err(error)
    return None if body.content.trailers is None else FieldsHandle(body.content.trailers)


@host.function("finish")
def finish(ctx: WasiCtx, number: int, ended: list[Ok | Err]) -> Err | None:
    """The contents of a message are at their end, with these trailers or for that error; tells what came of it."""
    sink = ctx.of(Tasks).channel(number)
    if not isinstance(sink, Contents):
        raise Trap(f"channel {number} has no trailers")
    (value,) = ended
    content = sink.content
    if isinstance(value, Err):
        if content is not None:
            content.abort()
        return value
    if not sink.sent:
        return Err(_NEVER_SENT)
    if sink.failure is not None:
        return Err(sink.failure)
    if content is None:
        return None
    error = content.finish(None if value.value is None else value.value.fields)
    return None if error is None else Err(error)


@host.function("respond")
def respond(ctx: WasiCtx, out: ResponseOutparam, returned: list[Ok | Err]) -> None:
    """What `handle` has returned. A response goes out while the guest goes on."""
    tasks = ctx.of(Tasks)
    tasks.answered = True
    response = returned[0].value
    if isinstance(response, Response):
        if response.channel is not None:
            response.channel.begin()
        elif response.received is not None and not response.received.empty:
            response.content = _outgoing(ctx, response.headers, "HTTP-response-body-size")
            response.content.begin()
            tasks.move(relay(response.received, response.content))
    out.respond(response)


# --- wasi:http/client --------------------------------------------------------------------------------------


@host.function("send")
def begin_to_send(ctx: WasiCtx, request: Request, sleeper: int) -> bool:
    """Send a request, and wake a sleeper when there is its response, or none; tells whether that is now."""
    tasks = ctx.of(Tasks)
    sink = request.channel
    received, request.content = request.content, None
    content = None if sink is None else sink.content
    if received is not None and not received.empty:
        content = _outgoing(ctx, request.headers, "HTTP-request-body-size")
    try:
        exchange = send(
            ctx,
            outbound_request(
                method=request.method,
                scheme=request.scheme.lower() or "https",
                authority=request.authority,
                path_with_query=request.path_with_query,
                headers=request.headers,
                content=content,
                timeouts=timeouts(request.options),
            ),
        )
    except OutboundFailure as failure:
        if sink is not None:
            sink.forsake()
        if received is not None:
            received.abandon()
        _tell(sink, failure.code)
        return tasks.begin(sleeper, Err(failure.code))
    if sink is not None:
        sink.begin()
    elif received is not None and content is not None:
        tasks.move(relay(received, content))

    def cancelled(task: asyncio.Task[Response | Err]) -> None:
        if task.cancelled():
            _tell(sink, Variant("connection-terminated"))
            exchange.cancel()

    task = asyncio.get_running_loop().create_task(_response(exchange, sink))
    task.add_done_callback(cancelled)
    return tasks.begin(sleeper, task)


@host.function("sent")
def sent(ctx: WasiCtx, sleeper: int) -> Response | Err:
    """What came of a request: its response, whose body may be on its way, or an error."""
    response: Response | Err = ctx.of(Tasks).take(sleeper)
    return response


async def _response(exchange: Exchange, sink: Contents | None) -> Response | Err:
    result = await exchange.settled()
    if not isinstance(result, ResponseHead):
        _tell(sink, result)
        return Err(result)
    response = Response(result.headers, received=result.content)
    response.status = result.status
    return response


def _tell(sink: Contents | None, failure: Variant) -> None:
    """Have who waits for what came of a request's contents hear why nothing did."""
    if sink is not None:
        sink.sent = True
        sink.failure = failure
