"""What a gateway serves: one configuration after another, each as a whole."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, TypeVar

import structlog

from gateway.config import ComponentConfig, GatewayConfig
from gateway.host.compiler import Compiler
from gateway.host.errors import ComponentError
from gateway.lifecycle.generation import Generation
from gateway.lifecycle.overlay import Overlay
from gateway.lifecycle.reload import Owner
from gateway.lifecycle.status import Superseded
from gateway.routes.dispatcher import Endpoint
from gateway.serving.loading import Prepared, compile_limits, prepare
from gateway.serving.runtime import Runtime
from gateway.serving.service import Service

__all__ = ["Deployment"]

_log = structlog.get_logger("gateway.app")

_MAX_LOADING: Final = 8
"""Threads that load components. Each waits most of the time, for the process that compiles; and those of the event
loop, which look names up and read files for guests, are not for this. Arbitrary."""

T = TypeVar("T")


class Deployment:
    """The components that are served now, and how others take their place.

    Attributes:
        owner: who decides what is served.
        started: whether it takes what comes otherwise than by HTTP, or has.
        generation: the present configuration, and all that was made of it.
    """

    def __init__(
        self,
        config: GatewayConfig,
        runtime: Runtime,
        operations: Mapping[str, Endpoint],
        owner: Owner,
    ) -> None:
        """Load, compile and link every component.

        Args:
            config: what to serve.
            runtime: what outlives it.
            operations: the operational routes, where they are served beside the components.
            owner: who decides what is served.

        Raises:
            ComponentError: a component is refused; the message names each that is.
        """
        self._runtime = runtime
        self._operations = operations
        self.owner = owner
        self._overlay = Overlay()
        self._base = config
        self._threads = ThreadPoolExecutor(_MAX_LOADING, thread_name_prefix="loading")
        self._compilers: set[Compiler] = set()
        self.generation = self._make(
            config, prepare(config.components, config.server, runtime, self._compiler())
        )
        self._tell_loaded(())
        self._reload_failure: str | None = None
        self._asked_others = False
        self._reloading = asyncio.Lock()
        self._applying = asyncio.Lock()
        self._changing: dict[str, Compiler] = {}
        self._retiring: dict[Generation, asyncio.Task[None]] = {}
        self.started = self._draining = False

    @property
    def config(self) -> GatewayConfig:
        """What is served now."""
        return self.generation.config

    @property
    def services(self) -> list[Service]:
        """The components, in the order of the configuration."""
        return self.generation.services

    def defaults(self) -> dict[str, Any]:
        """The keys of components that are added and do not say otherwise."""
        return self._base.defaults.model_dump(exclude_unset=True)

    def components(self) -> list[str]:
        """The names of what is loaded and linked."""
        return [service.name for service in self.services]

    def warnings(self) -> list[str]:
        """What the operator should see to, although requests may be sent."""
        failure = self._reload_failure
        reload = [] if failure is None else [f"the last reload failed: {failure}"]
        return [*reload, *self._runtime.backends.troubles(), *self.generation.troubles()]

    @property
    def busy(self) -> bool:
        """Whether anything that came otherwise than by HTTP is still to be finished."""
        return any(generation.busy for generation in (self.generation, *self._retiring))

    # --- its beginning -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to take what comes otherwise than by HTTP, on the event loop. May be called again."""
        if not self.started:
            self.started = True
            self._runtime.backends.look()
            if not self._draining:
                self.generation.start()

    # --- its end -------------------------------------------------------------------------------------------

    def stop_compiling(self) -> None:
        """Wait for nothing that is being compiled."""
        for compiler in self._compilers:
            compiler.stop()

    def drain(self) -> None:
        """Take no more of what comes from outside otherwise than by HTTP.

        What is being compiled is not waited for.
        """
        self._draining = True
        self.stop_compiling()
        self.generation.drain()

    def stop_calls(self) -> int:
        """Stop every invocation that is under way; returns how many there were."""
        return sum(generation.stop_calls() for generation in (self.generation, *self._retiring))

    async def aclose(self) -> None:
        """Close what the components had open outside of themselves."""
        self.stop_compiling()
        for task in self._retiring.values():
            task.cancel()
        generations = [*self._retiring, self.generation]
        await asyncio.gather(*self._retiring.values(), return_exceptions=True)
        for generation in generations:
            await generation.aclose()

    async def reopen(self, *, draining: bool) -> None:
        """Serve again what was closed, maybe on another event loop. Nothing is compiled again.

        Args:
            draining: whether it is out of service all the same.

        Raises:
            ComponentError: a component cannot be put in service any more.
        """
        self._reloading, self._applying = asyncio.Lock(), asyncio.Lock()
        self.started, self._draining = False, draining
        prepared = [Prepared.of(service) for service in self.services]
        number = self.generation.number + 1
        before = self.services
        self.generation = await self._in_thread(self._make, self.config, prepared, number)
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
                self._compiler(yields=True),
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
            ComponentError: others have links to it; all stays as it was.
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
        compiler = self._changing[name] = self._compiler(yields=True)
        existed = False

        def wanted() -> GatewayConfig:
            nonlocal existed
            if self._changing.get(name) is not compiler:
                raise Superseded(name)
            existed = name in self.components()
            return self._overlay.changed(name, component).apply(self._base)

        def keep() -> None:
            changed = self._overlay.changed(name, component)
            if self.owner.peers is None:
                self._overlay = changed
            else:  # their supervisor keeps it, and gives all of them configurations that have it
                self._base = changed.apply(self._base)

        try:
            if component is None and name not in self.components():
                return False
            await self._replace(
                wanted, compiler, reread={name}, then=keep, failed=self._change_refused
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
        if (others := self.owner.peers) is not None:
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
            await self._runtime.backends.close_abandoned()
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
                generation=self.generation.number,
                components=self.components(),
                **({"mends": "the reload that failed before"} if failed else {}),
            )
            return
        number = self.generation.number + 1
        made = await self._in_thread(self._make, config, prepared, number)
        self._reload_failure = None
        old, self.generation = self.generation, made
        self._tell_loaded(old.services)
        _log.info("reloaded", generation=number, components=self.components())
        self._runtime.backends.look()
        if self.started and not self._draining:
            made.start(old)
        self._retiring[old] = asyncio.create_task(self._retire(old, made))

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, functools.partial(context.run, function, *args)
        )

    async def _retire(self, generation: Generation, by: Generation) -> None:
        try:
            await by.ready()
            await generation.retire()
        finally:
            del self._retiring[generation]

    def reload_failed(self, reason: str) -> None:
        """Tell those who ask that there was a change which could not be loaded."""
        self._reload_failure = reason
        if self._runtime.metrics is not None:
            self._runtime.metrics.load_ended(failed=True)

    def _change_refused(self, reason: str) -> None:
        """Note that a caller's change was refused. It is the caller who is told, and who must mend it."""
        _log.info("component refused", reason=reason)
        if self._runtime.metrics is not None:
            self._runtime.metrics.load_refused()

    # -------------------------------------------------------------------------------------------------------

    def _compiler(self, *, yields: bool = False) -> Compiler:
        """What loads components, and lets those go first that are served meanwhile, where there are some."""
        return Compiler(replace(compile_limits(self._base.server), yields=yields))

    def _prepare(
        self, components: Sequence[ComponentConfig], config: GatewayConfig, compiler: Compiler
    ) -> list[Prepared]:
        return prepare(components, config.server, self._runtime, compiler)

    def _make(
        self, config: GatewayConfig, prepared: Sequence[Prepared], number: int = 1
    ) -> Generation:
        server = config.server
        beside = server.admin_addr is None and server.operational_routes != "off"
        routes: dict[str, Endpoint] = dict(self._operations) if beside else {}
        return Generation(number, config, prepared, self._runtime, routes)

    def _tell_loaded(self, before: Iterable[Service]) -> None:
        metrics = self._runtime.metrics
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
