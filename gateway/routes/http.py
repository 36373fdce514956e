"""The HTTP route: which component answers a request, and whether it may.

A request is refused here, before any guest runs, where that can be told from its head alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter
from typing import Final

import structlog
from starlette.types import Receive, Scope, Send

from gateway.config import ServerConfig
from gateway.events import Outcome
from gateway.metrics import Metrics
from gateway.routes import problem
from gateway.routes.exchange import Exchange
from gateway.routes.forwarded import Origin, TrustedProxies, effective
from gateway.routes.problem import Problem, send_problem
from gateway.routes.request_id import request_id
from gateway.routes.router import Router
from gateway.routes.target import path_of
from gateway.service import Service

__all__ = ["HttpRoute"]

_log = structlog.get_logger("gateway.access")

_OUTCOMES: Final = {
    problem.CONTENT_TOO_LARGE: Outcome.REJECTED,
    problem.OVERLOADED: Outcome.EXHAUSTED,
}
"""The refusals that count as invocations: a component was found, and would have been invoked."""

_LINE_OVERHEAD: Final = 4
"""Bytes of a header line besides name and value: a colon, a space, CR and LF."""


class HttpRoute:
    """Answers HTTP requests with components.

    Args:
        services: the components.
        config: what the operator said of the server.
        metrics: what counts the invocations.
    """

    def __init__(self, services: Iterable[Service], config: ServerConfig, metrics: Metrics) -> None:
        self._router = Router(
            (route, service) for service in services for route in service.config.routes
        )
        self._trusted = TrustedProxies(config.trusted_proxies, header=config.forwarded_header)
        self._max_header_bytes = config.max_header_bytes
        self._access_log = config.access_log
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            ResponseAborted: the response had begun and is not whole.
        """
        began = perf_counter()
        identity = request_id(scope["headers"])
        origin, hosts = self._origin(scope)
        service = self._router.match(origin.authority, path_of(scope))
        refusal = self._refusal(scope, service, origin, hosts)
        if refusal is not None or service is None:
            refused = refusal or problem.NO_ROUTE
            outcome = _OUTCOMES.get(refused)
            if service is not None and outcome is not None:
                self._metrics.returned(service.name, outcome)
            await send_problem(send, refused, identity, head_only=scope["method"] == "HEAD")
            self._log(
                scope, identity, origin, service, began, status=refused.status, outcome=outcome
            )
            return
        exchange = Exchange(service, scope, receive, send, origin=origin, request_id=identity)
        service.in_flight += 1
        try:
            await exchange.run()
        finally:
            service.in_flight -= 1
            self._metrics.returned(service.name, exchange.outcome)
            self._log(
                scope,
                identity,
                origin,
                service,
                began,
                status=exchange.status,
                outcome=exchange.outcome,
                sent=exchange.sent,
            )

    def _origin(self, scope: Scope) -> tuple[Origin, int]:
        """Where a request comes from, and how many `Host` fields it has."""
        headers = scope["headers"]
        # Not every server strips the whitespace behind a field's value (RFC 9110 section 5.5).
        hosts = [value.strip(b" \t") for name, value in headers if name == b"host"]
        client = scope.get("client")
        origin = effective(
            client[0] if client else None,
            scope["scheme"],
            hosts[0] if len(hosts) == 1 else None,
            headers,
            self._trusted,
        )
        return origin, len(hosts)

    def _refusal(
        self, scope: Scope, service: Service | None, origin: Origin, hosts: int
    ) -> Problem | None:
        headers = scope["headers"]
        size = sum(len(name) + len(value) + _LINE_OVERHEAD for name, value in headers)
        if size > self._max_header_bytes:
            return problem.HEADERS_TOO_LARGE
        # RFC 9112 section 3.2: 400 for a request without one valid Host. HTTP/1.0 need not have one.
        if hosts > 1 or (origin.authority is None and (hosts or scope["http_version"] != "1.0")):
            return problem.NO_AUTHORITY
        if service is None:
            return problem.NO_ROUTE
        max_body = service.config.max_body
        if max_body is not None and _content_length(headers) > max_body:
            return problem.CONTENT_TOO_LARGE
        if service.in_flight >= service.config.max_concurrency:
            return problem.OVERLOADED
        return None

    def _log(
        self,
        scope: Scope,
        identity: str,
        origin: Origin,
        service: Service | None,
        began: float,
        *,
        status: int,
        outcome: Outcome | None,
        sent: int = 0,
    ) -> None:
        if not self._access_log:
            return
        _log.info(
            "request",
            request_id=identity,
            component=None if service is None else service.name,
            client=origin.client,
            method=scope["method"],
            authority=origin.authority,
            path=path_of(scope),
            status=status,
            outcome=None if outcome is None else outcome.value,
            sent=sent,
            duration_ms=round((perf_counter() - began) * 1000, 3),
        )


def _content_length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The announced length of a request's body, in bytes; 0 if none is. The server has checked the syntax."""
    return next((int(value) for name, value in headers if name == b"content-length"), 0)
