"""`wasi:http/types@0.3`: the plain functions, and what the adapter asks of the host for the others.

Requests and responses are those of WASI 0.2 underneath, so whoever makes a request and sends a response need not
know which a guest is of. The contents of a message that a guest makes stay in the guest until it is sent; then
they go through the channel that it got when it was made.

Source: `wasi:http@0.3.2`, `types.wit`.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.bindings.context import WasiCtx
from gateway.bindings.fallible import fallible
from gateway.bindings.http import types as p2
from gateway.bindings.http.body import (
    BodyInputStream,
    BodyOutputStream,
    IncomingContent,
    OutgoingContent,
)
from gateway.bindings.http.context import HttpCtx
from gateway.bindings.http.fields import Fields, FieldsTooLarge, HeaderError
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
from gateway.host.table import Resource
from gateway.host.values import Err, Ok, Variant
from gateway.http.syntax import is_method, is_scheme

__all__ = ["INTERFACES", "Request", "Response"]

_NEVER_SENT: Final = Variant("internal-error", "it was never sent")


class Request(IncomingRequest):
    """`request`.

    Attributes:
        channel: where its contents come from, if a guest has made it.
        options: its options; nothing uses them, as long as no guest can send it.
    """

    __slots__ = ("channel", "options")

    def __init__(
        self, *, channel: Contents | None = None, options: Options | None = None, **received: Any
    ) -> None:
        super().__init__(**received)
        self.channel = channel
        self.options = options

    def drop(self) -> None:
        """Read nothing of a body that was never consumed."""
        super().drop()
        if self.channel is not None:
            self.channel.tasks.go_on(self.channel)


class Response(OutgoingResponse):
    """`response`, which a guest has made.

    Attributes:
        channel: where its contents come from.
    """

    __slots__ = ("channel",)

    def __init__(self, headers: Fields, channel: Contents) -> None:
        super().__init__(headers)
        self.channel = channel

    def drop(self) -> None:
        """Dropped instead of returned: nobody will want its contents."""
        super().drop()
        self.channel.tasks.go_on(self.channel)


class Contents(Sink):
    """The contents of a message that a guest has made.

    Attributes:
        content: where they go; None where nobody wants them.
        sent: whether it was returned.
    """

    def __init__(self, tasks: Tasks) -> None:
        super().__init__(tasks, None)
        self.content: OutgoingContent | None = None
        self.sent = False

    def close(self) -> None:
        """The guest is gone: what it has not ended is not whole."""
        if self.content is not None:
            self.content.abort()


class Body(Source):
    """A body that the host has received."""

    def __init__(self, tasks: Tasks, content: IncomingContent, message: Resource) -> None:
        super().__init__(tasks, BodyInputStream(content, message))
        self.content = content

    def discard(self) -> None:
        """The guest reads no more of it, and may wait for its end."""
        super().discard()
        self.content.discard()

    def close(self) -> None:
        """Nobody wants the rest."""
        self.content.abandon()


types = HostInterface("wasi:http/types", "0.3.2")
INTERFACES = (types,)


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
    named = "" if scheme is None else scheme.payload if scheme.case == "other" else scheme.case
    if scheme is not None and not is_scheme(named):
        return Err()
    this.scheme = named.lower()
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
    ctx: WasiCtx, headers: FieldsHandle, _contents: bool, options: Options | None
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
    return request, sink.number


@host.function("response-new")
def response_new(ctx: WasiCtx, headers: FieldsHandle, contents: bool) -> tuple[Response, int]:
    """A response of status 200 that a guest makes, and the channel of its contents.

    Where it has contents and its headers contradict each other about their length, the contents come to nothing.
    """
    headers.fields.freeze()
    sink = Contents(ctx.of(Tasks))
    response = Response(headers.fields, sink)
    if contents:
        try:
            length = headers.fields.content_length()
        except HeaderError:
            length = None  # told when it is sent
        content = OutgoingContent(ctx.of(HttpCtx).queue, length, "HTTP-response-body-size")
        response.content = sink.content = content
        sink.stream = BodyOutputStream(content, response)
    return response, sink.number


@host.function("request-consume")
def request_consume(ctx: WasiCtx, this: Request) -> tuple[bool, int]:
    """The channel of a request's contents, and whether a guest has made it, and so has them."""
    if this.channel is not None:
        return _taken_back(this.channel)
    content, this.content = this.content, None
    if content is None:
        raise Trap("a request whose body was taken already")
    tasks = ctx.of(Tasks)
    body = Body(tasks, content, this)
    tasks.go_on(body)
    return False, body.number


@host.function("response-consume")
def response_consume(_ctx: WasiCtx, this: Response) -> tuple[bool, int]:
    """The same of a response."""
    return _taken_back(this.channel)


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
        response.channel.sent = True
        if response.content is not None:
            response.content.begin()
        tasks.go_on(response.channel)
    out.respond(response)
