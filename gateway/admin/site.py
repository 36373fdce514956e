"""What is served at `admin_addr`: health and metrics for everyone there, the admin API for who has a token."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from gateway.admin.api import AdminApi
from gateway.admin.contents import Contents
from gateway.admin.endpoints import PREFIX
from gateway.admin.local_host import is_local, is_loopback
from gateway.admin.operations import Operations
from gateway.admin.problems import MISDIRECTED
from gateway.admin.token import Verifier
from gateway.config import GatewayConfig, Route
from gateway.http.field_lines import FieldLines
from gateway.http.problem import send_problem
from gateway.http.request_id import request_id
from gateway.observe.telemetry import Tracer
from gateway.routes.dispatcher import Dispatcher, Endpoint

__all__ = ["AdminSite"]


class AdminSite:
    """The ASGI application of those who run the gateway.

    Args:
        config: whose tokens open the API; without such there is none.
        routes: the operational routes, by path.
        operations: what the API can do.
        tracer: what is told of requests; None for nothing.
    """

    def __init__(
        self,
        config: GatewayConfig,
        routes: Mapping[str, Endpoint],
        operations: Operations,
        tracer: Tracer | None,
    ) -> None:
        address = config.server.admin_addr
        self._local_only = address is not None and is_loopback(address[0])
        beside: list[tuple[Route, Endpoint]] = []
        if config.admin is not None:
            folder = config.admin.components_dir
            contents = None if folder is None else Contents(folder)
            api = AdminApi(operations, Verifier(config.admin), config.folder, contents)
            beside.append((Route(path=PREFIX), api))
        self._dispatcher = Dispatcher((), config.server, routes, tracer, beside=beside)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        lines = FieldLines(scope["headers"])
        if self._local_only and not all(map(is_local, lines.get(b"host", ()))):
            head_only = scope["method"] == "HEAD"
            await send_problem(send, MISDIRECTED, request_id(lines), head_only=head_only)
        else:
            await self._dispatcher(scope, receive, send)
