"""`gateway dev`: components while they are written."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any, Final

import typer

from gateway import app, server
from gateway.cli.build import Folder, project
from gateway.cli.flags import flags
from gateway.config import GatewayConfig
from gateway.development.gateway import DevelopmentGateway
from gateway.development.told import Told
from gateway.lifecycle.build import BuildFailed
from gateway.lifecycle.builds import BuildLog, Builds
from gateway.observe import log

__all__ = ["dev"]

_LOOPBACK: Final = "127.0.0.1"
"""Where it listens unless it is told otherwise, whatever the file says: its answers are for nobody else."""


class _Shown(BuildLog):
    """Has builds shown as they run."""

    def wrote(self, text: str) -> None:
        """Show what the build under way has written."""
        sys.stderr.write(text)
        sys.stderr.flush()

    def failed(self, name: str, failure: BuildFailed, effect: str) -> None:
        """Tell that a component was not built; what its build said stands above."""
        super().failed(name, BuildFailed(str(failure)), effect)


@flags("host", "port", "log_format", "log_level")
def dev(folder: Folder = Path(), **keys: Any) -> None:
    """Build the components of a configuration, serve them, and do both again whenever their sources change.

    A build that fails leaves what was built before in service. Answers say what went wrong: traps, tracebacks and
    failed builds. So it listens on 127.0.0.1, whatever the file says, unless --host is given.
    """
    keys = {**keys, "host": keys["host"] or _LOOPBACK, "workers": 1}
    file, config = project(folder, **keys)
    told = Told()
    log.hear(told.hear)
    with Builds(_Shown(), leave_out=True) as builds:
        status = server.serve(
            config,
            create_app=functools.partial(_create_app, told=told, builds=builds),
            verify=app.verify,
            read=lambda: project(file, **keys)[1],
            watch=file,
            builds=builds,
        )
    raise typer.Exit(status)


def _create_app(
    config: GatewayConfig,
    *,
    workers_dir: Path | None = None,  # noqa: ARG001 - there is one process
    told: Told,
    builds: Builds,
) -> DevelopmentGateway:
    return DevelopmentGateway(config, told=told, builds=builds)
