"""`wasi:http/types`, except `future-incoming-response`, which is in `gateway.bindings.http.outgoing_handler`.

The functions here are thin: bodies are in `gateway.bindings.http.body`, header rules in
`gateway.bindings.http.fields`, syntax in `gateway.http.syntax`.

Bodies and streams are children of what they were made from, and trap when the parent is consumed first. Headers
and trailers are not, although WIT says so: as in Wasmtime, a handle on headers may outlive its message.

Source: `wasi:http@0.2.12`, `types.wit`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gateway.bindings.context import WasiCtx
from gateway.bindings.fallible import fallible
from gateway.bindings.http.body import (
    BodyInputStream,
    BodyOutputStream,
    IncomingContent,
    OutgoingContent,
)
from gateway.bindings.http.context import HttpCtx
from gateway.bindings.http.fields import (
    NAME_SIZE,
    VALUE_SIZE,
    Fields,
    FieldsTooLarge,
    HeaderError,
)
from gateway.bindings.io import IoError, Pollable, Source, Wakers
from gateway.host.binding import HostInterface
from gateway.host.errors import Trap
from gateway.host.table import Resource
from gateway.host.values import Err, Ok, Variant
from gateway.http.connection_options import connection_options
from gateway.http.gateway_fields import RESERVED
from gateway.http.syntax import (
    is_authority,
    is_method,
    is_path_with_query,
    is_scheme,
    is_status_code,
)

__all__ = [
    "BODILESS",
    "INTERFACES",
    "FieldsHandle",
    "IncomingRequest",
    "IncomingResponse",
    "OutgoingRequest",
    "OutgoingResponse",
    "RequestOptions",
    "ResponseOutparam",
    "charge",
    "method_variant",
    "scheme_variant",
    "types",
]

BODILESS: Final = frozenset((204, 205, 304))
"""Statuses whose responses have no content (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5)."""

MAX_FIELDS_SIZE: Final = 64 << 20
"""Bytes that one invocation may write into header fields in all, by the accounting of `Fields`. Threat: a guest
that makes ever new fields, each within its own limit, and drops none. Arbitrary: room for tens of thousands of
requests."""


_METHODS: Final = {
    name.upper(): Variant(name)
    for name in (*("get", "head", "post", "put", "delete", "connect", "options", "trace", "patch"),)
}
_SCHEMES: Final = {"http": Variant("HTTP"), "https": Variant("HTTPS")}


def method_variant(method: str) -> Variant:
    """The WIT `method` of an HTTP method."""
    return _METHODS.get(method) or Variant("other", method)


def scheme_variant(scheme: str) -> Variant:
    """The WIT `scheme` of a URI scheme in lower case."""
    return _SCHEMES.get(scheme) or Variant("other", scheme)


# --- resources ---------------------------------------------------------------------------------------------


class FieldsHandle(Resource):
    """`fields`: a handle on headers or trailers, which other handles may share."""

    __slots__ = ("fields",)

    def __init__(self, fields: Fields) -> None:
        self.fields = fields


class IncomingBody(Resource):
    """`incoming-body`."""

    __slots__ = ("content", "streamed")

    def __init__(self, content: IncomingContent) -> None:
        self.content = content
        self.streamed = False

    def drop(self) -> None:
        """Read no more of it."""
        self.content.abandon()


class IncomingRequest(Resource):
    """`incoming-request`: a request as the host received it.

    Attributes:
        method: its method.
        path_with_query: the request target's path and query, as sent.
        scheme: the URI scheme, in lower case.
        authority: the host that the request is for, without userinfo.
        content: its body, until it is consumed.
    """

    __slots__ = (
        "_headers",
        "_told",
        "authority",
        "content",
        "method",
        "path_with_query",
        "scheme",
    )

    def __init__(
        self,
        *,
        method: str,
        path_with_query: str | None,
        scheme: str,
        authority: str | None,
        headers: Sequence[tuple[bytes, bytes]] | Fields,
        content: IncomingContent | None,
        told: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Receive a request.

        Args:
            method: its method.
            path_with_query: the request target's path and query, as sent.
            scheme: the URI scheme, in lower case.
            authority: the host that the request is for, without userinfo.
            headers: as received, or as a guest has made them.
            content: its body.
            told: fields that the gateway adds to those which were received.
        """
        self.method = method
        self.path_with_query = path_with_query
        self.scheme = scheme
        self.authority = authority
        self.content = content
        self._headers = headers
        self._told = told

    @property
    def headers(self) -> Fields:
        """Its headers, immutable; made when a guest first asks for them."""
        headers = self._headers
        if not isinstance(headers, Fields):
            options = connection_options(headers) | RESERVED
            self._headers = headers = Fields.incoming(headers, options, self._told)
        return headers

    def drop(self) -> None:
        """Read nothing of a body that was never consumed."""
        if self.content is not None:
            self.content.abandon()


class IncomingResponse(Resource):
    """`incoming-response`: a response as the host received it.

    Attributes:
        status: its status code.
        headers: its headers, immutable.
        content: its body, until it is consumed.
    """

    __slots__ = ("content", "headers", "status")

    def __init__(self, *, status: int, headers: Fields, content: IncomingContent) -> None:
        self.status = status
        self.headers = headers
        self.content: IncomingContent | None = content

    def drop(self) -> None:
        """Read nothing of a body that was never consumed."""
        if self.content is not None:
            self.content.abandon()


class FutureTrailers(Resource, Source):
    """`future-trailers`: ready when the body that it was made from has ended."""

    __slots__ = ("content", "got")

    def __init__(self, content: IncomingContent) -> None:
        self.content = content
        self.got = False

    def drop(self) -> None:
        """Do not wait for the end of the body."""
        self.content.abandon()

    def ready(self) -> bool:
        """Whether the body has ended."""
        return self.content.ended

    def _woken_by(self) -> Wakers:
        return (self.content.readers,)


class OutgoingBody(Resource):
    """`outgoing-body`."""

    __slots__ = ("content", "written")

    def __init__(self, content: OutgoingContent) -> None:
        self.content = content
        self.written = False

    def drop(self) -> None:
        """Dropped without `finish`: its recipient must not take it for whole."""
        self.content.abort()


class OutgoingResponse(Resource):
    """`outgoing-response`: a response that a guest makes.

    Attributes:
        status: its status code.
        headers: its headers, immutable.
        content: its body; None if the guest asked for none.
    """

    __slots__ = ("content", "headers", "status")

    def __init__(self, headers: Fields) -> None:
        self.status = 200
        self.headers = headers
        self.content: OutgoingContent | None = None

    def drop(self) -> None:
        """Dropped instead of set: nobody will want its body."""
        if self.content is not None:
            self.content.forsake()


class OutgoingRequest(Resource):
    """`outgoing-request`: a request that a guest makes."""

    __slots__ = ("authority", "content", "headers", "method", "path_with_query", "scheme")

    def __init__(self, headers: Fields) -> None:
        self.method = _METHODS["GET"]
        self.path_with_query: str | None = None
        self.scheme: Variant | None = None
        self.authority: str | None = None
        self.headers = headers
        self.content: OutgoingContent | None = None

    def drop(self) -> None:
        """Dropped instead of sent: nobody will want its body."""
        if self.content is not None:
            self.content.forsake()


class RequestOptions(Resource):
    """`request-options`: timeouts in nanoseconds, None where the host's own hold."""

    __slots__ = ("between_bytes_timeout", "connect_timeout", "first_byte_timeout")

    def __init__(self) -> None:
        self.connect_timeout: int | None = None
        self.first_byte_timeout: int | None = None
        self.between_bytes_timeout: int | None = None


class ResponseOutparam(Resource):
    """`response-outparam`: where a guest puts its response, once.

    Attributes:
        respond: called with what the guest put there: an `OutgoingResponse`, or an `error-code`.
    """

    __slots__ = ("respond",)

    def __init__(self, respond: Callable[[OutgoingResponse | Variant], None]) -> None:
        self.respond = respond


# --- wasi:http/types ---------------------------------------------------------------------------------------

types = HostInterface("wasi:http/types", "0.2.12")
INTERFACES = (types,)


@types.function("http-error-code")
def http_error_code(_ctx: WasiCtx, error: IoError) -> Variant | None:
    """The `error-code` in an error of a stream, if HTTP is where it came from."""
    return error.code if isinstance(error.code, Variant) else None


# fields


def _header_error(error: HeaderError | FieldsTooLarge) -> Variant:
    if isinstance(error, FieldsTooLarge):
        raise Trap(str(error)) from error
    return Variant(error.case)


_header_errors = fallible(HeaderError, FieldsTooLarge, err=_header_error)


def charge(ctx: WasiCtx, entries: Iterable[tuple[str, bytes]]) -> None:
    """Count what an invocation writes into header fields.

    Raises:
        Trap: it is too much.
    """
    http = ctx.of(HttpCtx)
    for name, value in entries:
        http.fields_size += len(name) + len(value) + NAME_SIZE + VALUE_SIZE
    if http.fields_size > MAX_FIELDS_SIZE:
        raise Trap(f"more than {MAX_FIELDS_SIZE} bytes of header fields in one invocation")


@types.constructor("fields")
def fields_new(_ctx: WasiCtx) -> FieldsHandle:
    """Empty, mutable fields."""
    return FieldsHandle(Fields())


@types.static("fields", "from-list")
@_header_errors
def fields_from_list(ctx: WasiCtx, entries: list[tuple[str, bytes]]) -> FieldsHandle:
    """Mutable fields of the entries."""
    charge(ctx, entries)
    return FieldsHandle(Fields.from_list(entries))


@types.method("fields", "get")
def fields_get(_ctx: WasiCtx, this: FieldsHandle, name: str) -> list[bytes]:
    """All values of a name."""
    return this.fields.get(name)


@types.method("fields", "has")
def fields_has(_ctx: WasiCtx, this: FieldsHandle, name: str) -> bool:
    """Whether a name is there."""
    return this.fields.has(name)


@types.method("fields", "set")
@_header_errors
def fields_set(ctx: WasiCtx, this: FieldsHandle, name: str, values: list[bytes]) -> None:
    """Replace the values of a name."""
    charge(ctx, [(name, value) for value in values])
    this.fields.set(name, values)


@types.method("fields", "delete")
@_header_errors
def fields_delete(_ctx: WasiCtx, this: FieldsHandle, name: str) -> None:
    """Remove a name."""
    this.fields.delete(name)


@types.method("fields", "append")
@_header_errors
def fields_append(ctx: WasiCtx, this: FieldsHandle, name: str, value: bytes) -> None:
    """Add a value."""
    charge(ctx, ((name, value),))
    this.fields.append(name, value)


@types.method("fields", "entries")
def fields_entries(_ctx: WasiCtx, this: FieldsHandle) -> list[tuple[str, bytes]]:
    """All entries in order."""
    return this.fields.entries()


@types.method("fields", "clone")
def fields_clone(ctx: WasiCtx, this: FieldsHandle) -> FieldsHandle:
    """A mutable copy."""
    charge(ctx, this.fields.entries())
    return FieldsHandle(this.fields.clone())


# incoming-request, incoming-response


@types.method("incoming-request", "method")
def incoming_request_method(_ctx: WasiCtx, this: IncomingRequest) -> Variant:
    """The method."""
    return method_variant(this.method)


@types.method("incoming-request", "path-with-query")
def incoming_request_path(_ctx: WasiCtx, this: IncomingRequest) -> str | None:
    """The path and query, as sent."""
    return this.path_with_query


@types.method("incoming-request", "scheme")
def incoming_request_scheme(_ctx: WasiCtx, this: IncomingRequest) -> Variant:
    """The scheme that the client used."""
    return scheme_variant(this.scheme)


@types.method("incoming-request", "authority")
def incoming_request_authority(_ctx: WasiCtx, this: IncomingRequest) -> str | None:
    """The host that the request is for."""
    return this.authority


@types.method("incoming-response", "status")
def incoming_response_status(_ctx: WasiCtx, this: IncomingResponse) -> int:
    """The status code."""
    return this.status


@types.method("incoming-request", "headers")
@types.method("incoming-response", "headers")
@types.method("outgoing-request", "headers")
@types.method("outgoing-response", "headers")
def message_headers(
    _ctx: WasiCtx, this: IncomingRequest | IncomingResponse | OutgoingRequest | OutgoingResponse
) -> FieldsHandle:
    """The headers, immutable."""
    return FieldsHandle(this.headers)


@types.method("incoming-request", "consume")
@types.method("incoming-response", "consume")
def message_consume(_ctx: WasiCtx, this: IncomingRequest | IncomingResponse) -> IncomingBody | Err:
    """The body; the second call fails."""
    content, this.content = this.content, None
    return Err() if content is None else IncomingBody(content)


# incoming-body, future-trailers


@types.method("incoming-body", "stream")
def incoming_body_stream(_ctx: WasiCtx, this: IncomingBody) -> BodyInputStream | Err:
    """The stream of the body; the second call fails."""
    if this.streamed:
        return Err()
    this.streamed = True
    return BodyInputStream(this.content, parent=this)


@types.static("incoming-body", "finish")
def incoming_body_finish(_ctx: WasiCtx, this: IncomingBody) -> FutureTrailers:
    """Give up the body for its trailers. What is unread is read and forgotten, for they come after it."""
    this.content.discard()
    return FutureTrailers(this.content)


@types.method("future-trailers", "subscribe")
def future_trailers_subscribe(_ctx: WasiCtx, this: FutureTrailers) -> Pollable:
    """A pollable that is ready when the trailers are."""
    return Pollable(this, parent=this)


@types.method("future-trailers", "get")
def future_trailers_get(_ctx: WasiCtx, this: FutureTrailers) -> Ok | Err | None:
    """The trailers, once: then an error."""
    if this.got:
        return Err()
    content = this.content
    if not content.ended:
        return None
    this.got = True
    if content.error is not None:
        return Ok(Err(content.error))
    return Ok(Ok(None if content.trailers is None else FieldsHandle(content.trailers)))


# outgoing-response


@types.constructor("outgoing-response")
def outgoing_response_new(_ctx: WasiCtx, headers: FieldsHandle) -> OutgoingResponse:
    """A response of status 200."""
    headers.fields.freeze()
    return OutgoingResponse(headers.fields)


@types.method("outgoing-response", "status-code")
def outgoing_response_status(_ctx: WasiCtx, this: OutgoingResponse) -> int:
    """The status code."""
    return this.status


@types.method("outgoing-response", "set-status-code")
def outgoing_response_set_status(_ctx: WasiCtx, this: OutgoingResponse, status: int) -> Err | None:
    """Set the status code; fails on what is none."""
    if not is_status_code(status):
        return Err()
    this.status = status
    return None


def _body(
    ctx: WasiCtx, this: OutgoingResponse | OutgoingRequest, size_error: str
) -> OutgoingBody | Err:
    if this.content is not None:
        return Err()
    try:
        content_length = this.headers.content_length()
    except HeaderError:
        return Err()
    this.content = OutgoingContent(ctx.of(HttpCtx).queue, content_length, size_error)
    return OutgoingBody(this.content)


@types.method("outgoing-response", "body")
def outgoing_response_body(ctx: WasiCtx, this: OutgoingResponse) -> OutgoingBody | Err:
    """The body; the second call fails, and so does one with contradictory `content-length`s."""
    return _body(ctx, this, "HTTP-response-body-size")


# outgoing-body


@types.method("outgoing-body", "write")
def outgoing_body_write(_ctx: WasiCtx, this: OutgoingBody) -> BodyOutputStream | Err:
    """The stream to write to; the second call fails."""
    if this.written:
        return Err()
    this.written = True
    return BodyOutputStream(this.content, parent=this)


@types.static("outgoing-body", "finish")
def outgoing_body_finish(
    _ctx: WasiCtx, this: OutgoingBody, trailers: FieldsHandle | None
) -> Err | None:
    """End the body; an error if it has not the length that its headers announce."""
    error = this.content.finish(None if trailers is None else trailers.fields)
    return None if error is None else Err(error)


# response-outparam


@types.static("response-outparam", "set")
def response_outparam_set(_ctx: WasiCtx, param: ResponseOutparam, response: Ok | Err) -> None:
    """Respond. The response goes out while the guest goes on."""
    value = response.value
    if isinstance(value, OutgoingResponse) and value.content is not None:
        value.content.begin()
    param.respond(value)


# outgoing-request


@types.constructor("outgoing-request")
def outgoing_request_new(_ctx: WasiCtx, headers: FieldsHandle) -> OutgoingRequest:
    """A GET without target."""
    headers.fields.freeze()
    return OutgoingRequest(headers.fields)


@types.method("outgoing-request", "body")
def outgoing_request_body(ctx: WasiCtx, this: OutgoingRequest) -> OutgoingBody | Err:
    """The body; the second call fails, and so does one with contradictory `content-length`s."""
    return _body(ctx, this, "HTTP-request-body-size")


@types.method("outgoing-request", "method")
def outgoing_request_method(_ctx: WasiCtx, this: OutgoingRequest) -> Variant:
    """The method."""
    return this.method


@types.method("outgoing-request", "set-method")
def outgoing_request_set_method(
    _ctx: WasiCtx, this: OutgoingRequest, method: Variant
) -> Err | None:
    """Set the method; fails on what is not a token."""
    if method.case == "other" and not is_method(method.payload):
        return Err()
    this.method = method
    return None


@types.method("outgoing-request", "path-with-query")
def outgoing_request_path(_ctx: WasiCtx, this: OutgoingRequest) -> str | None:
    """The path and query."""
    return this.path_with_query


@types.method("outgoing-request", "set-path-with-query")
def outgoing_request_set_path(
    _ctx: WasiCtx, this: OutgoingRequest, path_with_query: str | None
) -> Err | None:
    """Set the path and query; fails on invalid characters."""
    if path_with_query is not None and not is_path_with_query(path_with_query):
        return Err()
    this.path_with_query = path_with_query
    return None


@types.method("outgoing-request", "scheme")
def outgoing_request_scheme(_ctx: WasiCtx, this: OutgoingRequest) -> Variant | None:
    """The scheme."""
    return this.scheme


@types.method("outgoing-request", "set-scheme")
def outgoing_request_set_scheme(
    _ctx: WasiCtx, this: OutgoingRequest, scheme: Variant | None
) -> Err | None:
    """Set the scheme; fails on what is none."""
    if scheme is not None and scheme.case == "other" and not is_scheme(scheme.payload):
        return Err()
    this.scheme = scheme
    return None


@types.method("outgoing-request", "authority")
def outgoing_request_authority(_ctx: WasiCtx, this: OutgoingRequest) -> str | None:
    """The authority."""
    return this.authority


@types.method("outgoing-request", "set-authority")
def outgoing_request_set_authority(
    _ctx: WasiCtx, this: OutgoingRequest, authority: str | None
) -> Err | None:
    """Set the authority; fails on what is not a host with an optional port."""
    if authority is not None and not is_authority(authority):
        return Err()
    this.authority = authority
    return None


# request-options


@types.constructor("request-options")
def request_options_new(_ctx: WasiCtx) -> RequestOptions:
    """No timeouts set."""
    return RequestOptions()


def _define_timeout(name: str) -> None:
    attribute = name.replace("-", "_")

    @types.method("request-options", name)
    def get(_ctx: WasiCtx, this: RequestOptions) -> int | None:
        value: int | None = getattr(this, attribute)
        return value

    @types.method("request-options", f"set-{name}")
    def set_(_ctx: WasiCtx, this: RequestOptions, duration: int | None) -> None:
        setattr(this, attribute, duration)


for _name in ("connect-timeout", "first-byte-timeout", "between-bytes-timeout"):
    _define_timeout(_name)
