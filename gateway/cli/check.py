"""`gateway check`: what `gateway serve` would refuse."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

from gateway import app
from gateway.cli.options import Target, read
from gateway.config import GatewayConfig
from gateway.observe import log
from gateway.units import format_duration, format_size

__all__ = ["check"]


def check(target: Target) -> None:
    """Load a configuration and its components without serving them, and tell what is wrong."""
    config = read(target)
    log.configure("console", "warning")
    app.verify(config)
    for line in _summary(target, config):
        typer.echo(line)


def _summary(target: Path, config: GatewayConfig) -> Iterable[str]:
    server = config.server
    yield f"{target} is well"
    yield f"  listens on {server.host} port {server.port}, workers: {server.workers}"
    yield f"  keeps compiled components in {server.cache_dir or 'no cache'}"
    for component in config.components:
        yield f"component {component.name}"
        yield f"  source              {component.source}"
        yield f"  routes              {', '.join(map(str, component.routes))}"
        yield f"  max_execution_time  {format_duration(component.max_execution_time)}"
        yield f"  max_memory          {format_size(component.max_memory)}"
        max_body = component.max_body
        yield f"  max_body            {'unlimited' if max_body is None else format_size(max_body)}"
        yield f"  max_concurrency     {component.max_concurrency}"
