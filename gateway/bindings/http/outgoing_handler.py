"""`wasi:http/outgoing-handler`, and the `future-incoming-response` of `wasi:http/types` that it returns.

What is wrong with a request as it stands is the error of `handle`, a target that the component's policy forbids
included; what goes wrong later is the error in the future. Either way the request is consumed.

A response that the guest lets go of is cancelled, and so is its request: `future-incoming-response` dropped before
its response was taken, `incoming-response` before it was consumed, `incoming-body` before it was finished,
`future-trailers` at any time. WIT does not say; Wasmtime does the same. A request's body, once the response was
taken, may be written for as long as that is held.

Source: `wasi:http@0.2.12`, `handler.wit`, `types.wit`.
"""

from __future__ import annotations

from typing import Final

from gateway.bindings.context import WasiCtx
from gateway.bindings.http.outbound import (
    CLIENTS,
    EgressDenied,
    Exchange,
    OutboundFailure,
    OutboundRequest,
    OutboundRequests,
    ResponseHead,
    Timeouts,
    outbound_request,
)
from gateway.bindings.http.types import (
    IncomingResponse,
    OutgoingRequest,
    RequestOptions,
    types,
)
from gateway.bindings.io import Pollable, Source, Wakers
from gateway.host.binding import HostInterface
from gateway.host.table import Resource
from gateway.host.values import Err, Ok
from gateway.policy.egress import Verdict

__all__ = ["INTERFACES", "FutureIncomingResponse", "send", "timeouts"]

_SECOND: Final = 1_000_000_000
"""Nanoseconds, which `duration` counts."""

_SCHEMES: Final = {"HTTP": "http", "HTTPS": "https"}


class FutureIncomingResponse(Resource, Source):
    """`future-incoming-response`: ready when the head of the response is there, or there will be none."""

    __slots__ = ("exchange", "got")

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.got = False

    def drop(self) -> None:
        """Give up a response that was never taken."""
        if not self.got:
            self.exchange.cancel()

    def ready(self) -> bool:
        """Whether there is a response, or an error."""
        return self.exchange.result is not None

    def _woken_by(self) -> Wakers:
        return (self.exchange.waiters,)


@types.method("future-incoming-response", "subscribe")
def future_incoming_response_subscribe(_ctx: WasiCtx, this: FutureIncomingResponse) -> Pollable:
    """A pollable that is ready when the response is."""
    return Pollable(this, parent=this)


@types.method("future-incoming-response", "get")
def future_incoming_response_get(_ctx: WasiCtx, this: FutureIncomingResponse) -> Ok | Err | None:
    """The response or the error, once: then an error of another kind."""
    if this.got:
        return Err()
    result = this.exchange.result
    if result is None:
        return None
    this.got = True
    if isinstance(result, ResponseHead):
        status, headers, content, _ = result
        return Ok(Ok(IncomingResponse(status=status, headers=headers, content=content)))
    return Ok(Err(result))


outgoing_handler = HostInterface(
    "wasi:http/outgoing-handler", "0.2.12", key="allowed_outbound_hosts"
)
INTERFACES = (outgoing_handler,)


@outgoing_handler.function("handle")
def handle(
    ctx: WasiCtx, request: OutgoingRequest, options: RequestOptions | None
) -> FutureIncomingResponse | Err:
    """Send a request. Its body may be written before, and while it is on its way."""
    try:
        return FutureIncomingResponse(send(ctx, _outbound_request(request, options)))
    except OutboundFailure as failure:
        if request.content is not None:
            request.content.forsake()
        return Err(failure.code)


def send(ctx: WasiCtx, request: OutboundRequest) -> Exchange:
    """Begin to send a request. Its content goes out while it is written.

    Raises:
        OutboundFailure: the component may not send it, or the invocation not one more.
    """
    requests = ctx.granted(OutboundRequests)
    if requests is None:
        raise EgressDenied(Verdict(False, "outbound requests are not granted"))
    if request.content is not None:
        request.content.begin()
    requests.caller = ctx.caller
    return requests.send(request, ctx.link_name(*CLIENTS))


def _outbound_request(request: OutgoingRequest, options: RequestOptions | None) -> OutboundRequest:
    method, scheme = request.method, request.scheme
    return outbound_request(
        method=method.payload if method.case == "other" else method.case.upper(),
        scheme="https" if scheme is None else _SCHEMES.get(scheme.case) or scheme.payload,
        authority=request.authority,
        path_with_query=request.path_with_query,
        headers=request.headers,
        content=request.content,
        timeouts=timeouts(options),
    )


def timeouts(options: RequestOptions | None) -> Timeouts:
    """How long to wait, as a guest has said it."""
    if options is None:
        return Timeouts()
    given = {
        "connect": options.connect_timeout,
        "first_byte": options.first_byte_timeout,
        "between_bytes": options.between_bytes_timeout,
    }
    return Timeouts(
        **{name: duration / _SECOND for name, duration in given.items() if duration is not None}
    )
