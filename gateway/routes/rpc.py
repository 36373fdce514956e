"""JSON-RPC 2.0 over HTTP: the functions that components export, as methods.

    POST /rpc/{component}   a request, a notification or a batch of them
    GET  /rpc/{component}   the OpenRPC document of its methods
    GET  /rpc               the components that have methods

A browser that asks for one of the last two gets a page that shows them to a person (`rpc_page`).

What the transport refuses (another media type, too much content) is a problem document. Whatever was read as
JSON-RPC is answered by JSON-RPC, with status 200, or 204 where there is nothing to answer. The one exception is
a call for which there is no room: 503 with `Retry-After`, so that load balancers try another gateway. A batch is
answered so only if none of its calls was made, or they would be made twice.

Source: https://www.jsonrpc.org/specification, https://spec.open-rpc.org
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from gateway.config import ServerConfig, canonical_path
from gateway.http import problem
from gateway.http.accept import VARY, prefers
from gateway.http.media_type import JSON, is_utf_8
from gateway.json.text import dump
from gateway.observe.events import Outcome
from gateway.routes.calls import Calls
from gateway.routes.request import ClientDisconnected, ContentTooLarge, Request, server_timing
from gateway.routes.rpc_page import MEDIA_TYPE, page
from gateway.rpc.openrpc import document, head
from gateway.serving.service import Service

__all__ = ["RpcEndpoint", "described"]

_MEDIA_TYPES: Final = frozenset((JSON, b"application/json-rpc", b"application/jsonrequest"))
"""What a request may be (JSON-RPC over HTTP, 2013 draft, section 2.2). A page of another site cannot send any of
them without the browser asking first, so there are no calls by forged forms."""


class RpcEndpoint:
    """Where the requests below `rpc_prefix` go.

    Args:
        services: the components.
        config: what the operator said of the server.
    """

    def __init__(self, services: Sequence[Service], config: ServerConfig) -> None:
        self._prefix = config.rpc_prefix
        self._services = {
            f"{self._prefix}/{service.name}": service for service in services if service.procedures
        }
        self._root = self._prefix, f"{self._prefix}/"
        self._max_body = config.rpc_max_body
        self._max_result = config.rpc_max_result
        self._max_batch = config.rpc_max_batch
        self._page = page() if config.rpc_page else None
        # Made before anyone asks, for a large component's takes long; once for all that are of one component.
        for service in self._services.values():
            service.exports.description  # noqa: B018

    async def answer(self, request: Request) -> None:
        """Answer a request."""
        request.pages = {}  # whoever calls a function reads problem documents
        method = request.scope["method"]
        path = request.path
        service = self._services.get(path)
        if service is None:
            path = canonical_path(path)
            service = self._services.get(path)
        if path in self._root:
            if method in {"GET", "HEAD"}:
                await self._show(request, dump(self._list(request)))
            else:
                await request.refuse(problem.METHOD_NOT_ALLOWED, (b"allow", b"GET, HEAD"))
            return
        if service is None:
            await request.refuse(problem.NO_ROUTE)
            return
        request.component = service.name
        request.route = path
        request.log = service.access_log
        if method == "POST":
            await self._post(service, request)
        elif method in {"GET", "HEAD"}:
            await self._show(request, self._document(service, request))
        else:
            await request.refuse(problem.METHOD_NOT_ALLOWED, (b"allow", b"GET, HEAD, POST"))

    async def _post(self, service: Service, request: Request) -> None:
        if not is_utf_8(request.lines, _MEDIA_TYPES):
            await request.refuse(problem.UNSUPPORTED_MEDIA_TYPE)
            return
        try:
            body = await request.content(self._max_body)
        except ContentTooLarge:
            await request.refuse(problem.CONTENT_TOO_LARGE)
            return
        except TimeoutError:
            await request.refuse(problem.REQUEST_TIMEOUT)
            return
        except ClientDisconnected:
            request.outcome = Outcome.CANCELLED
            return
        calls = Calls(service, request, route=self._prefix, max_result=self._max_result)
        discover = partial(self._document, service, request)
        content = await calls.answer(body, discover, max_batch=self._max_batch)
        if service.server_timing:
            request.timing = server_timing(*calls.phases)
        if calls.client_left:
            return
        if content is None and calls.refused_all:
            await request.refuse(problem.OVERLOADED)
        elif content is None:
            await request.respond(204, JSON, b"")
        elif calls.refused_all:
            await request.respond(503, JSON, content, (b"retry-after", b"1"))
        else:
            await request.respond(200, JSON, content)

    async def _show(self, request: Request, content: bytes) -> None:
        """Answer a GET or HEAD, with the page where that is liked better than what it shows."""
        if self._page is None:
            await request.respond(200, JSON, content)
        elif prefers(request.lines, b"text/html", to=JSON):
            await request.respond(200, MEDIA_TYPE, self._page.content, VARY, *self._page.headers)
        else:
            await request.respond(200, JSON, content, VARY)

    def _list(self, request: Request) -> object:
        return {
            "components": [
                {
                    "name": service.name,
                    "url": self._url(service, request),
                    "methods": len(service.methods.served),
                }
                for service in self._services.values()
            ]
        }

    def _document(self, service: Service, request: Request) -> bytes:
        # Not kept for each URL: where this application is mounted at a pattern, clients choose among any number.
        component = service.linked.component
        url = self._url(service, request)
        first = head(component.docs, name=service.name, digest=component.digest, url=url)
        return dump(first)[:-1] + b"," + service.exports.description + b"}"

    def _url(self, service: Service, request: Request) -> str:
        """Where the methods of a component are: a reference that any proxy in front leaves right."""
        return f"{request.scope.get('root_path', '')}{self._prefix}/{service.name}"


def described(service: Service, url: str) -> dict[str, Any]:
    """The OpenRPC document of a component: `gateway.rpc.openrpc.document`.

    Args:
        service: the component.
        url: where it is called.
    """
    component = service.linked.component
    return document(
        service.methods,
        component.exports,
        name=service.name,
        digest=component.digest,
        url=url,
        docs=component.docs,
    )
