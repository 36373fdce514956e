"""`gateway client`: a Python module that calls a component by JSON-RPC."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import ComponentFile
from gateway.cli.output import Output, write
from gateway.cli.status import REFUSED
from gateway.host import wit
from gateway.host.component import Component, Source
from gateway.rpc.client import generate
from gateway.rpc.method import Methods

__all__ = ["client"]


def client(
    component: ComponentFile,
    *,
    output: Output = Path("-"),
    asynchronous: Annotated[
        bool, typer.Option("--async", help="Methods to await, instead of blocking ones.")
    ] = False,
) -> None:
    """Write a typed Python module that calls the functions of a component through a gateway."""
    loaded = Component.alone(Source(component), name=component.stem)
    exports = wit.settled(loaded.exports)
    methods = Methods(exports)
    if not methods.served:
        typer.echo(
            f"gateway: {component} exports no functions that can be called with JSON; "
            "`gateway inspect` tells why",
            err=True,
        )
        raise typer.Exit(REFUSED)
    text = generate(
        methods,
        exports,
        loaded.docs,
        name=loaded.name,
        digest=loaded.digest,
        imports=loaded.imports,
        asynchronous=asynchronous,
    )
    write(text, output)
