"""Components from files to being in service: read, compiled, linked, and put to work together."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple, Self

import structlog

from gateway.bindings import provided
from gateway.bindings.http.outbound import tls_context
from gateway.config import ComponentConfig, GatewayConfig, RouteConflict, ServerConfig
from gateway.config.grant import BackendGrant
from gateway.host import wit
from gateway.host.cache import CompileCache
from gateway.host.compiler import CompileLimits, Compiler
from gateway.host.component import Component, ComponentFile, Source
from gateway.host.errors import ComponentError
from gateway.serving.link_targets import Targets
from gateway.serving.links import Links
from gateway.serving.loaded import INCOMING_HANDLER, Loaded
from gateway.serving.provenance import Provenance, check
from gateway.serving.runtime import Runtime
from gateway.serving.service import Service
from gateway.units import format_size
from gateway.wasm.instance_limits import MAX_TABLE_ELEMENTS, needed

__all__ = ["Prepared", "compile_limits", "load_services", "make_services", "prepare"]

_log = structlog.get_logger("gateway.service")

_LONG: Final = 1.0
"""Seconds of compiling, or waiting for it, that are told of: a start says nothing meanwhile."""


class Prepared(NamedTuple):
    """A component that was read, examined and compiled, so that putting it in service takes no time.

    Attributes:
        config: what the operator said of it.
        component: the component.
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


class _Read(NamedTuple):
    """A component that was read and examined.

    Attributes:
        config: what the operator said of it.
        source: what is to be compiled; or the component, where that is loaded.
        provenance: what is proven of its origin.
    """

    config: ComponentConfig
    source: Source | Component
    provenance: Provenance


def prepare(
    components: Sequence[ComponentConfig],
    server: ServerConfig,
    runtime: Runtime,
    compiler: Compiler,
) -> list[Prepared]:
    """Read, examine and compile components. All that takes long is done here, and nothing is changed.

    A file is read once, whatever the number of components that are of it, and what is loaded already is not
    examined or compiled again.

    Args:
        components: what the operator says of each.
        server: what the operator says of the server.
        runtime: where they are to be loaded, and refused claims are counted.
        compiler: what compiles them.

    Raises:
        ComponentError: some are refused; the message has a line for each of them.
    """
    refused: list[str] = []
    cache = _cache(server)
    examined = _Examined(runtime.loaded, compiler, cache)
    read: list[_Read] = []
    for config in components:
        try:
            file, source = examined.find(config.source)
            _check_extents(config, source)
            binary = source.original or file.content
            provenance = check(config, file.digest, binary, runtime.metrics)
            read.append(_Read(config, source, provenance))
        except ComponentError as error:
            refused.append(str(error))
    if refused:  # before anything is compiled
        raise ComponentError("\n".join(refused))
    prepared: list[Prepared] = []
    for config, source, provenance in read:
        began = perf_counter()
        try:
            with _told_if_long(config.name):
                component = _compiled(source, config.name, runtime.loaded, cache, compiler)
        except ComponentError as error:
            refused.append(str(error))
        else:
            seconds = perf_counter() - began
            prepared.append(Prepared(config, component, provenance, seconds))
    if refused:
        raise ComponentError("\n".join(refused))
    return prepared


class _Examined:
    """The files of components, each read and examined once.

    Args:
        loaded: what is loaded already.
        compiler: what makes components of text and of core modules.
        cache: where compiled forms are kept.
    """

    def __init__(self, loaded: Loaded, compiler: Compiler, cache: CompileCache | None) -> None:
        self._loaded = loaded
        self._compiler = compiler
        self._cache = cache
        self._files: dict[Path, ComponentFile] = {}
        self._found: dict[str, Source | Component] = {}

    def find(self, path: Path) -> tuple[ComponentFile, Source | Component]:
        """A file, and the component that is in it.

        Raises:
            ComponentError: there is none that could be served.
        """
        file = self._files.get(path)
        if file is None:
            file = self._files[path] = ComponentFile.read(path)
        found = self._found.get(file.digest) or self._loaded.components.get(file.digest)
        if found is None:
            found = Source(
                file,
                bridge=provided().carries_bytes,
                compiler=self._compiler,
                cache=self._cache,
            )
            if not found.functions and not found.resources:
                raise ComponentError(
                    f"{path}: exports no function but those of resources, so there is nothing to serve. "
                    f"Build it for a world that exports {INCOMING_HANDLER}, such as wasi:http/proxy, or "
                    "functions of its own."
                )
        self._found[file.digest] = found
        return file, found


def _compiled(
    source: Source | Component,
    name: str,
    loaded: Loaded,
    cache: CompileCache | None,
    compiler: Compiler,
) -> Component:
    """The component, compiled unless it is loaded: since its file was read, it may be for another of the same."""
    if isinstance(source, Component):
        return source
    if (component := loaded.components.get(source.digest)) is not None:
        return component
    engine, places = loaded.engines.place(source)
    component = Component(engine, source, name=name, places=places, cache=cache, compiler=compiler)
    loaded.components[component.digest] = component
    return component


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
    """Put components in service.

    Args:
        config: the configuration.
        prepared: its components.
        runtime: what they share.

    Raises:
        ComponentError: some are refused; the message has a line for each of them.
    """
    tls = _tls_context(config)
    components = {each.config.name: each.component for each in prepared}
    metrics = runtime.metrics
    targets = Targets(components, config.server, tls, runtime)
    links = [link for each in prepared for link in each.config.links]
    called = {name for link in links for name in link.component or ()}
    refused: list[str] = []
    services: list[Service] = []
    for each in prepared:
        try:
            linked_to = Links(
                each.config.links,
                each.component,
                targets.of,
                config.server,
                called=each.config.name in called,
                on_call=None if metrics is None else metrics.linked_call_returned,
            )
            exports = runtime.loaded.exports(each.config, each.component, linked_to.interfaces)
            service = Service(
                each.config, exports, linked_to, tls=tls, runtime=runtime, server=config.server
            )
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
    targets.bind(services)
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


def _check_extents(component: ComponentConfig, source: Source | Component) -> None:
    extents = source.extents
    if extents is None:
        return
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


def _conflicts(services: Sequence[Service]) -> Iterator[str]:
    """Say which routes two components have. Those that are declared were compared in the configuration."""
    owners: dict[tuple[str | None, str, str], Service] = {}
    for service in services:
        for route in service.routes:
            owner = owners.setdefault(route.key, service)
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
    if service.procedures and missed and not service.links.called:
        _log.warning("exports not served", component=service.name, exports=missed)
    _report_messages(service, workers)
    _report_imports(service)


def _report_messages(service: Service, workers: int) -> None:
    grant = service.config.messaging
    if grant is None or workers == 1:
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
    imports = linked.component.imports
    keys = {
        wit.extern_text(name, item): _key_of(wit.interface_name(name, item))
        for name, item in imports.items()
        if name in linked.unknown
    }
    if unknown := [name for name, key in keys.items() if key is None]:
        _log.warning(
            "unknown imports",
            component=service.name,
            imports=unknown,
            effect="calling one of them traps, unless a link provides it",
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
