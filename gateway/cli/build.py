"""`gateway build`: components, of what they are written in."""

from __future__ import annotations

import sys
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Final

import typer

from gateway.cli.status import FAILED
from gateway.config import ConfigError, GatewayConfig, Problem, load
from gateway.lifecycle.build import BuildFailed
from gateway.lifecycle.build import build as run_build

__all__ = ["CONFIGURATION", "Folder", "build", "project"]

CONFIGURATION: Final = "gateway.toml"

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER",
        help="A folder with a gateway.toml of which components have a `build`, or such a file.",
    ),
]


def build(folder: Folder = Path()) -> None:
    """Build the components of a configuration that have a `build`, each once."""
    _, config = project(folder)
    failed = False
    for component in config.components:
        if component.build is None:
            continue
        typer.echo(f"building {component.name}: {component.build.command}", err=True)
        began = monotonic()
        try:
            run_build(component.build, component.source, show=sys.stderr.write)
        except BuildFailed as failure:
            typer.echo(f"gateway: the build of {component.name} failed: {failure}", err=True)
            failed = True
        else:
            typer.echo(f"built {component.source} in {monotonic() - began:.1f} s", err=True)
    raise typer.Exit(FAILED if failed else 0)


def project(folder: Path, **flags: Any) -> tuple[Path, GatewayConfig]:
    """The configuration that a folder has, or that was named itself, and what it says; nothing need be built yet.

    Args:
        folder: the folder, or the file.
        **flags: keys of the server that go before the file's.

    Raises:
        ConfigError: there is none, it is wrong, or has nothing to build.
    """
    file = folder / CONFIGURATION if folder.is_dir() else folder
    if not file.exists():
        reason = "there is no such file: `gateway new` makes a folder that has one"
        raise ConfigError([Problem(str(file), "", reason)])
    config = load(file, unbuilt=True, **flags)
    if all(component.build is None for component in config.components):
        reason = 'there is nothing to build: give a component a `build`, such as build = "make"'
        raise ConfigError([Problem(str(file), "components", reason)])
    return file, config
