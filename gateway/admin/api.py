"""The admin API: which operation a request asks for, whether it may, and the answer.

What is not for everyone is told to nobody: a request is authenticated before it is looked at, so that without a
token every path and every method has the same answer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import structlog
from pydantic import TypeAdapter

from gateway.admin import problems
from gateway.admin.component_body import InvalidComponent, describe, taken_routes
from gateway.admin.contents import Contents, NotKept
from gateway.admin.endpoints import ENDPOINTS, PREFIX, AdminEndpoint
from gateway.admin.openapi import document
from gateway.admin.operations import Operations
from gateway.admin.problems import ErrorDetail
from gateway.admin.refused import Refused
from gateway.admin.token import InvalidToken, NoToken, Principal, Verifier, bearer
from gateway.config.component import ComponentConfig, component_name
from gateway.config.problem import ConfigError
from gateway.config.route import RouteConflict
from gateway.host.component import MAX_SIZE
from gateway.host.errors import ComponentError
from gateway.http import problem
from gateway.http.canonical import canonical_path
from gateway.http.media_type import JSON, WASM, is_of, is_utf_8
from gateway.json.text import InvalidJson, dump, parse
from gateway.lifecycle.reload import Spreading
from gateway.lifecycle.status import ComponentStatus, ServerStatus, Superseded
from gateway.routes.request import ClientDisconnected, ContentTooLarge, Request

__all__ = ["MAX_CONTENT", "AdminApi"]

_log = structlog.get_logger("gateway.admin")

_Handler: TypeAlias = Callable[[Request, str], Awaitable[None]]
"""Answers a request; is given the name in its path, "" if it has none."""

_STATUS: Final = TypeAdapter(ServerStatus)
_COMPONENT: Final = TypeAdapter(ComponentStatus)
_COMPONENTS: Final = TypeAdapter(dict[str, tuple[ComponentStatus, ...]])

MAX_CONTENT: Final = 64 << 10
"""Bytes of a request's content. Threat: memory for whoever has a token. A description of a component with some
hundred variables has ten KiB."""

_CHALLENGE: Final = b'Bearer realm="component-gateway"'


class AdminApi:
    """Answers the requests below `/admin/v1`.

    Args:
        operations: the gateway.
        verifier: tells whose tokens are taken.
        base: the folder that relative paths of components count from: that of the configuration file.
        contents: where components are kept that are sent; None for none.
    """

    def __init__(
        self,
        operations: Operations,
        verifier: Verifier,
        base: Path,
        contents: Contents | None = None,
    ) -> None:
        self._operations = operations
        self._verifier = verifier
        self._base = base
        self._contents = contents
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

    async def answer(self, request: Request) -> None:
        """Answer a request."""
        principal: Principal | None = None
        try:
            path = canonical_path(request.path)
            if path != _DOCUMENT_PATH:
                principal = self._authenticate(request)
            await self._dispatch(request, path, principal)
        except Refused as refused:
            await request.refuse(refused.problem, *refused.headers)
        except ClientDisconnected:
            return
        except Exception:
            _log.exception("admin request failed", request_id=request.id)
            if request.status:
                raise
            await request.refuse(problem.GATEWAY_FAILED)
        if principal is not None:
            _log.info(
                "admin request",
                method=request.scope["method"],
                path=path,
                status=request.status,
                subject=principal.subject,
                token_id=principal.token_id,
                request_id=request.id,
            )

    def _authenticate(self, request: Request) -> Principal:
        try:
            return self._verifier.verify(bearer(request.scope["headers"]))
        except NoToken:
            # "SHOULD NOT include an error code or other error information" (RFC 6750, section 3.1)
            challenge = _CHALLENGE
        except InvalidToken as error:
            _log.warning(
                "admin token refused",
                reason=str(error),
                client=request.origin.client,
                request_id=request.id,
            )
            challenge = _CHALLENGE + b', error="invalid_token"'
        raise Refused(problems.UNAUTHORIZED, (b"www-authenticate", challenge))

    async def _dispatch(self, request: Request, path: str, principal: Principal | None) -> None:
        name, methods = self._find(path)
        found = methods.get(request.scope["method"])
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
        await handler(request, name)

    def _find(self, path: str) -> tuple[str, _Methods]:
        """The name in a path, and the methods of what is there."""
        for pattern, methods in self._resources:
            match = pattern.fullmatch(path)
            if match is not None:
                return match.groupdict().get("name", ""), methods
        raise Refused(problems.NOTHING_HERE)

    # --- components ----------------------------------------------------------------------------------------

    async def _list_components(self, request: Request, _name: str) -> None:
        listed = {"components": tuple(self._operations.components())}
        await _respond(request, 200, _COMPONENTS.dump_json(listed))

    async def _get_component(self, request: Request, name: str) -> None:
        for component in self._operations.components():
            if component.name == name:
                await _respond(request, 200, _COMPONENT.dump_json(component))
                return
        raise Refused(problems.NO_COMPONENT)

    async def _put_component(self, request: Request, name: str) -> None:
        if not is_of(request.lines, WASM):
            content = await _json_content(request)
            try:
                description = parse(content)
            except InvalidJson as error:
                raise Refused(problems.invalid_json(str(error))) from None
            await self._put(request, await self._described(name, description))
            return
        if self._contents is None:
            raise Refused(problems.NOT_KEPT_HERE)
        try:
            component_name(name)  # first: nothing is written for one that there cannot be
        except ValueError as error:
            reason = ErrorDetail(detail=str(error), parameter="name")
            raise Refused(problems.invalid_component([reason])) from None
        path: Path | None = None
        try:
            async with self._contents.kept(name, request.parts(MAX_SIZE)) as path:
                present = self._operations.configurations().get(name)
                if present is None:
                    config = await self._described(name, {"source": str(path)})
                else:
                    config = present.model_copy(update={"source": path, "build": None})
                await self._put(request, config)
        except ContentTooLarge:
            raise Refused(problems.COMPONENT_TOO_LARGE) from None
        except NotKept as error:
            raise Refused(problems.not_kept(str(error))) from None
        except TimeoutError:
            raise Refused(problem.REQUEST_TIMEOUT) from None
        finally:
            if path is not None:
                await self._forget(name, path)

    async def _forget(self, name: str, source: Path) -> None:
        """Remove what was sent for a component, unless it is served from there, or another that was told to be."""
        if self._contents is None:
            return
        if all(it.source != source for it in self._operations.configurations().values()):
            await self._contents.remove(name, source)

    async def _described(self, name: str, description: object) -> ComponentConfig:
        """Read the description of a component.

        Raises:
            Refused: it describes none.
        """
        try:
            # It looks at files, and reads one of values.
            return await asyncio.to_thread(
                describe, name, description, self._base, self._operations.defaults()
            )
        except InvalidComponent as error:
            raise Refused(problems.invalid_component(error.errors)) from None

    async def _put(self, request: Request, config: ComponentConfig) -> None:
        """Load a component or replace it, and answer.

        Raises:
            Refused: it cannot be.
        """
        before = self._operations.configurations().get(config.name)
        routes = {other.name: other.routes for other in self._operations.components()}
        if taken := taken_routes(config, routes):
            raise Refused(problems.route_conflict(taken))
        try:
            component, created = await self._operations.put_component(config)
        except Spreading:
            await self._accepted(request)
            return
        except RouteConflict as error:
            reason = ErrorDetail(detail=str(error), pointer="/routes")
            raise Refused(problems.route_conflict([reason])) from None
        except Superseded:
            raise Refused(problems.SUPERSEDED) from None
        except ComponentError as error:
            raise Refused(problems.component_refused(str(error))) from None
        finally:
            if before is not None:
                await self._forget(config.name, before.source)
        await _respond(request, 201 if created else 200, _COMPONENT.dump_json(component))

    async def _delete_component(self, request: Request, name: str) -> None:
        before = self._operations.configurations().get(name)
        try:
            existed = await self._operations.delete_component(name)
        except Superseded:
            raise Refused(problems.SUPERSEDED) from None
        except Spreading:
            await self._accepted(request)
            return
        except ComponentError as error:
            raise Refused(problems.component_in_use(str(error))) from None
        finally:
            if before is not None:
                await self._forget(name, before.source)
        if not existed:
            raise Refused(problems.NO_COMPONENT)
        await _respond(request, 204, b"")

    # --- the server ----------------------------------------------------------------------------------------

    async def _reload(self, request: Request, _name: str) -> None:
        try:
            await self._operations.reload()
        except Spreading:
            await self._accepted(request)
            return
        except (ConfigError, ComponentError) as error:
            raise Refused(problems.reload_refused(str(error).splitlines())) from None
        await self._get_status(request, _name)

    async def _accepted(self, request: Request) -> None:
        await _respond(request, 202, _STATUS.dump_json(self._operations.status()))

    async def _drain(self, request: Request, _name: str) -> None:
        self._operations.drain()
        await self._accepted(request)

    async def _get_status(self, request: Request, _name: str) -> None:
        await _respond(request, 200, _STATUS.dump_json(self._operations.status()))

    async def _get_document(self, request: Request, _name: str) -> None:
        await _respond(request, 200, self._document)


async def _json_content(request: Request) -> bytes:
    """Receive the whole content, which must say that it is JSON.

    Raises:
        Refused: it says something else, or is too large or too slow.
        ClientDisconnected: it never came.
    """
    if not is_utf_8(request.lines, {JSON}):
        raise Refused(problems.UNSUPPORTED_MEDIA_TYPE)
    try:
        return await request.content(MAX_CONTENT)
    except ContentTooLarge:
        raise Refused(problems.DESCRIPTION_TOO_LARGE) from None
    except TimeoutError:
        raise Refused(problem.REQUEST_TIMEOUT) from None


async def _respond(request: Request, status: int, content: bytes) -> None:
    await request.respond(status, JSON, content, (b"cache-control", b"no-store"))


_Methods: TypeAlias = dict[str, tuple[AdminEndpoint, _Handler]]

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
