"""HTTP requests that a component answers itself, through its `wasi:http/incoming-handler`."""

from __future__ import annotations

from gateway.config import Route
from gateway.host.linker import Export
from gateway.http import problem
from gateway.http.gateway_fields import CLIENT_ADDR, PREFIX, ROUTE
from gateway.http.problem import Problem
from gateway.http.target import split_target, target_of
from gateway.observe.events import HttpIncomingHandlerHandleReturned, Outcome
from gateway.routes.exchange import Exchange
from gateway.routes.request import Request
from gateway.serving.admission import NoRoom
from gateway.serving.service import Service

__all__ = ["HttpEndpoint"]


class HttpEndpoint:
    """Where the requests at one of a component's routes go.

    Args:
        service: the component.
        handler: its `wasi:http/incoming-handler`.
        route: the route.
    """

    def __init__(self, service: Service, handler: Export, route: Route) -> None:
        self._service = service
        self._handler = handler
        self._route = str(route)
        self._path = route.path
        self._told = (ROUTE, route.path.encode())
        self._stripped = route.path.count("/") if route.strip_prefix and route.path != "/" else 0

    async def answer(self, request: Request) -> None:
        """Answer a request, with a refusal where that can be told from its head alone.

        Raises:
            ResponseAborted: the response had begun and is not whole.
        """
        service = self._service
        request.component = service.name
        request.route = self._path
        request.log = service.access_log
        max_body = service.config.max_body
        if max_body is not None and request.content_length() > max_body:
            await self._refuse(request, problem.CONTENT_TOO_LARGE, Outcome.REJECTED)
            return
        try:
            place = service.gate.try_enter() or await service.wait()
        except NoRoom:
            await self._refuse(request, problem.OVERLOADED, Outcome.EXHAUSTED)
            return
        try:
            target, told = target_of(request.scope), [self._told]
            if request.origin.client is not None:
                told.append((CLIENT_ADDR, request.origin.client.encode()))
            if self._stripped:
                prefix, rest, query = split_target(target, request.path, self._stripped)
                target = f"{rest or '/'}{query}"
                told.append((PREFIX, prefix.encode("latin-1")))
            await Exchange(
                service,
                self._handler,
                request,
                place=place,
                route=self._route,
                target=target,
                told=told,
            ).run()
        finally:
            place.release()

    async def _refuse(self, request: Request, what: Problem, outcome: Outcome) -> None:
        """Refuse what would have been an invocation, and counts as one."""
        request.outcome = outcome
        self._service.refused(HttpIncomingHandlerHandleReturned, outcome, self._handler, request.id)
        await request.refuse(what)
