"""`gateway inspect`: what is in a component."""

from __future__ import annotations

import typer

from gateway.cli.options import ComponentFile
from gateway.inspect import describe

__all__ = ["inspect"]


def inspect(component: ComponentFile) -> None:
    """Show what a component imports, exports and can be called for, with its digest and size."""
    typer.echo(describe(component))
