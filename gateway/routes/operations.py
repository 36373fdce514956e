"""Operational routes: whether the gateway lives, whether it may be sent requests, and what it has counted.

`/healthz` answers as long as the event loop turns; a worker that does not answer needs to be restarted. `/readyz`
answers 200 while requests may be sent here, and 503 with the reasons while they should go elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final, Protocol

import structlog

from gateway.host.scheduler import Level, Scheduler
from gateway.http import problem
from gateway.json.text import dump
from gateway.observe.metrics import Metrics
from gateway.routes.metrics import exposition
from gateway.routes.request import Request

__all__ = ["Health", "Operation", "operations"]

_log = structlog.get_logger("gateway.access")

_JSON: Final = b"application/json"

Content = tuple[int, bytes, bytes]
"""Status, content type and content."""


class Health(Protocol):
    """What can be told of a gateway."""

    def reasons(self) -> list[str]:
        """Why it should not be sent requests; none if it may be."""

    def warnings(self) -> list[str]:
        """What the operator should see to, although requests may be sent."""

    def components(self) -> list[str]:
        """The names of what is loaded and linked."""


class Operation:
    """An endpoint that only tells.

    Args:
        content: what it tells a request.
        long: whether that takes milliseconds to make. Threat: many that ask at once. They wait for their turns, as
            guests do that compute.
    """

    def __init__(self, content: Callable[[Request], Content], *, long: bool = False) -> None:
        self._content = content
        self._long = long

    async def answer(self, request: Request) -> None:
        """Answer a request."""
        # Somebody asks every few seconds.
        request.log, request.log_level = _log, "debug"
        if request.scope["method"] not in {"GET", "HEAD"}:
            await request.refuse(problem.METHOD_NOT_ALLOWED, (b"allow", b"GET, HEAD"))
            return
        scheduler = Scheduler.current() if self._long else None
        if scheduler is not None and not scheduler.has_time:
            await scheduler.next_tick(Level.SHORT)
        began = monotonic()
        status, content_type, content = self._content(request)
        if scheduler is not None:
            scheduler.spend(monotonic() - began, Level.SHORT)
        await request.respond(status, content_type, content, (b"cache-control", b"no-store"))


def operations(health: Health, metrics: Metrics | None) -> Mapping[str, Operation]:
    """The operational routes, by path.

    Args:
        health: what the health checks ask.
        metrics: what is told to Prometheus; None for no such route.
    """

    def healthz(_request: Request) -> Content:
        return 200, _JSON, dump({"status": "alive"})

    def readyz(_request: Request) -> Content:
        reasons = health.reasons()
        body = {
            "status": "not ready" if reasons else "ready",
            "reasons": reasons,
            "warnings": health.warnings(),
            "components": health.components(),
        }
        return 503 if reasons else 200, _JSON, dump(body)

    routes = {"/healthz": Operation(healthz), "/readyz": Operation(readyz)}
    if metrics is not None:
        counted = metrics

        def exposed(request: Request) -> Content:
            accepted = b",".join(
                value for name, value in request.scope["headers"] if name == b"accept"
            )
            content_type, content = exposition(counted, accepted)
            return 200, content_type, content

        routes["/metrics"] = Operation(exposed, long=True)
    return routes
