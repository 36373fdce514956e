"""`gateway client`: a Python module that calls a component by JSON-RPC."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import ComponentFile
from gateway.cli.status import REFUSED
from gateway.host.component import Component, Source
from gateway.host.engine import Engine
from gateway.rpc.client import generate
from gateway.rpc.method import Methods

__all__ = ["client"]


def client(
    component: ComponentFile,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Where to write it; - is standard output."
        ),
    ] = Path("-"),
    asynchronous: Annotated[
        bool, typer.Option("--async", help="Methods to await, instead of blocking ones.")
    ] = False,
) -> None:
    """Write a typed Python module that calls the functions of a component through a gateway."""
    source = Source(component)
    loaded = Component(Engine(concurrent=source.concurrent), source, name=component.stem)
    methods = Methods(loaded.exports)
    if not methods.served:
        typer.echo(
            f"gateway: {component} exports no functions that can be called with JSON; "
            "`gateway inspect` tells why",
            err=True,
        )
        raise typer.Exit(REFUSED)
    text = generate(
        methods,
        loaded.exports,
        loaded.docs,
        name=loaded.name,
        digest=loaded.digest,
        imports=loaded.imports,
        asynchronous=asynchronous,
    )
    if output == Path("-"):
        sys.stdout.buffer.write(text.encode())
    else:
        output.write_text(text, encoding="utf-8")
