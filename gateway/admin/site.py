"""What is served at `admin_addr`: health and metrics for everyone there, the admin API for who has a token."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from gateway.admin.api import AdminApi
from gateway.admin.endpoints import PREFIX
from gateway.admin.local_host import is_local, is_loopback
from gateway.admin.operations import ComponentStatus, RouteConflict, ServerStatus
from gateway.admin.problems import MISDIRECTED
from gateway.admin.token import Verifier
from gateway.config import ComponentConfig, ConfigError, GatewayConfig, Problem
from gateway.events import Outcome
from gateway.host.errors import ComponentError
from gateway.metrics import Metrics
from gateway.reload import peers, read_again
from gateway.routes.dispatcher import Dispatcher, Endpoint
from gateway.routes.problem import send_problem
from gateway.routes.request_id import request_id
from gateway.service import Service

if TYPE_CHECKING:
    from gateway.app import Gateway

__all__ = ["AdminSite"]


class AdminSite:
    """The ASGI application of those who run the gateway.

    Args:
        gateway: what they run.
        config: whose tokens open the API; without such there is none.
        operations: the operational routes, by path.
    """

    def __init__(
        self, gateway: Gateway, config: GatewayConfig, operations: Mapping[str, Endpoint]
    ) -> None:
        self._dispatcher = Dispatcher((), config.server, operations)
        address = config.server.admin_addr
        self._local_only = address is not None and is_loopback(address[0])
        self._api: AdminApi | None = None
        if config.admin is not None:
            self._api = AdminApi(
                _Steering(gateway), Verifier(config.admin), config.folder, gateway.defaults
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        headers = scope["headers"]
        if self._local_only and not all(is_local(it) for name, it in headers if name == b"host"):
            head_only = scope["method"] == "HEAD"
            await send_problem(send, MISDIRECTED, request_id(headers), head_only=head_only)
        elif self._api is not None and scope["path"].startswith(PREFIX):
            await self._api(scope, receive, send)
        else:
            await self._dispatcher(scope, receive, send)


class _Steering:
    """The gateway in the terms of the admin API."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def components(self) -> Sequence[ComponentStatus]:
        return [self._component(service) for service in self._gateway.services]

    async def put_component(self, config: ComponentConfig) -> tuple[ComponentStatus, bool]:
        self._check_routes(config)
        created = await self._gateway.put_component(config)
        service = next((it for it in self._gateway.services if it.name == config.name), None)
        if service is None:
            raise ComponentError(f'Component "{config.name}" was deleted meanwhile.')
        return self._component(service), created

    async def delete_component(self, name: str) -> bool:
        return await self._gateway.delete_component(name)

    async def reload(self) -> None:
        if (workers := peers()) is not None:
            await workers.reload()
            return
        config = await asyncio.to_thread(read_again)
        if config is not None:
            await self._gateway.reload(config)
        else:
            reason = "the gateway is part of another application, which has its configuration"
            raise ConfigError([Problem("admin", "", reason)])

    def drain(self) -> None:
        self._gateway.drain_all()

    def status(self) -> ServerStatus:
        return self._gateway.status()

    def _check_routes(self, config: ComponentConfig) -> None:
        if "routes" not in config.model_fields_set:
            return
        for service in self._gateway.services:
            for route in set(service.routes) & set(config.routes):
                if service.name != config.name:
                    raise RouteConflict(f'component "{service.name}" answers {route} already')

    def _component(self, service: Service) -> ComponentStatus:
        component = service.linked.component
        metrics = self._gateway.runtime.metrics
        return ComponentStatus(
            name=service.name,
            digest=service.digest,
            size=component.size,
            source=str(service.config.source),
            routes=service.routes,
            methods=tuple(method.name for method in service.methods.served)
            if service.procedures
            else (),
            exports=tuple(component.exports),
            in_flight=service.in_flight,
            queued=service.gate.queued,
            invocations={} if metrics is None else _outcomes(metrics, service.name),
            loaded_at=datetime.fromtimestamp(service.loaded_at, UTC),
            generation=self._gateway.generation,
            issuer=service.provenance.issuer,
            subject=service.provenance.subject,
        )


def _outcomes(metrics: Metrics, component: str) -> dict[Outcome, int]:
    """How many invocations of a component have ended, in all workers, by how."""
    counts: dict[Outcome, int] = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            if (
                sample.name == "gateway_invocations_total"
                and sample.labels["component"] == component
            ):
                outcome = Outcome(sample.labels["outcome"])
                counts[outcome] = counts.get(outcome, 0) + int(sample.value)
    return counts
