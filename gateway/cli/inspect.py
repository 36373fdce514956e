"""`gateway inspect`: what is in a component."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.description import describe
from gateway.cli.options import ComponentFile

__all__ = ["inspect"]


def inspect(
    component: ComponentFile,
    full: Annotated[
        bool, typer.Option("--full", help="Show what is in the interfaces of WASI, too.")
    ] = False,
) -> None:
    """Show what a component imports, exports and can be called for, with its digest and size."""
    typer.echo(describe(component, full=full))
