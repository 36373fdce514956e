"""Where every HTTP request comes in: who sent it, whether it may pass, and which endpoint answers it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from time import perf_counter
from types import MappingProxyType
from typing import Final, Protocol

import structlog
from starlette.types import Receive, Scope, Send

from gateway.config import Route, ServerConfig
from gateway.config.page_file import PageFile
from gateway.config.route import RouteMatch
from gateway.host.errors import ComponentError
from gateway.http import problem
from gateway.http.field_lines import FieldLines
from gateway.http.forwarded import Origin, TrustedProxies, effective
from gateway.http.problem import Problem
from gateway.http.request_id import request_id
from gateway.http.target import path_of, server_authority
from gateway.http.trace_context import incoming
from gateway.observe.telemetry import Span, Tracer
from gateway.routes.cors import CorsEndpoint
from gateway.routes.incoming_handler import HttpEndpoint
from gateway.routes.redirects import RedirectEndpoint
from gateway.routes.request import Request
from gateway.routes.router import Router
from gateway.routes.rpc import RpcEndpoint
from gateway.routes.wrpc import WrpcEndpoint
from gateway.serving.service import Service

__all__ = ["Dispatcher", "Endpoint"]

_log = structlog.get_logger("gateway.access")

_NOBODY: Final = TrustedProxies()


class Endpoint(Protocol):
    """What answers the requests of some routes."""

    async def answer(self, request: Request) -> None:
        """Answer a request, and note in it what became of it.

        Raises:
            gateway.routes.exchange.ResponseAborted: the response had begun and is not whole.
        """


class Dispatcher:
    """The ASGI application of all HTTP requests.

    Args:
        services: the components.
        config: what the operator said of the server.
        operations: what answers health checks and the like, by path; nothing where they are served elsewhere.
        tracer: what is told of requests; None for nothing.
        beside: what else answers, and where.
        pages: what browsers are shown in the place of problem documents, by status.

    Raises:
        ComponentError: a component has the very route of JSON-RPC, of wRPC, or of a redirect; or a redirect leads
            to itself.
    """

    def __init__(
        self,
        services: Sequence[Service],
        config: ServerConfig,
        operations: Mapping[str, Endpoint],
        tracer: Tracer | None = None,
        *,
        beside: Iterable[tuple[RouteMatch, Endpoint]] = (),
        pages: Mapping[int, PageFile] = MappingProxyType({}),
    ) -> None:
        self._tracer = tracer
        self._operations = operations
        self._operations_first = config.operational_routes == "first"
        beside = tuple(beside)
        taken = {route.key for route, _ in beside}
        self._router: Router[Endpoint] = Router((*_endpoints(services, config, taken), *beside))
        for _, endpoint in beside:
            if isinstance(endpoint, RedirectEndpoint):
                endpoint.check(self._router)
        self._pages = pages
        self._trusted = TrustedProxies(config.trusted_proxies, header=config.forwarded_header)
        self._max_header_bytes = config.max_header_bytes
        self._access_log = config.access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            gateway.routes.exchange.ResponseAborted: the response had begun and is not whole.
        """
        began = perf_counter()
        lines = FieldLines(scope["headers"])
        origin = self._origin(scope, lines)
        identity = request_id(lines)
        trace = incoming(lines, identity)
        span: Span | None = None
        if self._tracer is not None:
            span = self._tracer.request(trace, scope, origin, identity)
            trace = span.trace
        request = Request(
            scope,
            receive,
            send,
            lines=lines,
            path=path_of(scope),
            id=identity,
            origin=origin,
            trace=trace,
        )
        request.pages = self._pages
        endpoint = self._endpoint(request)
        try:
            if isinstance(endpoint, Problem):
                await request.refuse(endpoint)
            else:
                await endpoint.answer(request)
        finally:
            if span is not None:
                span.end(
                    status=request.status,
                    route=request.route,
                    component=request.component,
                    outcome=request.outcome,
                )
            if self._access_log:
                _log_access(request, perf_counter() - began)

    def _endpoint(self, request: Request) -> Endpoint | Problem:
        """What answers a request, or why nothing does."""
        lines, authority = request.lines, request.origin.authority
        if lines.size > self._max_header_bytes:
            return problem.HEADERS_TOO_LARGE
        # RFC 9112 section 3.2: 400 for a request without one valid Host. HTTP/1.0 need not have one.
        if authority is None or len(lines.get(b"host", ())) > 1:
            return problem.NO_AUTHORITY
        operation = self._operations.get(request.path)
        if operation is not None and self._operations_first:
            return operation
        return self._router.match(authority, request.path) or operation or problem.NO_ROUTE

    def _origin(self, scope: Scope, lines: FieldLines) -> Origin:
        """Where a request comes from."""
        hosts = lines.get(b"host", ())
        client = scope.get("client")
        # Servers tell no address of who has left a port already. No address is what peers of a Unix socket have.
        unknown = not client and _is_at_port(scope)
        origin = effective(
            client[0] if client else None,
            scope["scheme"],
            # Not every server strips the whitespace behind a field's value (RFC 9110 section 5.5).
            hosts[0].strip(b" \t") if len(hosts) == 1 else None,
            lines,
            _NOBODY if unknown else self._trusted,
        )
        if unknown:
            origin = origin._replace(client=None)
        if not hosts and origin.authority is None and scope["http_version"] == "1.0":
            origin = origin._replace(authority=server_authority(scope))
        return origin


def _is_at_port(scope: Scope) -> bool:
    """Whether a request came to a TCP port, as far as its server tells."""
    server = scope.get("server")
    return server is not None and server[1] is not None


def _endpoints(
    services: Sequence[Service],
    config: ServerConfig,
    redirected: Iterable[tuple[str | None, str, str]],
) -> Iterator[tuple[Route, Endpoint]]:
    calls: dict[tuple[str | None, str, str], str] = dict.fromkeys(
        redirected, "requests are redirected. Choose another path for one of them"
    )
    if any(service.procedures for service in services):
        route = Route(path=config.rpc_prefix)
        calls[route.key] = "JSON-RPC is served. Choose another rpc_prefix, or set rpc = false"
        rpc = RpcEndpoint(services, config)
        yield route, CorsEndpoint(rpc, config) if config.rpc_cors_origins else rpc
    if by_wrpc := [service for service in services if service.config.wrpc]:
        route = Route(path=config.wrpc_prefix)
        calls[route.key] = "wRPC is served. Choose another wrpc_prefix, or set wrpc = false"
        yield route, WrpcEndpoint(by_wrpc, config)
    for service in services:
        if service.handler is None:
            continue
        for route in service.routes:
            if (what := calls.get(route.key)) is not None:
                raise ComponentError(f"{service.config.source}: its route {route} is where {what}.")
            yield route, HttpEndpoint(service, service.handler, route)


def _log_access(request: Request, duration: float) -> None:
    scope = request.scope
    # A logger of structlog is made each time that it is asked for a method: not before there is a line for it.
    log = getattr(request.log or _log, request.log_level)
    log(
        "request",
        request_id=request.id,
        trace_id=request.trace.trace_id,
        component=request.component,
        client=request.origin.client,
        method=scope["method"],
        authority=request.origin.authority,
        path=request.path,
        status=request.status,
        outcome=None if request.outcome is None else request.outcome.value,
        sent=request.sent,
        duration_ms=round(duration * 1000, 3),
    )
