"""`gateway check`: what `gateway serve` would refuse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import typer

from gateway import app
from gateway.app import Verified
from gateway.cli.options import Target, read
from gateway.config import ComponentConfig, GatewayConfig
from gateway.config.key import written
from gateway.config.route import Route
from gateway.observe import log

__all__ = ["check"]


def check(target: Target) -> None:
    """Load a configuration and its components without serving them, and tell what is wrong."""
    config = read(target)
    log.configure("console", "warning")
    verified = app.verify(config)
    for line in _summary(target, config, verified):
        typer.echo(line)


def _summary(
    target: Path, config: GatewayConfig, verified: Mapping[str, Verified]
) -> Iterable[str]:
    server = config.server
    yield f"{target} is well"
    where = [f"{host} port {port}" for host, port in server.addresses]
    where += [] if server.uds is None else [str(server.uds)]
    yield f"  listens on {' and '.join(where)}, workers: {server.workers}"
    yield f"  keeps compiled components in {server.cache_dir or 'no cache'}"
    for redirect in server.redirects:
        yield f"  redirects {redirect} to {redirect.to} ({redirect.status})"
    for component in config.components:
        yield f"component {component.name}"
        yield f"  source              {component.source}"
        routes, methods = verified[component.name]
        yield f"  routes              {', '.join(map(_route, routes)) or 'none'}"
        if methods:
            yield f"  methods             {methods} at {server.rpc_prefix}/{component.name}"
        for link in component.links:
            yield f"  link                {link}"
        for key, what in _grants(component):
            yield f"  {key:<18}  {what}"
        for key in (
            "max_execution_time",
            "max_cpu_time",
            "max_memory",
            "max_body",
            "max_concurrency",
        ):
            field = type(component).model_fields[key]
            yield f"  {key:<18}  {written(field, getattr(component, key))}"


def _route(route: Route) -> str:
    return f"{route}{' (stripped)' if route.strip_prefix else ''}"


def _grants(component: ComponentConfig) -> Iterator[tuple[str, str]]:
    """What it may use beyond itself: the key that says so, and what that is, without secrets."""
    for mount in component.mounts:
        yield "mount", f"{mount.host} as {mount.guest}{'' if mount.writable else ', read-only'}"
    if component.allowed_outbound_hosts:
        yield "outbound hosts", ", ".join(map(str, component.allowed_outbound_hosts))
    if component.environment:
        yield "environment", ", ".join(component.environment)
    for key in ("keyvalue", "blobstore", "secrets"):
        for name, grant in getattr(component, key).items():
            yield key, f"{name}: {grant.url!r}"
    if component.messaging is not None:
        yield "messaging", repr(component.messaging.url)
