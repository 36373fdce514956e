"""`gateway componentize`: a component of a core module, ahead of time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.host.component import Component, Source

__all__ = ["componentize"]


def componentize(
    module: Annotated[
        Path,
        typer.Argument(
            metavar="MODULE",
            help="A core module that carries its world (module.wasm).",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Where to write it.", show_default=False
        ),
    ],
) -> None:
    """Write the component that `gateway serve` makes of a core module when it loads one.

    It is validated before it is written. A component is written as it is, without its text if it was one.
    """
    source = Source(module)
    Component.alone(source, name=module.name)
    output.write_bytes(source.binary)
