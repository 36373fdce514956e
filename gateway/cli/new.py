"""`gateway new`: a folder to begin a component with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.doctor import lines
from gateway.cli.options import one_of, refuse
from gateway.cli.status import FAILED, REFUSED
from gateway.scaffold.project import KINDS, LANGUAGES, BadName, Project
from gateway.scaffold.tools import missing

__all__ = ["new"]


def new(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="NAME",
            help="The component's name, and the folder to make, which may be a path.",
            show_default=False,
        ),
    ],
    *,
    lang: Annotated[
        str | None,
        typer.Option(
            "--lang",
            metavar="|".join(LANGUAGES),
            help="What to write it in; asked for on a terminal.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            metavar="|".join(KINDS),
            help="What it does: answer HTTP requests, have functions that are called with JSON, or do jobs that "
            "come as messages.",
        ),
    ] = "http",
) -> None:
    """Make a folder to begin a component with: source, WIT, tests, and how it is built and served."""
    language = one_of(LANGUAGES, lang or _asked(), "--lang")
    try:
        project = Project(folder.name, language, one_of(KINDS, kind, "--kind"))
    except BadName as error:
        refuse(REFUSED, f"NAME {error}")
    try:
        project.write(folder)
    except FileExistsError:
        refuse(FAILED, f"{folder} is there already: choose another name, or remove it")
    except FileNotFoundError:
        refuse(FAILED, f"there is no folder {folder.parent} to make {folder.name} in")
    except OSError as error:
        refuse(FAILED, f"{folder} cannot be written, and nothing of it is left: {error.strerror}")
    typer.echo(f"made {folder}. What to type:\n\n    cd {folder}\n    gateway dev\n")
    if lacks := lines(missing(language)):
        typer.echo(
            "Before that, since this machine lacks it:\n\n    " + "\n    ".join(lacks) + "\n"
        )


def _asked() -> str:
    """The language, from whoever sits there."""
    if not sys.stdin.isatty():
        refuse(REFUSED, f"say what to write it in: --lang {'|'.join(LANGUAGES)}")
    answer: str = typer.prompt(f"What to write it in ({', '.join(LANGUAGES)})")
    return answer
