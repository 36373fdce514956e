"""A component in service: linked, limited, counted."""

from __future__ import annotations

import asyncio
import functools
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from time import perf_counter, time
from typing import Final, NamedTuple, Protocol, Self

import structlog

from gateway.bindings import provided, provided_to
from gateway.bindings.http.outbound import tls_context
from gateway.config import ComponentConfig, GatewayConfig, Route, RouteConflict, ServerConfig
from gateway.config.grant import BackendGrant
from gateway.host.cache import CompileCache
from gateway.host.compiler import CompileLimits, Compiler
from gateway.host.component import Component, Source
from gateway.host.engine import Engine, PoolSize
from gateway.host.errors import ComponentError, InvocationError
from gateway.host.linker import Export, LinkedComponent, link
from gateway.host.store import FREED_APART, LARGE
from gateway.observe import log
from gateway.observe.events import Outcome, ReturnEvent
from gateway.observe.metrics import Metrics
from gateway.rpc.method import Methods
from gateway.rpc.procedure import Procedure
from gateway.serving.admission import Place
from gateway.serving.grants import Grants
from gateway.serving.guest_log import GuestLog
from gateway.serving.handlers import Handlers
from gateway.serving.provenance import Provenance, check
from gateway.serving.runtime import Runtime
from gateway.units import format_size
from gateway.wasm.footprint import Footprint
from gateway.wasm.instance_limits import MAX_TABLE_ELEMENTS, needed

__all__ = [
    "INCOMING_HANDLER",
    "Prepared",
    "Service",
    "Work",
    "compile_limits",
    "load_services",
    "make_services",
    "prepare",
]

_log = structlog.get_logger("gateway.service")

_LONG: Final = 1.0
"""Seconds of compiling, or waiting for it, that are told of: a start says nothing meanwhile."""

INCOMING_HANDLER: Final = "wasi:http/incoming-handler"


class Work(Protocol):
    """What is under way for somebody, and can be stopped."""

    def stop(self, error: InvocationError) -> None:
        """End it with this error, unless it is done first."""


class Service:
    """A component that serves requests, calls, or both.

    Attributes:
        name: the component's name.
        config: what the operator said of it.
        linked: the component.
        digest: the SHA-256 of its file, in hexadecimal.
        handler: its `wasi:http/incoming-handler`; None if it has none.
        routes: the HTTP requests that go there.
        handlers: what is called for that which comes of its grants.
        methods: what it offers to callers with JSON.
        procedures: the same ready to be called, by every name; empty where JSON-RPC is off.
        grants: what it is given, and may reach.
        gate: where invocations wait for their places.
        channel: where their return events go.
        tracer: what is told of them as they go on.
        under_way: its invocations, and what is done for them before and after they run.
        log: for lines about them, at the component's own level.
        guest_log: for what its guests write, which is bounded.
        access_log: as `log`, for a line for each request.
        server_timing: whether its responses tell where their time went.
        loaded_at: when it was loaded, in seconds since the epoch.
        compile_seconds: what it took to compile it, or to load its compiled form.
        provenance: what is proven of its origin.
    """

    def __init__(
        self,
        config: ComponentConfig,
        linked: LinkedComponent,
        tls: ssl.SSLContext,
        runtime: Runtime,
        server: ServerConfig,
    ) -> None:
        """Find what can be called, and open what the component is granted.

        Args:
            config: what the operator said of the component.
            linked: the component.
            tls: what makes the servers that it talks to trusted.
            runtime: where its invocations find their places, and their events go.
            server: what the operator said of the server.

        Raises:
            ComponentError: there is nothing to serve, or nothing at its routes, or a folder cannot be opened.
        """
        self.name = config.name
        self.config = config
        self.linked = linked
        self.digest = linked.component.digest
        self.handler = _handler(linked)
        self.handlers = Handlers(linked)
        self.methods = Methods(linked.component.exports)
        self.procedures: dict[str, Procedure] = {}
        if server.rpc and config.rpc:
            self.procedures = _procedures(self.methods, linked)
        self.routes = _routes(config, linked, self.handler, bool(self.procedures), self.handlers)
        metrics = runtime.metrics
        self.grants = Grants(
            config,
            linked.component.imports,
            tls,
            runtime.descriptors,
            runtime.backends,
            tracer=runtime.tracer,
            on_outbound_request=None
            if metrics is None
            else functools.partial(metrics.outbound_requested, config.name),
            on_operation=None if metrics is None else metrics.operation_performed,
        )
        self.tracer = runtime.tracer
        self.gate = runtime.admission.gate(
            config.name,
            max_in_flight=config.max_concurrency,
            max_queue=config.max_queue,
            max_wait=config.max_queue_time,
        )
        self.channel = runtime.channel
        self._metrics = metrics
        self._in_flight_told = 0
        self._telling = False
        self.under_way: set[Work] = set()
        self.log = log.logger("gateway.call", config.log_level)
        self.guest_log = GuestLog(
            self.log,
            config.name,
            config.log_max_rate,
            None
            if metrics is None
            else functools.partial(metrics.guest_log_lines_dropped, config.name),
        )
        self.access_log = log.logger("gateway.access", config.log_level)
        self.server_timing = server.server_timing
        self.loaded_at = time()
        self.compile_seconds = 0.0
        self.provenance = Provenance()

    @property
    def in_flight(self) -> int:
        """How many invocations of it there are now."""
        return self.gate.in_flight

    async def wait(self, *, patiently: bool = False) -> Place:
        """Wait for a place, where there is none at once.

        Args:
            patiently: for as long as it takes: `Gate.enter_patiently`.

        Raises:
            NoRoom: there is none, and no room to wait for one, or not in time.
        """
        metrics = self._metrics
        enter = self.gate.enter_patiently if patiently else self.gate.enter
        if metrics is None:
            return await enter()
        metrics.queued_changed(self.name, 1)
        try:
            return await enter()
        finally:
            metrics.queued_changed(self.name, -1)

    def delivery_dropped(self, what: str, reason: str, count: int) -> None:
        """Count messages, say, that came and were not handled."""
        if self._metrics is not None:
            self._metrics.delivery_dropped(self.name, what, reason, count)

    def pending_changed(self, what: str, by: int) -> None:
        """Tell that so many more of them wait to be handled, or fewer."""
        if self._metrics is not None:
            self._metrics.pending_changed(self.name, what, by)

    def began(self, work: Work) -> None:
        """Note that an invocation is under way, or what is done for one before or after it runs."""
        self.under_way.add(work)
        if not self._telling:
            self._changed()

    def ended(self, work: Work) -> None:
        """Note that it is not any more."""
        self.under_way.remove(work)
        if not self._telling:
            self._changed()

    def _changed(self) -> None:
        # Most invocations begin and end in one turn of the loop, and change nothing that anyone could see.
        if self._metrics is not None:
            self._telling = True
            asyncio.get_running_loop().call_soon(self._tell_in_flight, self._metrics)

    def _tell_in_flight(self, metrics: Metrics) -> None:
        # The difference, not the number: one that a reload has replaced still counts under the same name.
        self._telling = False
        change = len(self.under_way) - self._in_flight_told
        if change:
            self._in_flight_told += change
            metrics.in_flight_changed(self.name, change)

    def refused(
        self, event: type[ReturnEvent], outcome: Outcome, export: Export | None, request_id: str
    ) -> None:
        """Send the event of an invocation that was not made; of no export, where it was not known yet of which."""
        name = "" if export is None else export.name
        self.channel.send(event(self.name, self.digest, name, request_id, outcome))


class Prepared(NamedTuple):
    """A component that was read, examined and compiled, so that putting it in service takes no time.

    Attributes:
        config: what the operator said of it.
        component: the component, for another engine than the one it will be served by.
        provenance: what is proven of its origin.
        compile_seconds: what it took to compile it, or to load its compiled form.
    """

    config: ComponentConfig
    component: Component
    provenance: Provenance
    compile_seconds: float

    @classmethod
    def of(cls, service: Service) -> Self:
        """What a component in service was made of."""
        return cls(
            service.config, service.linked.component, service.provenance, service.compile_seconds
        )


def prepare(
    components: Sequence[ComponentConfig],
    server: ServerConfig,
    runtime: Runtime,
    compiler: Compiler,
    *,
    present: Iterable[Service] = (),
) -> list[Prepared]:
    """Read, examine and compile components. All that takes long is done here, and nothing is changed.

    Args:
        components: what the operator says of each.
        server: what the operator says of the server.
        runtime: where refused claims are counted.
        compiler: what compiles them.
        present: components in service; what they were compiled to is used where the files are still theirs.

    Raises:
        ComponentError: some are refused; the message has a line for each of them.
    """
    refused: list[str] = []
    read: list[tuple[ComponentConfig, Source, Provenance]] = []
    for config in components:
        try:
            source = _read(config, compiler)
            read.append((config, source, check(config, source, runtime.metrics)))
        except ComponentError as error:
            refused.append(str(error))
    if refused:  # before anything is compiled
        raise ComponentError("\n".join(refused))
    engine = Engine()
    cache = _cache(server)
    compiled = {service.digest: service.linked.component for service in present}
    prepared: list[Prepared] = []
    for config, source, provenance in read:
        began = perf_counter()
        try:
            with _told_if_long(config.name):
                component = compiled.get(source.digest) or Component(
                    engine, source, name=config.name, cache=cache, compiler=compiler
                )
            compiled[source.digest] = component
        except ComponentError as error:
            refused.append(str(error))
        else:
            seconds = perf_counter() - began
            prepared.append(Prepared(config, component, provenance, seconds))
    if refused:
        raise ComponentError("\n".join(refused))
    return prepared


@contextmanager
def _told_if_long(name: str) -> Iterator[None]:
    """Log that a component is being compiled, once that takes long, and how long it took."""
    # A thread has no context of its own, and the lines of a reload belong together.
    told = copy_context().run
    timer = threading.Timer(_LONG, told, (_log.info, "compiling"), {"component": name})
    timer.daemon = True
    began = perf_counter()
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    seconds = perf_counter() - began
    if seconds > _LONG:
        _log.info("compiled", component=name, seconds=round(seconds, 1))


def make_services(
    config: GatewayConfig, prepared: Sequence[Prepared], runtime: Runtime
) -> list[Service]:
    """Put components in service, with an engine whose pools have room for them.

    Args:
        config: the configuration.
        prepared: its components.
        runtime: what they share.

    Raises:
        ComponentError: some are refused; the message has a line for each of them.
    """
    engine = Engine(_pool_size(prepared))
    cache = _cache(config.server)
    tls = _tls_context(config)
    refused: list[str] = []
    services: list[Service] = []
    for each in prepared:
        try:
            component = each.component.moved(engine, each.config.name, cache)
            linked = link(component, provided_to(each.config))
            service = Service(each.config, linked, tls, runtime, config.server)
            service.compile_seconds = each.compile_seconds
            service.provenance = each.provenance
            services.append(service)
        except ComponentError as error:
            refused.append(str(error))
    conflicts = list(_conflicts(services))
    if refused or conflicts:
        for service in services:
            service.grants.abandon()
        kind = ComponentError if refused else RouteConflict
        raise kind("\n".join(refused + conflicts))
    for service in services:
        _report(service, config.server.workers)
    return services


def load_services(config: GatewayConfig, runtime: Runtime) -> list[Service]:
    """Read, compile and link every component of a configuration.

    Raises:
        ComponentError: some are refused; the message has a line for each of them.
    """
    compiler = Compiler(compile_limits(config.server))
    prepared = prepare(config.components, config.server, runtime, compiler)
    return make_services(config, prepared, runtime)


def compile_limits(server: ServerConfig) -> CompileLimits:
    """What compiling one component may take."""
    return CompileLimits(server.compile_timeout, server.compile_max_memory)


def _cache(server: ServerConfig) -> CompileCache | None:
    if server.cache_dir is None:
        return None
    return CompileCache(server.cache_dir, patience=server.compile_timeout)


def _tls_context(config: GatewayConfig) -> ssl.SSLContext:
    try:
        return tls_context(config.server.ca_files)
    except OSError as error:
        raise ComponentError(f"ca_files: {error}") from error


def _handler(linked: LinkedComponent) -> Export | None:
    interface = linked.component.find_export(INCOMING_HANDLER)
    return None if interface is None else linked.export("handle", interface=interface)


def _procedures(methods: Methods, linked: LinkedComponent) -> dict[str, Procedure]:
    made = {method.name: Procedure(method, linked) for method in methods.served}
    return {name: made[method.name] for name, method in methods.by_name.items()}


def _routes(
    config: ComponentConfig,
    linked: LinkedComponent,
    handler: Export | None,
    callable_: bool,
    handlers: Handlers,
) -> tuple[Route, ...]:
    """The HTTP requests that a component answers: none by default for one that only has methods."""
    heard = handlers.needed(config)
    told = "routes" in config.model_fields_set and bool(config.routes)
    if handler is not None and (config.routes or callable_ or heard):
        return config.routes
    if handler is None and (callable_ or heard) and not told:
        return ()
    exports = ", ".join(linked.component.exports) or "nothing"
    if handler is not None:
        raise ComponentError(
            f"{config.source}: nothing is left to serve of it: routes is empty, and it exports no functions for "
            f"JSON-RPC, or that is off (it exports {exports}). Give it a route."
        )
    if callable_ or heard:
        other = (
            "its functions are served by JSON-RPC" if callable_ else "what it handles comes to it"
        )
        raise ComponentError(
            f"{config.source}: exports no {INCOMING_HANDLER}, so it cannot answer the HTTP requests of its routes "
            f"(it exports {exports}). Leave routes out: {other}."
        )
    if handlers.idle is not None:
        raise ComponentError(f"{config.source}: {handlers.idle} (it exports {exports}).")
    raise ComponentError(
        f"{config.source}: exports no {INCOMING_HANDLER}, so it cannot answer HTTP requests, and no functions for "
        f"JSON-RPC, or that is off (it exports {exports}). Build it for a world that exports that interface, such "
        "as wasi:http/proxy, or functions of its own."
    )


def _read(component: ComponentConfig, compiler: Compiler) -> Source:
    source = Source(component.source, bridge=provided().carries_bytes, compiler=compiler)
    if not source.functions:
        raise ComponentError(
            f"{component.source}: exports no function but those of resources, so there is nothing to serve. Build "
            f"it for a world that exports {INCOMING_HANDLER}, such as wasi:http/proxy, or functions of its own."
        )
    extents = source.extents
    if extents is None:
        return source
    if (elements := needed(extents.tables)) > MAX_TABLE_ELEMENTS:
        raise ComponentError(
            f"{component.source}: needs tables of {elements} elements, and {MAX_TABLE_ELEMENTS} are the most that "
            "one instance may have. Split the component."
        )
    if (size := needed(extents.memories)) > component.max_memory:
        several = f": it is for the {len(extents.memories)} memories of an instance together"
        raise ComponentError(
            f"{component.source}: needs {format_size(size)} of memory to begin with, and max_memory is "
            f"{format_size(component.max_memory)}. Raise max_memory{several * (len(extents.memories) > 1)}."
        )
    return source


def _pool_size(prepared: Sequence[Prepared]) -> PoolSize | None:
    """Room for as many instances of each component as may be invoked at once, or are still being freed."""
    needs: list[tuple[int, Footprint]] = []
    for each in prepared:
        footprint = each.component.footprint
        if footprint is None:
            _log.warning(
                "pooling impossible",
                component=each.config.name,
                reason="what an instance of it needs cannot be told from the file",
                effect="instances of all components are allocated on demand, which is slower",
            )
            return None
        spare = FREED_APART if each.config.max_memory > LARGE else 0
        needs.append((each.config.max_concurrency + spare, footprint))
    if not needs:
        return None
    footprints = [needed for _, needed in needs]
    return PoolSize(
        instances=sum(count for count, _ in needs),
        core_instances=sum(count * needed.core_instances for count, needed in needs),
        memories=sum(count * needed.memories for count, needed in needs),
        tables=sum(count * needed.tables for count, needed in needs),
        max_memory=max(each.config.max_memory for each in prepared),
        max_core_instances_per_component=max(f.core_instances for f in footprints),
        max_memories_per_component=max(f.memories for f in footprints),
        max_tables_per_component=max(f.tables for f in footprints),
        max_memories_per_module=max(f.memories_per_module for f in footprints),
        max_tables_per_module=max(f.tables_per_module for f in footprints),
    )


def _conflicts(services: Sequence[Service]) -> Iterator[str]:
    """Say which routes two components have. Those that are declared were compared in the configuration."""
    owners: dict[Route, Service] = {}
    for service in services:
        for route in service.routes:
            owner = owners.setdefault(route, service)
            if owner is not service:
                yield (
                    f'{service.config.source}: component "{service.name}" would answer {route}, as a '
                    f'component without routes does, and so does component "{owner.name}". Give it routes, or '
                    "none: routes = []."
                )


def _report(service: Service, workers: int) -> None:
    component = service.linked.component
    _log.info(
        "component loaded",
        component=service.name,
        source=str(service.config.source),
        digest=component.digest,
        routes=[str(route) for route in service.routes],
        methods=len(service.methods.served) if service.procedures else 0,
    )
    granted: dict[str, Mapping[str, BackendGrant]] = {
        "keyvalue": service.config.keyvalue,
        "blobstore": service.config.blobstore,
    }
    alone = {
        key: names
        for key, grants in granted.items()
        if (names := [name for name, grant in grants.items() if grant.url.scheme == "memory"])
    }
    if alone and workers > 1:
        _log.warning(
            "stores not shared",
            component=service.name,
            effect=f"each of the {workers} workers has its own: with sqlite:FILE, and with file:FOLDER for "
            "blobs, they share one",
            **alone,
        )
    missed = {export.name: export.reason for export in service.methods.left_out if export.missed}
    if service.procedures and missed:
        _log.warning("exports not served", component=service.name, exports=missed)
    _report_messages(service, workers)
    _report_imports(service)


def _report_messages(service: Service, workers: int) -> None:
    grant, broker = service.config.messaging, service.grants.backends.broker
    if grant is None or broker is None or not broker.waits or workers == 1:
        return
    if repeated := [str(each) for each in grant.subscriptions if each.queue is None]:
        _log.warning(
            "messages not shared",
            component=service.name,
            subscriptions=repeated,
            effect=f"each of the {workers} workers handles every message; with a queue, one of them does",
        )


def _report_imports(service: Service) -> None:
    linked = service.linked
    keys = {name: _key_of(name) for name in linked.unknown}
    if unknown := [name for name, key in keys.items() if key is None]:
        _log.warning(
            "unknown imports",
            component=service.name,
            imports=unknown,
            effect="calling one of them traps",
        )
    if granted_by := sorted({key for key in keys.values() if key is not None}):
        _log.warning(
            "imports not granted",
            component=service.name,
            imports=[name for name, key in keys.items() if key is not None],
            granted_by=granted_by,
            effect="calling one of them traps",
        )
    if linked.unlinked:
        _log.debug(
            "imports not granted",
            component=service.name,
            imports=list(linked.unlinked),
            effect="calling one of them traps",
        )


def _key_of(name: str) -> str | None:
    """The key of the configuration that grants an import; None where none does."""
    interface = provided().interface(name)
    return None if interface is None else interface.key
