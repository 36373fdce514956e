"""The ASGI application: `create_app(config)`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, Final, NamedTuple
from weakref import WeakSet

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import __version__
from gateway.calls.errors import NotFound, Stopped
from gateway.capabilities.worker import Lent
from gateway.config import GatewayConfig
from gateway.config.route import Route
from gateway.host.ahead import Ahead
from gateway.host.errors import ComponentError
from gateway.http import problem
from gateway.http.field_lines import FieldLines
from gateway.http.problem import send_problem
from gateway.http.request_id import request_id
from gateway.lifecycle.deployment import Deployment
from gateway.lifecycle.reload import Owner
from gateway.lifecycle.status import ServerStatus
from gateway.lifecycle.steering import Steering
from gateway.observe import log, telemetry
from gateway.observe.metrics import Metrics
from gateway.routes.operations import operations
from gateway.routes.rpc import described
from gateway.serving.loaded import INSTANCES, Loaded
from gateway.serving.loading import load_services
from gateway.serving.runtime import Runtime
from gateway.serving.service import Service

__all__ = ["Gateway", "call", "create_app", "verify"]

_log = structlog.get_logger("gateway.app")

_FLUSH_TIMEOUT: Final = 5.0
"""Seconds that the collector of spans has to take the last of them. Arbitrary: a collector that is there needs
fractions of one."""

_CLOSE: Final = (b"connection", b"close")

_of_process: Final[WeakSet[Gateway]] = WeakSet()
"""The applications of this process, for `call`."""


class Gateway:
    """An ASGI application that answers HTTP requests and JSON-RPC calls with components.

    It needs no lifespan events, so it can be mounted in any other application. Messages are taken from the
    beginning of the lifespan on, or from the first request where nobody tells it of one.

    Attributes:
        runtime: what outlives its configuration.
        owner: who decides what it serves; for its server to say.
        draining: whether it is going out of service.
        admin: what is served at `admin_addr`; None where there is none.
    """

    def __init__(
        self,
        config: GatewayConfig,
        *,
        workers_dir: Path | None = None,
        backends: Lent = MappingProxyType({}),
        providers: Mapping[str, object] = MappingProxyType({}),
        modular: bool = False,
    ) -> None:
        """Load, compile and link every component.

        Args:
            config: what to serve.
            workers_dir: a folder that the workers of one gateway share; None for one alone.
            backends: as of `create_app`.
            providers: ditto.
            modular: ditto.

        Raises:
            ComponentError: a component is refused; the message names each that is.
        """
        log.embed(config.server)
        self.runtime = Runtime(
            config.server,
            workers_dir=workers_dir,
            lent=backends,
            providers=providers,
            loaded=Loaded(_instances(config), modular=modular),
        )
        admission = self.runtime.admission
        self.runtime.ahead = Ahead(lambda: not admission.in_flight)
        self.owner = Owner()
        self.draining = self._out_of_service = False
        self._started_at = datetime.now(UTC)
        routes = operations(self, self.runtime.metrics)
        self._deployment = Deployment(config, self.runtime, routes, self.owner)
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.admin: ASGIApp | None = None
        if config.server.admin_addr is not None:
            from gateway.admin.site import AdminSite  # noqa: PLC0415 - slow to import, for its tokens

            steering = Steering(self._deployment, self.runtime.metrics, self.status, self.drain_all)
            self.admin = AdminSite(config, routes, steering, self.runtime.tracer)
        _of_process.add(self)

    @property
    def connection_metrics(self) -> Metrics | None:
        """What counts connections, if anything does."""
        return self.runtime.metrics

    @property
    def generation(self) -> int:
        """How many configurations it has served, this one included."""
        return self._deployment.generation.number

    @property
    def services(self) -> list[Service]:
        """The components, in the order of the configuration."""
        return self._deployment.services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope: a request, or the server's lifespan."""
        match scope["type"]:
            case "http" if self._closed:
                identity = request_id(FieldLines(scope["headers"]))
                await send_problem(
                    send, problem.CLOSED, identity, head_only=scope["method"] == "HEAD"
                )
            case "http":
                if not self._deployment.started:
                    self._deployment.start()  # where nobody tells it of a lifespan
                serve = self._deployment.generation
                await serve(scope, receive, _closing(send) if self.draining else send)
            case "lifespan":
                await self._lifespan(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1000})
            case other:
                raise ValueError(f"unknown ASGI scope {other!r}")

    # --- calls from Python ---------------------------------------------------------------------------------

    async def call(self, component: str, method: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method of a component that is served, on the event loop that serves it.

        It takes part in admission, and has the deadline and the limits of any call; its return event is a
        `DynamicExportReturned`.

        Args:
            component: its name.
            method: one of the method's names, such as `store.get`.
            args: the arguments, of the types that a client of `gateway client` has: those of `types`.
            kwargs: those that are given by name, in Python's form: `max_size` for `max-size`.

        Returns:
            What it returned, of these types; the ok side of a `result`.

        Raises:
            gateway.CallFailed: it returned nothing; each subclass says why, and `CallError` has its err.
            RuntimeError: this is another event loop than that of its lifespan.
        """
        if self._closed:
            raise Stopped("the gateway is closed: its lifespan has ended")
        if self._loop not in {None, asyncio.get_running_loop()}:
            raise RuntimeError(
                "the gateway serves on another event loop: hand the call over to that one, for instance with "
                "anyio.from_thread.run in a thread of it"
            )
        if not self._deployment.started:
            self._deployment.start()
        return await self._deployment.generation.call(component, method, args, kwargs)

    def types(self, component: str) -> SimpleNamespace:
        """The classes of a component's values, by the names that `gateway client` gives them.

        Raises:
            gateway.NotFound: there is no such component.
        """
        return self._deployment.generation.calls(component).types

    def openrpc(self) -> list[dict[str, Any]]:
        """The OpenRPC documents of the components whose methods are served, in JSON's types: not to be changed.

        Their URLs count from where this application is.
        """
        prefix = self._deployment.config.server.rpc_prefix
        return [
            described(service, f"{prefix}/{service.name}")
            for service in self.services
            if service.procedures
        ]

    # --- change --------------------------------------------------------------------------------------------

    async def reload(self, config: GatewayConfig, changed: str | None = None) -> None:
        """Serve another configuration: `Deployment.reload`."""
        await self._deployment.reload(config, changed)

    def reload_failed(self, reason: str) -> None:
        """Tell those who ask that there was a change which could not be loaded."""
        self._deployment.reload_failed(reason)

    # --- out of service ------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Go out of service: readiness fails from now on, and connections are closed after their next response.

        No more messages are taken from outside. What is being compiled is not waited for.
        """
        self.draining = True
        self._deployment.drain()

    def drain_all(self) -> None:
        """Have every worker of the gateway go out of service, this one at once."""
        self._out_of_service = True
        self.drain()
        if self.owner.peers is not None:
            self.owner.peers.drain()

    @property
    def busy(self) -> bool:
        """Whether anything that came otherwise than by HTTP is still to be finished."""
        return self._deployment.busy

    def stop_calls(self) -> int:
        """Stop every invocation that is under way; returns how many there were."""
        return self._deployment.stop_calls()

    async def aclose(self) -> None:
        """Close what the components had open outside of themselves. Called when the lifespan ends.

        Requests are refused from then on, until a lifespan begins again.
        """
        if not self._closed:
            self._closed = True
            _log.info("closed")
        await self._deployment.aclose()
        if self.runtime.ahead is not None:
            self.runtime.ahead.close()
        self.runtime.watchdog.stop()
        self.runtime.channel.flush()
        if self.runtime.tracer is not None:
            await asyncio.to_thread(self.runtime.tracer.close, _FLUSH_TIMEOUT)

    async def _reopen(self) -> None:
        """Serve again what was closed, maybe on another event loop. Nothing is compiled again.

        Raises:
            ComponentError: a component cannot be put in service any more.
        """
        self.runtime.reopen(self._deployment.config.server)
        self.draining = self._out_of_service
        await self._deployment.reopen(draining=self.draining)
        self._closed = False

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
        return self._deployment.warnings()

    def components(self) -> list[str]:
        """The names of what is loaded and linked."""
        return self._deployment.components()

    def status(self) -> ServerStatus:
        """How it is now, for those who run it."""
        reasons = tuple(self.reasons())
        return ServerStatus(
            version=__version__,
            started_at=self._started_at,
            generation=self.generation,
            draining=self.draining,
            ready=not reasons,
            reasons=reasons,
            workers=self._deployment.config.server.workers,
        )

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        ended = False
        while not ended:
            message = await receive()
            ended = message["type"] == "lifespan.shutdown"
            if ended:
                await self.aclose()
            else:
                try:
                    if self._closed:
                        await self._reopen()
                except ComponentError as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                self._loop = asyncio.get_running_loop()
                self._deployment.start()
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


def create_app(
    config: GatewayConfig,
    *,
    workers_dir: Path | None = None,
    backends: Lent = MappingProxyType({}),
    providers: Mapping[str, object] = MappingProxyType({}),
    modular: bool = False,
) -> Gateway:
    """Make the application for a configuration; every component is loaded, compiled and linked.

    Args:
        config: what to serve.
        workers_dir: a folder that the workers of one gateway share; None for one alone.
        backends: objects that components may use as backends, by family and scheme: with `{"keyvalue": {"app":
            store}}`, `app:` is the URL of the store. The gateway never closes them.
        providers: objects that links of components may name: with `{"pricing": prices}`, a link with `python =
            "pricing"` leads to the object. They are not closed either.
        modular: whether the large modules of components are compiled, and kept, one by one. For development: after
            an edit only those are compiled that have changed, and each invocation takes a millisecond longer.

    Raises:
        gateway.host.errors.ComponentError: a component is refused; the message names each that is.
        ValueError: a backend has no family, or no scheme of its own.
    """
    return Gateway(
        config, workers_dir=workers_dir, backends=backends, providers=providers, modular=modular
    )


async def call(component: str, method: str, /, *args: Any, **kwargs: Any) -> Any:
    """Call a method of a component that the one application of this process serves: `Gateway.call`.

    Raises:
        gateway.NotFound: there is no application, or there are several.
        gateway.CallFailed: as of `Gateway.call`.
        RuntimeError: as of `Gateway.call`.
    """
    open_ = [each for each in tuple(_of_process) if not each._closed]
    if len(open_) != 1:
        remedy = (
            "make one with create_app" if not open_ else "use the method `call` of the one you mean"
        )
        raise NotFound(f"{len(open_) or 'no'} gateways are open in this process: {remedy}")
    return await open_[0].call(component, method, *args, **kwargs)


class Verified(NamedTuple):
    """What a component that was loaded answers.

    Attributes:
        routes: the HTTP requests.
        methods: how many methods of JSON-RPC.
    """

    routes: tuple[Route, ...]
    methods: int


def _instances(config: GatewayConfig) -> int:
    """How many instances the pools of a worker are for: later configurations use the same pools."""
    if config.server.max_in_flight is not None:
        return config.server.max_in_flight
    return max((INSTANCES, *(component.max_concurrency for component in config.components)))


def verify(config: GatewayConfig, *, modular: bool = False) -> dict[str, Verified]:
    """Load, compile and link every component, for the compile cache and the errors, not to serve.

    Args:
        config: the configuration.
        modular: as of `create_app`.

    Returns:
        What each component answers, by its name.

    Raises:
        gateway.host.errors.ComponentError: a component is refused; the message names each that is.
    """
    if config.server.tracing:
        telemetry.check()
    services = load_services(config, Runtime.quiet(modular=modular))
    for service in services:
        asyncio.run(service.grants.aclose())
    return {
        service.name: Verified(
            service.routes, len(service.methods.served) if service.procedures else 0
        )
        for service in services
    }
