"""`gateway stubs`: the Python class of which an object can provide what a component imports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from gateway.bindings import provided
from gateway.cli.options import ComponentFile
from gateway.cli.output import Output, write
from gateway.cli.status import REFUSED
from gateway.host import wit
from gateway.host.component import Component, Source
from gateway.links.target import uncarried
from gateway.rpc.client import generate_stubs

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
        resources = _resources(interface, loaded.imports)
        reasons = [
            f"{interface}#{function}: {why}"
            for function, ty in imported.functions.items()
            if (why := uncarried(ty, (), resources)) is not None
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


def _resources(interface: str, imports: Mapping[str, wit.Item]) -> set[wit.Type]:
    """The resources that an object can have classes for, as own or borrow.

    Those of an interface, and what it uses of others that the gateway does not provide.
    """
    theirs: set[wit.Resource] = set()
    own: set[wit.Resource] = set()
    for name, item in imports.items():
        if isinstance(item, wit.Interface):
            # What defines a resource comes before what uses it.
            new = set(item.resources.values()) - theirs - own
            elsewhere = name != interface and provided().interface(wit.interface_name(name, item))
            (theirs if elsewhere else own).update(new)
    return {kind(each) for each in own for kind in (wit.Own, wit.Borrow)}
