"""`gateway check`: what `gateway serve` would refuse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import typer

from gateway import app
from gateway.cli.options import Target, read
from gateway.config import GatewayConfig
from gateway.config.key import written
from gateway.config.route import Route
from gateway.observe import log

__all__ = ["check"]


def check(target: Target) -> None:
    """Load a configuration and its components without serving them, and tell what is wrong."""
    config = read(target)
    log.configure("console", "warning")
    routes = app.verify(config)
    for line in _summary(target, config, routes):
        typer.echo(line)


def _summary(
    target: Path, config: GatewayConfig, routes: Mapping[str, Sequence[Route]]
) -> Iterable[str]:
    server = config.server
    yield f"{target} is well"
    where = [f"{host} port {port}" for host, port in server.addresses]
    where += [] if server.uds is None else [str(server.uds)]
    yield f"  listens on {' and '.join(where)}, workers: {server.workers}"
    yield f"  keeps compiled components in {server.cache_dir or 'no cache'}"
    for component in config.components:
        yield f"component {component.name}"
        yield f"  source              {component.source}"
        yield f"  routes              {', '.join(map(str, routes[component.name])) or 'none'}"
        for link in component.links:
            yield f"  link                {link}"
        for key in ("max_execution_time", "max_memory", "max_body", "max_concurrency"):
            field = type(component).model_fields[key]
            yield f"  {key:<18}  {written(field, getattr(component, key))}"
