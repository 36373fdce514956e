"""A component in service: linked, limited, counted."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from gateway.bindings import provided
from gateway.bindings.outbound import tls_context
from gateway.config import ComponentConfig, GatewayConfig
from gateway.grants import Grants
from gateway.host.cache import CompileCache
from gateway.host.component import Component, Source
from gateway.host.engine import Engine, PoolSize
from gateway.host.errors import ComponentError
from gateway.host.footprint import Footprint
from gateway.host.linker import Export, LinkedComponent, link
from gateway.host.store import MAX_TABLE_ELEMENTS
from gateway.units import format_size

__all__ = ["Service", "load_services"]

_log = structlog.get_logger("gateway.service")

INCOMING_HANDLER: Final = "wasi:http/incoming-handler"


class Service:
    """A component that serves requests.

    Attributes:
        name: the component's name.
        config: what the operator said of it.
        linked: the component.
        handler: its `wasi:http/incoming-handler`.
        grants: what it is given, and may reach.
        in_flight: how many invocations of it there are now.
    """

    def __init__(
        self, config: ComponentConfig, linked: LinkedComponent, tls: ssl.SSLContext
    ) -> None:
        """Find the handler, and open what the component is granted.

        Raises:
            ComponentError: the component exports none that can be called, or a folder cannot be opened.
        """
        self.name = config.name
        self.config = config
        self.linked = linked
        self.handler = _handler(config.source, linked)
        self.grants = Grants(config, linked.component.imports, tls)
        self.in_flight = 0


def load_services(config: GatewayConfig) -> list[Service]:
    """Read, compile and link every component of a configuration.

    Raises:
        ComponentError: some are refused; the message has a line for each of them.
    """
    refused: list[str] = []
    sources: list[tuple[ComponentConfig, Source]] = []
    for component in config.components:
        try:
            sources.append((component, Source(component.source, bridge=provided().carries_bytes)))
        except ComponentError as error:
            refused.append(str(error))
    engine = Engine(_pool_size(sources))
    cache = None if config.server.cache_dir is None else CompileCache(config.server.cache_dir)
    tls = _tls_context(config)
    services: list[Service] = []
    for component, source in sources:
        try:
            compiled = Component(engine, source, name=component.name, cache=cache)
            services.append(Service(component, link(compiled, provided()), tls))
        except ComponentError as error:
            refused.append(str(error))
    if refused:
        raise ComponentError("\n".join(refused))
    for service in services:
        _report(service)
    return services


def _tls_context(config: GatewayConfig) -> ssl.SSLContext:
    try:
        return tls_context(config.server.ca_files)
    except OSError as error:
        raise ComponentError(f"ca_files: {error}") from error


def _handler(path: Path, linked: LinkedComponent) -> Export:
    interface = linked.component.find_export(INCOMING_HANDLER)
    if interface is None:
        exports = ", ".join(linked.component.exports) or "nothing"
        raise ComponentError(
            f"{path}: exports no {INCOMING_HANDLER}, so it cannot answer HTTP requests (it exports {exports}). "
            "Build it for a world that exports that interface, such as wasi:http/proxy."
        )
    return linked.export("handle", interface=interface)


def _read(component: ComponentConfig) -> Source:
    source = Source(component.source, bridge=provided().carries_bytes)
    needed = source.footprint
    if needed is None:
        return source
    if needed.table_elements > MAX_TABLE_ELEMENTS:
        raise ComponentError(
            f"{component.source}: needs a table of {needed.table_elements} elements, and {MAX_TABLE_ELEMENTS} "
            "are the most that one may have. Split the component."
        )
    if needed.memory_bytes > component.max_memory:
        raise ComponentError(
            f"{component.source}: needs {format_size(needed.memory_bytes)} of memory to begin with, and "
            f"max_memory is {format_size(component.max_memory)}. Raise max_memory."
        )
    return source


def _pool_size(sources: Sequence[tuple[ComponentConfig, Source]]) -> PoolSize | None:
    """Room for as many instances of each component as may be invoked at once."""
    needs: list[tuple[int, Footprint]] = []
    for component, source in sources:
        needed = source.footprint
        if needed is None:
            _log.warning(
                "pooling impossible",
                component=component.name,
                reason="what an instance of it needs cannot be told from the file",
                effect="instances are allocated on demand, which is slower",
            )
            return None
        needs.append((component.max_concurrency, needed))
    if not needs:
        return None
    footprints = [needed for _, needed in needs]
    return PoolSize(
        instances=sum(count for count, _ in needs),
        core_instances=sum(count * needed.core_instances for count, needed in needs),
        memories=sum(count * needed.memories for count, needed in needs),
        tables=sum(count * needed.tables for count, needed in needs),
        max_memory=max(component.max_memory for component, _ in sources),
        max_core_instances_per_component=max(f.core_instances for f in footprints),
        max_memories_per_component=max(f.memories for f in footprints),
        max_tables_per_component=max(f.tables for f in footprints),
        max_memories_per_module=max(f.memories_per_module for f in footprints),
        max_tables_per_module=max(f.tables_per_module for f in footprints),
    )


def _report(service: Service) -> None:
    component = service.linked.component
    _log.info(
        "component loaded",
        component=service.name,
        source=str(service.config.source),
        digest=component.digest,
        routes=[str(route) for route in service.config.routes],
    )
    if service.linked.unknown:
        _log.warning(
            "unknown imports",
            component=service.name,
            imports=list(service.linked.unknown),
            effect="calling one of them traps",
        )
    if service.linked.unlinked:
        _log.debug(
            "imports not granted",
            component=service.name,
            imports=list(service.linked.unlinked),
            effect="calling one of them traps",
        )
