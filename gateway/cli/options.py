"""The parameters that commands share."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import typer

from gateway.cli.status import REFUSED
from gateway.config import GatewayConfig, load, single

__all__ = [
    "COMPONENT",
    "SERVER",
    "ComponentFile",
    "Target",
    "one_of",
    "option",
    "read",
    "refuse",
]

_T = TypeVar("_T", bound=str)

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


def one_of(known: Sequence[_T], given: str, flag: str) -> _T:
    """The one of some words that was given; ends the program where it is none of them."""
    for each in known:
        if each == given:
            return each
    near = difflib.get_close_matches(given, known, n=1)
    meant = f'; did you mean "{near[0]}"?' if near else f": it is one of {', '.join(known)}"
    return refuse(REFUSED, f'{flag} "{given}" is unknown{meant}')


def refuse(status: int, message: str) -> NoReturn:
    """End the program, and say why."""
    typer.echo(f"gateway: {message}", err=True)
    raise typer.Exit(status)
