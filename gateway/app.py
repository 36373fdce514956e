"""The ASGI application."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import __version__, log, telemetry
from gateway.admin.operations import ServerStatus, Superseded
from gateway.config import ComponentConfig, GatewayConfig
from gateway.generation import Generation
from gateway.host.compiler import Compiler
from gateway.host.errors import ComponentError
from gateway.metrics import Metrics
from gateway.overlay import Overlay
from gateway.reload import peers
from gateway.routes import problem
from gateway.routes.dispatcher import Endpoint
from gateway.routes.operations import operations
from gateway.routes.problem import send_problem
from gateway.routes.request_id import request_id
from gateway.runtime import Runtime
from gateway.service import Prepared, Service, compile_limits, load_services, prepare

__all__ = ["Gateway", "create_app", "verify"]

_log = structlog.get_logger("gateway.app")

_FLUSH_TIMEOUT: Final = 5.0
"""Seconds that the collector of spans has to take the last of them. Arbitrary: a collector that is there needs
fractions of one."""

_MAX_LOADING: Final = 8
"""Threads that load components. Each waits most of the time, for the process that compiles; and those of the event
loop, which look names up and read files for guests, are not for this. Arbitrary."""

_CLOSE: Final = (b"connection", b"close")

T = TypeVar("T")


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
        self._overlay = Overlay()
        self.draining = self._out_of_service = False
        self._base = config
        self._threads = ThreadPoolExecutor(_MAX_LOADING, thread_name_prefix="loading")
        self._compilers: set[Compiler] = set()
        self._generation = self._make(
            config, prepare(config.components, config.server, self.runtime, self._compiler())
        )
        self._tell_loaded(())
        self._reload_failure: str | None = None
        self._asked_others = False
        self._reloading = asyncio.Lock()
        self._applying = asyncio.Lock()
        self._changing: dict[str, Compiler] = {}
        self._closed = False
        self._retiring: dict[Generation, asyncio.Task[None]] = {}
        self.admin: ASGIApp | None = None
        if config.server.admin_addr is not None:
            from gateway.admin.site import AdminSite  # noqa: PLC0415 - slow to import, for its tokens

            self.admin = AdminSite(self, config, self._operations)

    @property
    def connection_metrics(self) -> Metrics | None:
        """What counts connections, if anything does."""
        return self.runtime.metrics

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
            case "http" if self._closed:
                identity = request_id(scope["headers"])
                await send_problem(
                    send, problem.CLOSED, identity, head_only=scope["method"] == "HEAD"
                )
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
        """Go out of service: readiness fails from now on, and connections are closed after their next response.

        What is being compiled is not waited for.
        """
        self.draining = True
        for compiler in self._compilers:
            compiler.stop()

    def drain_all(self) -> None:
        """Have every worker of the gateway go out of service, this one at once."""
        self._out_of_service = True
        self.drain()
        if (others := peers()) is not None:
            others.drain()

    def stop_calls(self) -> int:
        """Stop every invocation that is under way; returns how many there were."""
        return sum(generation.stop_calls() for generation in (self._generation, *self._retiring))

    async def aclose(self) -> None:
        """Close what the components had open outside of themselves. Called when the lifespan ends.

        Requests are refused from then on, until a lifespan begins again.
        """
        if not self._closed:
            self._closed = True
            _log.info("closed")
        for compiler in self._compilers:
            compiler.stop()
        for task in self._retiring.values():
            task.cancel()
        await asyncio.gather(*self._retiring.values(), return_exceptions=True)
        await self._generation.aclose()
        self.runtime.watchdog.stop()
        self.runtime.channel.flush()
        await asyncio.to_thread(self.runtime.tracer.close, _FLUSH_TIMEOUT)

    async def _reopen(self) -> None:
        """Serve again what was closed, maybe on another event loop. Nothing is compiled again.

        Raises:
            ComponentError: a component cannot be put in service any more.
        """
        self._reloading, self._applying = asyncio.Lock(), asyncio.Lock()
        self.runtime.reopen(self._base.server)
        self.draining = self._out_of_service
        prepared = [Prepared.of(service) for service in self.services]
        number = self._generation.number + 1
        before = self.services
        self._generation = await self._in_thread(self._make, self.config, prepared, number)
        self._closed = False
        self._tell_loaded(before)
        _log.info("reopened", generation=number, components=self.components())

    # --- change --------------------------------------------------------------------------------------------

    async def reload(self, config: GatewayConfig, changed: str | None = None) -> None:
        """Serve another configuration. Requests that have begun end with the present one.

        What belongs to the server (addresses, workers, limits of the worker) stays as it is, and so do
        components that were put or deleted since the start.

        Args:
            config: the configuration.
            changed: the one component whose file is read again if that was loaded before; None for all.

        Raises:
            ComponentError: a component is refused; all stays as it was.
        """
        async with self._reloading:
            await self._replace(
                lambda: self._overlay.apply(config),
                self._compiler(),
                reread={it.name for it in config.components} if changed is None else {changed},
            )
            self._base = config

    async def put_component(self, config: ComponentConfig) -> bool:
        """Load a component, or put it in the place of the one of that name, until the gateway starts again.

        While it is compiled, others come and go. Of two changes of one name, the later is the one that counts.

        Returns:
            Whether there was none before.

        Raises:
            Superseded: it was put again, or deleted, before it was in service.
            ComponentError: it is refused; all stays as it was.
            Spreading: other workers have not made the change yet, and will.
        """
        existed = await self._change(config.name, config)
        await self._share(config.name, config)
        return not existed

    async def delete_component(self, name: str) -> bool:
        """Unload a component, until the gateway starts again; tells whether there was one.

        Raises:
            Superseded: it was put again before it was out of service.
            Spreading: other workers have not made the change yet, and will.
        """
        existed = await self._change(name, None)
        if existed:
            await self._share(name, None)
        return existed

    async def _change(self, name: str, component: ComponentConfig | None) -> bool:
        """Change a component, instead of any change of it that is under way; tells whether there was one."""
        if before := self._changing.get(name):
            before.stop()
        compiler = self._changing[name] = self._compiler()
        existed = False

        def wanted() -> GatewayConfig:
            nonlocal existed
            if self._changing.get(name) is not compiler:
                raise Superseded(name)
            existed = name in self.components()
            return self._overlay.changed(name, component).apply(self._base)

        def keep() -> None:
            changed = self._overlay.changed(name, component)
            if peers() is None:
                self._overlay = changed
            else:  # their supervisor keeps it, and gives all of them configurations that have it
                self._base = changed.apply(self._base)

        try:
            if component is None and name not in self.components():
                return False
            await self._replace(
                wanted,
                compiler,
                reread={name},
                then=keep,
                failed=self.reload_failed if component is None else self._put_refused,
            )
        except ComponentError:
            if self._changing.get(name) is not compiler:
                raise Superseded(name) from None
            raise
        finally:
            if self._changing.get(name) is compiler:
                del self._changing[name]
        return existed

    async def _share(self, name: str, component: ComponentConfig | None) -> None:
        """Have other workers make a change which this one has made."""
        if (others := peers()) is not None:
            self._asked_others = True
            try:
                await others.change(name, component)
            finally:
                self._asked_others = False

    async def _replace(
        self,
        wanted: Callable[[], GatewayConfig],
        compiler: Compiler,
        *,
        reread: Set[str],
        then: Callable[[], None] = lambda: None,
        failed: Callable[[str], None] | None = None,
    ) -> None:
        """Serve another configuration.

        Components are read and compiled while others come and go; putting them in service takes no time, and is
        done by one change after the other.

        Args:
            wanted: gives the configuration, by what is served when it is called.
            compiler: what compiles.
            reread: the components whose files may have changed.
            then: called when it is served, before anything else can change.
            failed: called with the reason if it is refused; `reload_failed` by default.
        """
        prepared: dict[str, Prepared] = {}
        self._compilers.add(compiler)
        try:
            while True:
                async with self._applying:
                    config = wanted()
                    found = self._found(config, prepared, reread)
                    missing = [it for it in config.components if it.name not in found]
                    if not missing:
                        await self._serve(config, [found[it.name] for it in config.components])
                        then()
                        return
                for each in await self._in_thread(self._prepare, missing, config, compiler):
                    prepared[each.config.name] = each
        except ComponentError as error:
            if not compiler.stopped:
                (failed or self.reload_failed)(str(error))
            raise
        finally:
            compiler.stop()
            self._compilers.discard(compiler)

    def _found(
        self, config: GatewayConfig, prepared: Mapping[str, Prepared], reread: Set[str]
    ) -> dict[str, Prepared]:
        """The components of a configuration that can be put in service as they are, by name."""
        present = {it.name: Prepared.of(it) for it in self.services if it.name not in reread}
        found = {**present, **prepared}
        return {
            it.name: found[it.name]
            for it in config.components
            if it.name in found and found[it.name].config == it
        }

    async def _serve(self, config: GatewayConfig, prepared: Sequence[Prepared]) -> None:
        if config == self.config and all(
            each.component.digest == service.digest
            for each, service in zip(prepared, self.services, strict=True)
        ):
            failed = self._reload_failure is not None
            if failed:
                self._reload_failure = None
                self._tell_loaded(())
            # Where this process has made the change that all are asked to make, nobody waits to hear.
            tell = _log.debug if self._asked_others and not failed else _log.info
            self._asked_others = False
            tell(
                "reload changed nothing",
                generation=self._generation.number,
                components=self.components(),
                **({"mends": "the reload that failed before"} if failed else {}),
            )
            return
        number = self._generation.number + 1
        made = await self._in_thread(self._make, config, prepared, number)
        self._reload_failure = None
        old, self._generation = self._generation, made
        self._tell_loaded(old.services)
        _log.info("reloaded", generation=number, components=self.components())
        self._retiring[old] = asyncio.create_task(self._retire(old))

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, functools.partial(context.run, function, *args)
        )

    async def _retire(self, generation: Generation) -> None:
        try:
            await generation.retire()
        finally:
            del self._retiring[generation]

    def reload_failed(self, reason: str) -> None:
        """Tell those who ask that there was a change which could not be loaded."""
        self._reload_failure = reason
        if self.runtime.metrics is not None:
            self.runtime.metrics.load_ended(failed=True)

    def _put_refused(self, reason: str) -> None:
        """Note that a caller's component was refused. It is the caller who is told, and who must mend it."""
        _log.info("component refused", reason=reason)
        if self.runtime.metrics is not None:
            self.runtime.metrics.load_refused()

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

    def _compiler(self) -> Compiler:
        return Compiler(compile_limits(self._base.server))

    def _prepare(
        self, components: Sequence[ComponentConfig], config: GatewayConfig, compiler: Compiler
    ) -> list[Prepared]:
        return prepare(components, config.server, self.runtime, compiler, present=self.services)

    def _make(
        self, config: GatewayConfig, prepared: Sequence[Prepared], number: int = 1
    ) -> Generation:
        server = config.server
        beside = server.admin_addr is None and server.operational_routes != "off"
        routes: dict[str, Endpoint] = dict(self._operations) if beside else {}
        return Generation(number, config, prepared, self.runtime, routes)

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
                try:
                    if self._closed:
                        await self._reopen()
                except ComponentError as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
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
