"""The admin API as an ASGI application.

What is not for everyone is told to nobody: a request is authenticated before it is looked at, so that without a
token every path and every method has the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import structlog
from pydantic import TypeAdapter
from starlette.types import Receive, Scope, Send

from gateway.admin import problems
from gateway.admin.component_body import InvalidComponent, describe, taken_routes
from gateway.admin.endpoints import ENDPOINTS, PREFIX, Endpoint
from gateway.admin.exchange import Exchange, Refused
from gateway.admin.openapi import document
from gateway.admin.operations import Operations
from gateway.admin.problems import ErrorDetail
from gateway.admin.token import InvalidToken, NoToken, Principal, Verifier, bearer
from gateway.config.problem import ConfigError
from gateway.config.route import RouteConflict
from gateway.host.errors import ComponentError
from gateway.http import problem
from gateway.http.canonical import canonical_path
from gateway.http.target import path_of
from gateway.json.text import InvalidJson, dump, parse
from gateway.lifecycle.reload import Spreading
from gateway.lifecycle.status import ComponentStatus, ServerStatus, Superseded
from gateway.routes.request import ClientDisconnected

__all__ = ["AdminApi"]

_log = structlog.get_logger("gateway.admin")

_Handler: TypeAlias = Callable[[Exchange, str], Awaitable[None]]
"""Answers a request; is given the name in its path, "" if it has none."""

_STATUS: Final = TypeAdapter(ServerStatus)
_COMPONENT: Final = TypeAdapter(ComponentStatus)
_COMPONENTS: Final = TypeAdapter(dict[str, tuple[ComponentStatus, ...]])

_CHALLENGE: Final = b'Bearer realm="component-gateway"'


class AdminApi:
    """An ASGI application that answers below `/admin/v1`.

    Args:
        operations: the gateway.
        verifier: tells whose tokens are taken.
        base: the folder that relative paths of components count from: that of the configuration file.
    """

    def __init__(
        self,
        operations: Operations,
        verifier: Verifier,
        base: Path,
    ) -> None:
        self._operations = operations
        self._verifier = verifier
        self._base = base
        self._document = dump(document())
        handlers: Mapping[str, _Handler] = {
            "listComponents": self._list_components,
            "getComponent": self._get_component,
            "putComponent": self._put_component,
            "deleteComponent": self._delete_component,
            "reload": self._reload,
            "drain": self._drain,
            "getStatus": self._get_status,
            "getDocument": self._get_document,
        }
        self._resources = _resources(handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. Other scopes are not for this application."""
        if scope["type"] != "http":
            raise ValueError(f"the admin API has no answer for the ASGI scope {scope['type']!r}")
        exchange = Exchange(scope, receive, send)
        principal: Principal | None = None
        try:
            path = canonical_path(path_of(scope))
            if path != _DOCUMENT_PATH:
                principal = self._authenticate(exchange)
            await self._dispatch(exchange, path, principal)
        except Refused as refused:
            await exchange.refuse(refused.problem, *refused.headers)
        except ClientDisconnected:
            return
        except Exception:
            _log.exception("admin request failed", request_id=exchange.id)
            if exchange.status:
                raise
            await exchange.refuse(problem.GATEWAY_FAILED)
        if principal is not None:
            _log.info(
                "admin request",
                method=exchange.method,
                path=path,
                status=exchange.status,
                subject=principal.subject,
                token_id=principal.token_id,
                request_id=exchange.id,
            )

    def _authenticate(self, exchange: Exchange) -> Principal:
        try:
            return self._verifier.verify(bearer(exchange.scope["headers"]))
        except NoToken:
            # "SHOULD NOT include an error code or other error information" (RFC 6750, section 3.1)
            challenge = _CHALLENGE
        except InvalidToken as error:
            client = exchange.scope.get("client")
            _log.warning(
                "admin token refused",
                reason=str(error),
                client=client[0] if client else None,
                request_id=exchange.id,
            )
            challenge = _CHALLENGE + b', error="invalid_token"'
        raise Refused(problems.UNAUTHORIZED, (b"www-authenticate", challenge))

    async def _dispatch(self, exchange: Exchange, path: str, principal: Principal | None) -> None:
        name, methods = self._find(path)
        found = methods.get(exchange.method)
        if found is None:
            raise Refused(
                problem.METHOD_NOT_ALLOWED, (b"allow", ", ".join(sorted(methods)).encode("ascii"))
            )
        endpoint, handler = found
        if endpoint.scope is not None and (
            principal is None or endpoint.scope not in principal.scopes
        ):
            challenge = f', error="insufficient_scope", scope="{endpoint.scope}"'.encode("ascii")
            raise Refused(
                problems.INSUFFICIENT_SCOPE, (b"www-authenticate", _CHALLENGE + challenge)
            )
        await handler(exchange, name)

    def _find(self, path: str) -> tuple[str, _Methods]:
        """The name in a path, and the methods of what is there."""
        for pattern, methods in self._resources:
            match = pattern.fullmatch(path)
            if match is not None:
                return match.groupdict().get("name", ""), methods
        raise Refused(problems.NOTHING_HERE)

    # --- components ----------------------------------------------------------------------------------------

    async def _list_components(self, exchange: Exchange, _name: str) -> None:
        listed = {"components": tuple(self._operations.components())}
        await exchange.respond(200, _COMPONENTS.dump_json(listed))

    async def _get_component(self, exchange: Exchange, name: str) -> None:
        for component in self._operations.components():
            if component.name == name:
                await exchange.respond(200, _COMPONENT.dump_json(component))
                return
        raise Refused(problems.NO_COMPONENT)

    async def _put_component(self, exchange: Exchange, name: str) -> None:
        content = await exchange.json_content()
        try:
            config = describe(name, parse(content), self._base, self._operations.defaults())
        except InvalidJson as error:
            raise Refused(problems.invalid_json(str(error))) from None
        except InvalidComponent as error:
            raise Refused(problems.invalid_component(error.errors)) from None
        routes = {other.name: other.routes for other in self._operations.components()}
        if taken := taken_routes(config, routes):
            raise Refused(problems.route_conflict(taken))
        try:
            component, created = await self._operations.put_component(config)
        except Spreading:
            await self._accepted(exchange)
            return
        except RouteConflict as error:
            reason = ErrorDetail(detail=str(error), pointer="/routes")
            raise Refused(problems.route_conflict([reason])) from None
        except Superseded:
            raise Refused(problems.SUPERSEDED) from None
        except ComponentError as error:
            raise Refused(problems.component_refused(str(error))) from None
        await exchange.respond(201 if created else 200, _COMPONENT.dump_json(component))

    async def _delete_component(self, exchange: Exchange, name: str) -> None:
        try:
            existed = await self._operations.delete_component(name)
        except Superseded:
            raise Refused(problems.SUPERSEDED) from None
        except Spreading:
            await self._accepted(exchange)
            return
        if not existed:
            raise Refused(problems.NO_COMPONENT)
        await exchange.respond(204, b"")

    # --- the server ----------------------------------------------------------------------------------------

    async def _reload(self, exchange: Exchange, _name: str) -> None:
        try:
            await self._operations.reload()
        except Spreading:
            await self._accepted(exchange)
            return
        except (ConfigError, ComponentError) as error:
            raise Refused(problems.reload_refused(str(error).splitlines())) from None
        await self._get_status(exchange, _name)

    async def _accepted(self, exchange: Exchange) -> None:
        await exchange.respond(202, _STATUS.dump_json(self._operations.status()))

    async def _drain(self, exchange: Exchange, _name: str) -> None:
        self._operations.drain()
        await self._accepted(exchange)

    async def _get_status(self, exchange: Exchange, _name: str) -> None:
        await exchange.respond(200, _STATUS.dump_json(self._operations.status()))

    async def _get_document(self, exchange: Exchange, _name: str) -> None:
        await exchange.respond(200, self._document)


_Methods: TypeAlias = dict[str, tuple[Endpoint, _Handler]]

_DOCUMENT_PATH: Final = f"{PREFIX}/openapi.json"


def _resources(handlers: Mapping[str, _Handler]) -> list[tuple[re.Pattern[str], _Methods]]:
    """The methods of each resource, by the form of its path."""
    by_path: dict[str, _Methods] = {}
    for endpoint in ENDPOINTS:
        methods = by_path.setdefault(endpoint.path, {})
        methods[endpoint.method] = (endpoint, handlers[endpoint.id])
        if endpoint.method == "GET":
            methods["HEAD"] = methods["GET"]
    return [
        (re.compile(re.escape(path).replace(r"\{name\}", "(?P<name>[^/]+)")), methods)
        for path, methods in by_path.items()
    ]
