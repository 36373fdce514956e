"""How the file of a component is made of its sources."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, WithJsonSchema

from gateway.config.values import SOME_TEXT, AnyPath, Between, OrText, Table, Text
from gateway.units import Duration, format_duration

__all__ = ["BuildConfig", "OrCommand"]

MAX_TIMEOUT: Final = 86_400.0
"""Seconds that a build may be given. Arbitrary: a day."""

_COMMAND: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": r"^[^\x00]*[^\x00\s][^\x00]*$",
    "examples": ["make"],
}


def _command(command: str) -> str:
    if not command.strip():
        raise ValueError('must not be empty: say what makes the component, such as "make"')
    return command


class BuildConfig(Table):
    """How the file of a component is made of its sources, for those who work on it.

    Attributes:
        command: what `/bin/sh` runs to make the component's `source`.
        folder: where; relative to the configuration.
        watch: the files and folders whose changes call for another build, relative to the configuration; in
            folders, all but hidden files, `node_modules`, `target`, `__pycache__` and what is WebAssembly.
        timeout: seconds that one build may take.
    """

    command: Annotated[Text, AfterValidator(_command), WithJsonSchema(_COMMAND)]
    folder: Annotated[AnyPath, SOME_TEXT] = Field(default=Path(), validate_default=True)
    watch: tuple[Annotated[AnyPath, SOME_TEXT], ...] = Field(
        default=(Path(),), validate_default=True
    )
    timeout: Annotated[Duration, Between(1, MAX_TIMEOUT, format_duration)] = 600.0


def OrCommand() -> OrText:  # noqa: N802 - beside `OrURL`, it reads as a part of a type
    """Lets such a table be written as its command alone."""
    return OrText("command", _COMMAND)
