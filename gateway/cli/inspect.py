"""`gateway inspect`: what is in a component."""

from __future__ import annotations

import typer

from gateway.cli.description import describe
from gateway.cli.options import ComponentFile

__all__ = ["inspect"]


def inspect(component: ComponentFile) -> None:
    """Show what a component imports, exports and can be called for, with its digest and size."""
    typer.echo(describe(component))
