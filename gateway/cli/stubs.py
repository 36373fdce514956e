"""`gateway stubs`: the Python class of which an object can provide what a component imports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import ComponentFile
from gateway.cli.output import Output, write
from gateway.cli.status import REFUSED
from gateway.host import wit
from gateway.host.component import Component, Source
from gateway.rpc.client import generate_stubs
from gateway.rpc.method import Methods

__all__ = ["stubs"]


def stubs(
    component: ComponentFile,
    interface: Annotated[
        str,
        typer.Argument(
            metavar="IMPORT",
            help="The full name of an interface that it imports (`gateway inspect`).",
            show_default=False,
        ),
    ],
    *,
    output: Output = Path("-"),
    asynchronous: Annotated[
        bool, typer.Option("--async", help="Methods that are coroutines, instead of blocking ones.")
    ] = False,
) -> None:
    """Write a typed Python class to fill in, whose objects provide an interface that a component imports."""
    loaded = Component.alone(Source(component), name=component.stem)
    imported = loaded.imports.get(interface)
    reasons: list[str] = []
    if isinstance(imported, wit.Interface):
        reasons = [
            f"{each.name}: {each.reason}" for each in Methods({interface: imported}).left_out
        ]
        if not imported.functions:
            reasons = [f"{interface} has no functions"]
    else:
        meant = wit.no_import(interface, loaded.imports)
        reasons = [f"{component} does not import {interface}{meant}"]
    if reasons:
        for reason in reasons:
            typer.echo(f"gateway: {reason}", err=True)
        raise typer.Exit(REFUSED)
    text = generate_stubs(
        interface,
        loaded.imports,
        loaded.docs,
        name=loaded.name,
        digest=loaded.digest,
        asynchronous=asynchronous,
    )
    write(text, output)
