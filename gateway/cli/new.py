"""`gateway new`: a folder to begin a component with."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer

from gateway.cli.status import FAILED, REFUSED
from gateway.scaffold.project import KINDS, LANGUAGES, BadName, Project

__all__ = ["new"]

_T = TypeVar("_T", bound=str)


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
        str,
        typer.Option(
            "--lang", metavar="|".join(LANGUAGES), help="What to write it in.", show_default=False
        ),
    ],
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
    try:
        project = Project(
            folder.name, _one_of(LANGUAGES, lang, "--lang"), _one_of(KINDS, kind, "--kind")
        )
    except BadName as error:
        _refuse(REFUSED, f"NAME {error}")
    try:
        project.write(folder)
    except FileExistsError:
        _refuse(FAILED, f"{folder} is there already: choose another name, or remove it")
    except FileNotFoundError:
        _refuse(FAILED, f"there is no folder {folder.parent} to make {folder.name} in")
    except OSError as error:
        _refuse(FAILED, f"{folder} cannot be written, and nothing of it is left: {error.strerror}")
    typer.echo(f"made {folder}. What to type:\n\n    cd {folder}\n    gateway dev\n")


def _one_of(known: Sequence[_T], given: str, flag: str) -> _T:
    for each in known:
        if each == given:
            return each
    near = difflib.get_close_matches(given, known, n=1)
    meant = f'; did you mean "{near[0]}"?' if near else f": it is one of {', '.join(known)}"
    return _refuse(REFUSED, f'{flag} "{given}" is unknown{meant}')


def _refuse(status: int, message: str) -> NoReturn:
    typer.echo(f"gateway: {message}", err=True)
    raise typer.Exit(status)
