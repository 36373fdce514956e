"""A driven guest that sends requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from gateway.bindings import http, io
from gateway.bindings.context import Caller, WasiCtx
from gateway.bindings.http.fields import Fields
from gateway.bindings.http.outbound import OutboundClient
from gateway.bindings.http.types import (
    FieldsHandle,
    OutgoingRequest,
    RequestOptions,
    method_variant,
)
from gateway.host.binding import HostInterface
from gateway.host.table import Resource
from gateway.host.values import Err, Ok, Variant
from gateway.http.trace_context import TraceContext
from tests.driven_guest import IO, DrivenGuest, driven_guest, driving

IMPORTS: Final = f"""{IO}
  (import "wasi:http/types@0.2.12" (instance $types
    (alias outer 1 $error (type $outer-error))
    (alias outer 1 $pollable (type $outer-pollable))
    (alias outer 1 $input-stream (type $outer-input))
    (alias outer 1 $output-stream (type $outer-output))
    (export "io-error" (type $io-error (eq $outer-error)))
    (export "pollable" (type $pollable (eq $outer-pollable)))
    (export "input-stream" (type $input (eq $outer-input)))
    (export "output-stream" (type $output (eq $outer-output)))
    (type $dns' (record (field "rcode" (option string)) (field "info-code" (option u16))))
    (export "DNS-error-payload" (type $dns (eq $dns')))
    (type $tls' (record (field "alert-id" (option u8)) (field "alert-message" (option string))))
    (export "TLS-alert-received-payload" (type $tls (eq $tls')))
    (type $size'
      (record (field "field-name" (option string)) (field "field-size" (option u32))))
    (export "field-size-payload" (type $size (eq $size')))
    (type $code' (variant
      (case "DNS-timeout")
      (case "DNS-error" $dns)
      (case "destination-not-found")
      (case "destination-unavailable")
      (case "destination-IP-prohibited")
      (case "destination-IP-unroutable")
      (case "connection-refused")
      (case "connection-terminated")
      (case "connection-timeout")
      (case "connection-read-timeout")
      (case "connection-write-timeout")
      (case "connection-limit-reached")
      (case "TLS-protocol-error")
      (case "TLS-certificate-error")
      (case "TLS-alert-received" $tls)
      (case "HTTP-request-denied")
      (case "HTTP-request-length-required")
      (case "HTTP-request-body-size" (option u64))
      (case "HTTP-request-method-invalid")
      (case "HTTP-request-URI-invalid")
      (case "HTTP-request-URI-too-long")
      (case "HTTP-request-header-section-size" (option u32))
      (case "HTTP-request-header-size" (option $size))
      (case "HTTP-request-trailer-section-size" (option u32))
      (case "HTTP-request-trailer-size" $size)
      (case "HTTP-response-incomplete")
      (case "HTTP-response-header-section-size" (option u32))
      (case "HTTP-response-header-size" $size)
      (case "HTTP-response-body-size" (option u64))
      (case "HTTP-response-trailer-section-size" (option u32))
      (case "HTTP-response-trailer-size" $size)
      (case "HTTP-response-transfer-coding" (option string))
      (case "HTTP-response-content-coding" (option string))
      (case "HTTP-response-timeout")
      (case "HTTP-upgrade-failed")
      (case "HTTP-protocol-error")
      (case "loop-detected")
      (case "configuration-error")
      (case "internal-error" (option string))))
    (export "error-code" (type $code (eq $code')))
    (export "http-error-code"
      (func (param "err" (borrow $io-error)) (result (option $code))))
    (export "fields" (type $fields (sub resource)))
    (export "[method]fields.entries"
      (func (param "self" (borrow $fields)) (result (list (tuple string (list u8))))))
    (export "outgoing-request" (type $request (sub resource)))
    (export "outgoing-body" (type $outgoing-body (sub resource)))
    (export "[method]outgoing-request.body"
      (func (param "self" (borrow $request)) (result (result (own $outgoing-body)))))
    (export "[method]outgoing-body.write"
      (func (param "self" (borrow $outgoing-body)) (result (result (own $output)))))
    (export "[static]outgoing-body.finish"
      (func (param "this" (own $outgoing-body)) (param "trailers" (option (own $fields)))
        (result (result (error $code)))))
    (export "request-options" (type (sub resource)))
    (export "incoming-response" (type $response (sub resource)))
    (export "incoming-body" (type $incoming-body (sub resource)))
    (export "future-trailers" (type $trailers (sub resource)))
    (export "[method]incoming-response.status"
      (func (param "self" (borrow $response)) (result u16)))
    (export "[method]incoming-response.headers"
      (func (param "self" (borrow $response)) (result (own $fields))))
    (export "[method]incoming-response.consume"
      (func (param "self" (borrow $response)) (result (result (own $incoming-body)))))
    (export "[method]incoming-body.stream"
      (func (param "self" (borrow $incoming-body)) (result (result (own $input)))))
    (export "[static]incoming-body.finish"
      (func (param "this" (own $incoming-body)) (result (own $trailers))))
    (export "[method]future-trailers.subscribe"
      (func (param "self" (borrow $trailers)) (result (own $pollable))))
    (export "[method]future-trailers.get" (func (param "self" (borrow $trailers))
      (result (option (result (result (option (own $fields)) (error $code)))))))
    (export "future-incoming-response" (type $future (sub resource)))
    (export "[method]future-incoming-response.subscribe"
      (func (param "self" (borrow $future)) (result (own $pollable))))
    (export "[method]future-incoming-response.get" (func (param "self" (borrow $future))
      (result (option (result (result (own $response) (error $code)))))))))
  (alias export $types "outgoing-request" (type $request))
  (alias export $types "request-options" (type $options))
  (alias export $types "future-incoming-response" (type $future))
  (alias export $types "fields" (type $fields))
  (alias export $types "error-code" (type $code))
  (import "wasi:http/outgoing-handler@0.2.12" (instance
    (alias outer 1 $request (type $outer-request))
    (alias outer 1 $options (type $outer-options))
    (alias outer 1 $future (type $outer-future))
    (alias outer 1 $code (type $outer-code))
    (export "outgoing-request" (type $request (eq $outer-request)))
    (export "request-options" (type $options (eq $outer-options)))
    (export "future-incoming-response" (type $future (eq $outer-future)))
    (export "error-code" (type $code (eq $outer-code)))
    (export "handle" (func (param "request" (own $request)) (param "options" (option (own $options)))
      (result (result (own $future) (error $code)))))))
  (import "test:host/made" (instance
    (alias outer 1 $request (type $outer-request))
    (alias outer 1 $options (type $outer-options))
    (alias outer 1 $fields (type $outer-fields))
    (export "outgoing-request" (type $request (eq $outer-request)))
    (export "request-options" (type $options (eq $outer-options)))
    (export "fields" (type $fields (eq $outer-fields)))
    (export "new-request" (func (result (own $request))))
    (export "new-options" (func (result (own $options))))
    (export "new-fields" (func (result (own $fields))))))
"""

CLOSED: Final = Err(Variant("closed"))


def fields(*entries: tuple[str, bytes]) -> Fields:
    """Headers or trailers."""
    return Fields.from_list(entries)


def request(
    authority: str | None,
    path: str | None = "/",
    *,
    method: str = "GET",
    scheme: Variant | None = Variant("HTTP"),  # noqa: B008 - immutable
    headers: Iterable[tuple[str, bytes]] = (),
) -> OutgoingRequest:
    """An `outgoing-request` with all that a guest could have set."""
    made = OutgoingRequest(fields(*headers))
    made.method = method_variant(method)
    made.scheme = scheme
    made.authority = authority
    made.path_with_query = path
    return made


def options(**timeouts: int) -> RequestOptions:
    """The `request-options` with these timeouts, in nanoseconds."""
    made = RequestOptions()
    for name, duration in timeouts.items():
        setattr(made, name, duration)
    return made


class HttpGuest:
    """A guest that does with `wasi:http` what a test tells it.

    Attributes:
        driven: the guest.
    """

    def __init__(self, driven: DrivenGuest, made: list[Resource]) -> None:
        self.driven = driven
        self._made = made

    async def call(self, function: str, *args: Any) -> Any:
        """Have it call `resource.method`, `resource.static` or `drop resource` of `wasi:http/types`."""
        return await self.driven.call(f"types#{function}", *args)

    async def own(self, resource: Resource) -> int:
        """Give it a handle on a request, options or fields."""
        self._made.append(resource)
        match resource:
            case OutgoingRequest():
                kind = "request"
            case RequestOptions():
                kind = "options"
            case _:
                kind = "fields"
        handle: int = await self.driven.call(f"made#new-{kind}")
        return handle

    async def handle(
        self, request: int | OutgoingRequest, options: RequestOptions | None = None
    ) -> Any:
        """Call `outgoing-handler.handle`."""
        owned = request if isinstance(request, int) else await self.own(request)
        given = None if options is None else await self.own(options)
        return await self.driven.call("outgoing-handler#handle", owned, given)

    async def begin(
        self, request: int | OutgoingRequest, options: RequestOptions | None = None
    ) -> int:
        """The `future-incoming-response` of a request."""
        handled = await self.handle(request, options)
        assert isinstance(handled, Ok), handled
        future: int = handled.value
        return future

    async def block(self, subscribe: str, handle: int) -> None:
        """Wait until something is ready."""
        pollable = await self.driven.call(subscribe, handle)
        await self.driven.call("poll#pollable.block", pollable)
        await self.driven.call("poll#drop pollable", pollable)

    async def outcome(self, future: int) -> Ok | Err:
        """Wait for a future; the handle of the response, or the `error-code`."""
        await self.block("types#future-incoming-response.subscribe", future)
        got = await self.call("future-incoming-response.get", future)
        assert isinstance(got, Ok), got
        outcome: Ok | Err = got.value
        return outcome

    async def fetch(
        self, request: int | OutgoingRequest, options: RequestOptions | None = None
    ) -> int:
        """The handle of the response to a request."""
        outcome = await self.outcome(await self.begin(request, options))
        assert isinstance(outcome, Ok), outcome
        response: int = outcome.value
        return response

    async def failure(
        self, request: int | OutgoingRequest, options: RequestOptions | None = None
    ) -> Variant:
        """The `error-code` that a request ends with, in `handle` or later."""
        handled = await self.handle(request, options)
        outcome = handled if isinstance(handled, Err) else await self.outcome(handled.value)
        assert isinstance(outcome, Err), outcome
        code: Variant = outcome.value
        return code

    async def status(self, response: int) -> int:
        """The status of a response."""
        status: int = await self.call("incoming-response.status", response)
        return status

    async def headers(self, response: int) -> list[tuple[str, bytes]]:
        """The headers of a response."""
        handle = await self.call("incoming-response.headers", response)
        entries: list[tuple[str, bytes]] = await self.call("fields.entries", handle)
        return entries

    async def consume(self, response: int) -> tuple[int, int]:
        """The body of a response, and its stream."""
        body = (await self.call("incoming-response.consume", response)).value
        return body, (await self.call("incoming-body.stream", body)).value

    async def read(self, stream: int, size: int = 65536) -> Ok | Err:
        """`blocking-read`."""
        result: Ok | Err = await self.driven.call(
            "streams#input-stream.blocking-read", stream, size
        )
        return result

    async def read_all(self, stream: int) -> tuple[bytes, Variant]:
        """All that a stream has, and the `stream-error` at its end."""
        data = b""
        while isinstance(result := await self.read(stream), Ok):
            data += result.value
        return data, result.value

    async def code(self, error: Variant) -> Variant | None:
        """The `error-code` in a stream's error."""
        assert error.case == "last-operation-failed", error
        code: Variant | None = await self.call("http-error-code", error.payload)
        return code

    async def text(self, response: int) -> bytes:
        """The content of a response, which must be whole."""
        _, stream = await self.consume(response)
        data, end = await self.read_all(stream)
        assert end == Variant("closed")
        return data

    async def trailers(self, body: int) -> Ok | Err:
        """Finish a body whose stream was dropped; the outcome of its `future-trailers`."""
        future = await self.call("incoming-body.finish", body)
        await self.block("types#future-trailers.subscribe", future)
        got = await self.call("future-trailers.get", future)
        assert isinstance(got, Ok), got
        outcome: Ok | Err = got.value
        return outcome

    async def open_body(self, request: int) -> tuple[int, int]:
        """The body of a request, and its stream."""
        body = (await self.call("outgoing-request.body", request)).value
        return body, (await self.call("outgoing-body.write", body)).value

    async def write(self, stream: int, data: bytes) -> Ok | Err:
        """Write up to 4096 bytes with `blocking-write-and-flush`."""
        function = "streams#output-stream.blocking-write-and-flush"
        result: Ok | Err = await self.driven.call(function, stream, data)
        return result

    async def finish(self, body: int, stream: int, trailers: Fields | None = None) -> Ok | Err:
        """Finish a body."""
        await self.driven.call("streams#drop output-stream", stream)
        owned = None if trailers is None else await self.own(FieldsHandle(trailers))
        result: Ok | Err = await self.call("outgoing-body.finish", body, owned)
        return result


@asynccontextmanager
async def http_guest(
    client: OutboundClient | None, trace: TraceContext | None = None
) -> AsyncIterator[HttpGuest]:
    """A guest whose requests a client sends, as part of a trace if there is one.

    At the end of the block it has ended, and all that it began.
    """
    made: list[Resource] = []
    maker = HostInterface("test:host/made", None)
    for name in ("request", "options", "fields"):
        maker.function(f"new-{name}")(lambda _ctx: made.pop(0))
    outbound = (
        None if client is None else client.invocation(Caller(client.component, "request-1", trace))
    )
    interfaces = (*io.INTERFACES, *http.INTERFACES, maker)
    ctx = WasiCtx() if outbound is None else WasiCtx(outbound, caller=outbound.caller)
    try:
        async with driving(driven_guest(IMPORTS), interfaces, ctx) as driven:
            yield HttpGuest(driven, made)
    finally:
        if outbound is not None:
            outbound.close()
