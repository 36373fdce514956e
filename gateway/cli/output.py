"""Where commands write what they generate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Output", "write"]

Output = Annotated[
    Path,
    typer.Option("-o", "--output", metavar="FILE", help="Where to write it; - is standard output."),
]


def write(text: str, output: Path) -> None:
    """Write a text to a file, or the standard output."""
    if output == Path("-"):
        sys.stdout.buffer.write(text.encode())
    else:
        output.write_text(text, encoding="utf-8")
