"""What the tables of a configuration share: their base, and the rules for single values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

__all__ = [
    "GIB",
    "KIB",
    "MIB",
    "AnyPath",
    "LogFormat",
    "LogLevel",
    "Table",
    "Text",
    "between",
    "text",
]

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

LogFormat = Literal["auto", "json", "console"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]


class Table(BaseModel):
    """A table of the configuration: unknown keys are refused, and nothing can be changed afterwards."""

    # Values of `environment` are secrets: pydantic must not quote them in its errors.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def between(low: float, high: float, write: Callable[[Any], str]) -> AfterValidator:
    """Refuse numbers out of a range.

    Args:
        low: the least.
        high: the most.
        write: writes a number as people write it in this place.
    """

    def check(value: float) -> float:
        if not low <= value <= high:
            raise ValueError(f"must be between {write(low)} and {write(high)}, not {write(value)}")
        return value

    return AfterValidator(check)


def text(value: str) -> str:
    """Refuse what no environment or argument of a component can hold.

    Raises:
        ValueError: a NUL, or half of a surrogate pair.
    """
    if "\0" in value:
        raise ValueError("must not contain a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode text") from None
    return value


def _anchored(path: Path, info: ValidationInfo) -> Path:
    try:
        path = path.expanduser()
    except RuntimeError:
        raise ValueError(f'"{path}" starts at a home directory, and there is none') from None
    base = info.context["base"] if info.context else Path()
    return Path(base, path).absolute()


Text = Annotated[str, AfterValidator(text)]

AnyPath = Annotated[Path, AfterValidator(_anchored)]
"""An absolute path; relative ones count from the configuration file, if there is one."""
