"""The ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import __version__, log, telemetry
from gateway.admin.operations import ServerStatus
from gateway.admin.site import AdminSite
from gateway.config import ComponentConfig, GatewayConfig
from gateway.generation import Generation
from gateway.host.component import is_file_of
from gateway.host.errors import ComponentError
from gateway.overlay import Overlay
from gateway.reload import request_reload
from gateway.routes.dispatcher import Endpoint
from gateway.routes.operations import operations
from gateway.runtime import Runtime
from gateway.service import Service, load_services

__all__ = ["Gateway", "create_app", "verify"]

_log = structlog.get_logger("gateway.app")

_FLUSH_TIMEOUT: Final = 5.0
"""Seconds that the collector of spans has to take the last of them. Arbitrary: a collector that is there needs
fractions of one."""

_CLOSE: Final = (b"connection", b"close")


class Gateway:
    """An ASGI application that answers HTTP requests and JSON-RPC calls with components.

    It needs no lifespan events, so it can be mounted in any other application.

    Attributes:
        runtime: what outlives its configuration.
        draining: whether it is going out of service.
        admin: what is served at `admin_addr`; None where there is none.
    """

    def __init__(self, config: GatewayConfig, *, metrics_dir: Path | None = None) -> None:
        """Load, compile and link every component.

        Args:
            config: what to serve.
            metrics_dir: what the workers of one gateway share; None for one alone.

        Raises:
            ComponentError: a component is refused; the message names each that is.
        """
        log.embed(config.server)
        self.runtime = Runtime(config.server, metrics_dir=metrics_dir)
        self._started_at = datetime.now(UTC)
        self._operations = operations(self, self.runtime.metrics)
        self._overlay = Overlay(None if metrics_dir is None else metrics_dir / "overlay.json")
        self.draining = self._overlay.draining
        self._base = config
        self._generation = self._make(self._overlay.apply(config))
        self._tell_loaded(())
        self._reload_failure: str | None = None
        self._reloading = asyncio.Lock()
        self._retiring: dict[Generation, asyncio.Task[None]] = {}
        self.admin: ASGIApp | None = None
        if config.server.admin_addr is not None:
            self.admin = AdminSite(self, config, self._operations)

    @property
    def config(self) -> GatewayConfig:
        """What it serves now."""
        return self._generation.config

    @property
    def generation(self) -> int:
        """How many configurations it has served, this one included."""
        return self._generation.number

    def defaults(self) -> dict[str, Any]:
        """The keys of components that are added and do not say otherwise."""
        return self._base.defaults.model_dump(exclude_unset=True)

    @property
    def services(self) -> list[Service]:
        """The components, in the order of the configuration."""
        return self._generation.services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope: a request, or the server's lifespan."""
        match scope["type"]:
            case "http":
                await self._generation(scope, receive, _closing(send) if self.draining else send)
            case "lifespan":
                await self._lifespan(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1000})
            case other:
                raise ValueError(f"unknown ASGI scope {other!r}")

    # --- out of service ------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Go out of service: readiness fails from now on, and connections are closed after their next response."""
        self.draining = True

    def drain_all(self) -> None:
        """Have every worker of the gateway go out of service, this one at once."""
        self.drain()
        self._overlay.save(self._overlay.drained())
        request_reload()  # in which the other workers find it

    def stop_calls(self) -> int:
        """Stop every invocation that is under way; returns how many there were."""
        return sum(generation.stop_calls() for generation in (self._generation, *self._retiring))

    async def aclose(self) -> None:
        """Close what the components had open outside of themselves. Called when the lifespan ends."""
        for task in self._retiring.values():
            task.cancel()
        await asyncio.gather(*self._retiring.values(), return_exceptions=True)
        await self._generation.aclose()
        self.runtime.watchdog.stop()
        self.runtime.channel.flush()
        await asyncio.to_thread(self.runtime.tracer.close, _FLUSH_TIMEOUT)

    # --- change --------------------------------------------------------------------------------------------

    async def reload(self, config: GatewayConfig) -> None:
        """Serve another configuration. Requests that have begun end with the present one.

        What belongs to the server (addresses, workers, limits of the worker) stays as it is, and so do
        components that were put or deleted since the start.

        Raises:
            ComponentError: a component is refused; all stays as it was.
        """
        async with self._reloading:
            self.draining = self.draining or self._overlay.draining
            await self._replace(self._overlay.apply(config))
            self._base = config

    async def put_component(self, config: ComponentConfig) -> bool:
        """Load a component, or put it in the place of the one of that name, until the gateway starts again.

        Returns:
            Whether there was none before.

        Raises:
            ComponentError: it is refused; all stays as it was.
        """
        async with self._reloading:
            created = config.name not in self.components()
            await self._change(config.name, config)
            return created

    async def delete_component(self, name: str) -> bool:
        """Unload a component, until the gateway starts again; tells whether there was one."""
        async with self._reloading:
            if name not in self.components():
                return False
            await self._change(name, None)
            return True

    async def _change(self, name: str, component: ComponentConfig | None) -> None:
        changed = self._overlay.changed(name, component)
        await self._replace(changed.apply(self._base))
        self._overlay.save(changed)
        request_reload()  # of the other workers

    async def _replace(self, config: GatewayConfig) -> None:
        if await asyncio.to_thread(self._is_current, config):
            if self._reload_failure is not None:
                self._reload_failure = None
                self._tell_loaded(())
            return
        number = self._generation.number + 1
        try:
            made = await asyncio.to_thread(self._make, config, number)
        except ComponentError as error:
            self.reload_failed(str(error))
            raise
        self._reload_failure = None
        old, self._generation = self._generation, made
        self._tell_loaded(old.services)
        _log.info("reloaded", generation=number, components=self.components())
        self._retiring[old] = asyncio.create_task(self._retire(old))

    async def _retire(self, generation: Generation) -> None:
        try:
            await generation.retire()
        finally:
            del self._retiring[generation]

    def _is_current(self, config: GatewayConfig) -> bool:
        """Whether it is what is served already, down to the content of the files."""
        return config == self.config and all(
            is_file_of(service.config.source, service.digest) for service in self.services
        )

    def reload_failed(self, reason: str) -> None:
        """Tell those who ask that there was a change which could not be loaded."""
        self._reload_failure = reason
        if self.runtime.metrics is not None:
            self.runtime.metrics.load_ended(failed=True)

    # --- health --------------------------------------------------------------------------------------------

    def reasons(self) -> list[str]:
        """Why it should not be sent requests; none if it may be."""
        reasons = ["draining"] if self.draining else []
        reasons += (
            f"saturated: {service.name}" for service in self.services if service.gate.is_saturated
        )
        return reasons

    def warnings(self) -> list[str]:
        """What the operator should see to, although requests may be sent."""
        failure = self._reload_failure
        return [] if failure is None else [f"the last reload failed: {failure}"]

    def components(self) -> list[str]:
        """The names of what is loaded and linked."""
        return [service.name for service in self.services]

    # -------------------------------------------------------------------------------------------------------

    def status(self) -> ServerStatus:
        """How it is now, for those who run it."""
        reasons = tuple(self.reasons())
        return ServerStatus(
            version=__version__,
            started_at=self._started_at,
            generation=self._generation.number,
            draining=self.draining,
            ready=not reasons,
            reasons=reasons,
            workers=self.config.server.workers,
        )

    def _make(self, config: GatewayConfig, number: int = 1) -> Generation:
        server = config.server
        beside = server.admin_addr is None and server.operational_routes != "off"
        routes: dict[str, Endpoint] = dict(self._operations) if beside else {}
        return Generation(number, config, self.runtime, routes)

    def _tell_loaded(self, before: Iterable[Service]) -> None:
        metrics = self.runtime.metrics
        if metrics is None:
            return
        metrics.load_ended(failed=False)
        for name in {service.name for service in before} - set(self.components()):
            metrics.unloaded(name)
        for service in self.services:
            metrics.loaded(
                service.name,
                digest=service.digest,
                compile_seconds=service.compile_seconds,
                memory_limit=service.config.max_memory,
            )

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        ended = False
        while not ended:
            message = await receive()
            ended = message["type"] == "lifespan.shutdown"
            if ended:
                await self.aclose()
            else:
                self.runtime.watchdog.start()
            await send({"type": f"{message['type']}.complete"})


def _closing(send: Send) -> Send:
    """A `send` whose responses are the last on their connections."""

    async def send_last(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [header for header in message["headers"] if header[0] != b"connection"]
            message = {**message, "headers": [*headers, _CLOSE]}
        await send(message)

    return send_last


def create_app(config: GatewayConfig, *, metrics_dir: Path | None = None) -> Gateway:
    """Make the application for a configuration; every component is loaded, compiled and linked.

    Args:
        config: what to serve.
        metrics_dir: where the workers of one gateway keep their metrics together; None for one alone.

    Raises:
        gateway.host.errors.ComponentError: a component is refused; the message names each that is.
    """
    return Gateway(config, metrics_dir=metrics_dir)


def verify(config: GatewayConfig) -> None:
    """Load, compile and link every component, for the compile cache and the errors, not to serve.

    Raises:
        gateway.host.errors.ComponentError: a component is refused; the message names each that is.
    """
    if config.server.tracing:
        telemetry.check()
    for service in load_services(config, Runtime.quiet()):
        asyncio.run(service.grants.aclose())
