"""`gateway doctor`: what is missing before a component can be built."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from gateway.cli.options import one_of
from gateway.cli.status import FAILED
from gateway.scaffold.project import LANGUAGES
from gateway.scaffold.tools import Missing, missing

__all__ = ["doctor", "lines"]


def doctor(
    lang: Annotated[
        str | None,
        typer.Option(
            "--lang",
            metavar="|".join(LANGUAGES),
            help="Look for what this language takes, and end with status 1 where something is missing.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Tell what is missing on this machine before components can be built, for each language.

    Tools that a build fetches itself, in the version that it names, do not count.
    """
    languages = LANGUAGES if lang is None else (one_of(LANGUAGES, lang, "--lang"),)
    found = {language: missing(language) for language in languages}
    for language, lacks in found.items():
        typer.echo(f"{language:12}{'missing:' if lacks else 'ready'}")
        for line in lines(lacks):
            typer.echo(f"    {line}")
    if lang is not None and any(found.values()):
        raise typer.Exit(FAILED)


def lines(lacks: Iterable[Missing]) -> list[str]:
    """What is missing, and what to do."""
    return [f"{each.what}: {each.remedy}" for each in lacks]
