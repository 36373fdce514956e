"""The parameters that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.config import GatewayConfig, load, single

__all__ = ["COMPONENT", "SERVER", "ComponentFile", "Target", "option", "read"]

SERVER: Final = "Server"
COMPONENT: Final = "Component"


def option(flag: str, metavar: str | None, text: str, panel: str) -> Any:
    """A parameter that is None where it was not given."""
    return typer.Option(flag, metavar=metavar, help=text, rich_help_panel=panel, show_default=False)


Target = Annotated[
    Path,
    typer.Argument(
        metavar="TARGET",
        help="A component (app.wasm, app.wat), or a configuration of many (gateway.toml).",
        show_default=False,
    ),
]
ComponentFile = Annotated[
    Path,
    typer.Argument(
        metavar="COMPONENT", help="A component (app.wasm, app.wat).", show_default=False
    ),
]


def read(target: Path, *, unbuilt: bool = False, **flags: Any) -> GatewayConfig:
    """Read a configuration, or make one for a component alone.

    Args:
        target: the file.
        unbuilt: whether the files of components that have a `build` may be missing.
        **flags: keys of a configuration; None where not given.

    Raises:
        ConfigError: with every problem of the file and the flags.
    """
    if target.suffix.lower() == ".toml":
        return load(target, unbuilt=unbuilt, **flags)
    return single(target, **flags)
