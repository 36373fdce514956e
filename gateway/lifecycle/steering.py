"""A gateway as those who run it see it, and change it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from gateway.config import ComponentConfig, ConfigError, Problem
from gateway.config.route import RouteConflict
from gateway.host.errors import ComponentError
from gateway.lifecycle.deployment import Deployment
from gateway.lifecycle.status import ComponentStatus, ServerStatus
from gateway.observe.events import Outcome
from gateway.observe.metrics import Metrics
from gateway.serving.service import Service

__all__ = ["Steering"]


class Steering:
    """A gateway in the terms of those who run it.

    Args:
        deployment: what it serves.
        metrics: what it has counted; None for nothing.
        status: tells how it is.
        drain: has all of it go out of service.
    """

    def __init__(
        self,
        deployment: Deployment,
        metrics: Metrics | None,
        status: Callable[[], ServerStatus],
        drain: Callable[[], None],
    ) -> None:
        self._deployment = deployment
        self._metrics = metrics
        self.status: Final = status
        self.drain: Final = drain

    def defaults(self) -> Mapping[str, Any]:
        """The keys of components that are added and do not say otherwise."""
        return self._deployment.defaults()

    def components(self) -> Sequence[ComponentStatus]:
        """The components, in the order of the configuration."""
        ended = _ended(self._metrics)
        return [self._component(service, ended) for service in self._deployment.services]

    def configurations(self) -> Mapping[str, ComponentConfig]:
        """What each component was made by, by its name."""
        return {service.name: service.config for service in self._deployment.services}

    async def put_component(self, config: ComponentConfig) -> tuple[ComponentStatus, bool]:
        """Load a component, or put it in the place of the one of that name: `Deployment.put_component`.

        Returns:
            How it is now, and whether there was none before.

        Raises:
            RouteConflict: another component answers one of its routes.
            ComponentError: it was refused, or deleted meanwhile.
        """
        self._check_routes(config)
        created = await self._deployment.put_component(config)
        service = next((it for it in self._deployment.services if it.name == config.name), None)
        if service is None:
            raise ComponentError(f'Component "{config.name}" was deleted meanwhile.')
        return self._component(service, _ended(self._metrics)), created

    async def delete_component(self, name: str) -> bool:
        """Unload a component: `Deployment.delete_component`."""
        return await self._deployment.delete_component(name)

    async def reload(self) -> None:
        """Read the configuration again, and serve what it says.

        Raises:
            ConfigError: it says nothing that could be served, or there is none to read.
            ComponentError: a component cannot be loaded.
        """
        owner = self._deployment.owner
        if owner.peers is not None:
            await owner.peers.reload()
        elif owner.reload is not None:
            await owner.reload()
        else:
            reason = "the gateway is part of another application, which has its configuration"
            raise ConfigError([Problem("admin", "", reason)])

    def _check_routes(self, config: ComponentConfig) -> None:
        if "routes" not in config.model_fields_set:
            return
        for service in self._deployment.services:
            for route in set(service.routes) & set(config.routes):
                if service.name != config.name:
                    raise RouteConflict(f'component "{service.name}" answers {route} already')

    def _component(
        self, service: Service, ended: Mapping[str, Mapping[Outcome, int]]
    ) -> ComponentStatus:
        component = service.linked.component
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
            invocations=ended.get(service.name, {}),
            loaded_at=datetime.fromtimestamp(service.loaded_at, UTC),
            generation=self._deployment.generation.number,
            links=tuple(service.links.statuses()),
            issuer=service.provenance.issuer,
            subject=service.provenance.subject,
        )


def _ended(metrics: Metrics | None) -> dict[str, dict[Outcome, int]]:
    """How many invocations of each component have ended, in all workers, by how; none where nobody counts."""
    ended: dict[str, dict[Outcome, int]] = {}
    for family in () if metrics is None else metrics.registry.collect():
        for sample in family.samples:
            if sample.name == "gateway_invocations_total":
                counts = ended.setdefault(sample.labels["component"], {})
                outcome = Outcome(sample.labels["outcome"])
                counts[outcome] = counts.get(outcome, 0) + int(sample.value)
    return ended
