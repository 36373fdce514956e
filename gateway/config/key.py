"""What a key of the configuration says of itself beside its type: its flag, and what it takes to change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gateway.units import Quantity

__all__ = ["RESTART", "Flag", "flag_name", "flag_of", "quantity_of", "written", "written_default"]


@dataclass(frozen=True, slots=True)
class Flag:
    """Describes the flag that sets a key, to `gateway serve` and to whoever reads its help.

    Attributes:
        help: what it is, without the default, which is the field's.
        name: how it is spelled, where that is not the key with hyphens. A key that is true or false has a flag for
            both; one with a name has that one alone, for false.
        metavar: what stands for its value, where the type does not say.
        read: reads one of a list, where that is no text; raises ValueError, which says what it must be.
    """

    help: str = ""
    name: str | None = None
    metavar: str | None = None
    read: Callable[[str], object] | None = None


class _Restart:
    """Marks a key that only a restart changes."""


RESTART: Final = _Restart()
"""Marks a key that only a restart changes: listeners, processes or connections are made with it."""


def flag_of(field: FieldInfo) -> Flag | None:
    """The flag of a key; None where it has none."""
    return next((each for each in field.metadata if isinstance(each, Flag)), None)


def flag_name(key: str, field: FieldInfo) -> str:
    """How the flag of a key is spelled; how it would be where there is none."""
    flag = flag_of(field)
    return (flag and flag.name) or f"--{key.replace('_', '-')}"


def quantity_of(field: FieldInfo) -> Quantity | None:
    """How the numbers of a key are written; None where it has none with a unit."""
    return next((each for each in field.metadata if isinstance(each, Quantity)), None)


def written(field: FieldInfo, value: object) -> object:
    """A value of a key, as a file would have it."""
    quantity = quantity_of(field)
    return value if quantity is None else quantity.write(value)


def written_default(field: FieldInfo) -> object:
    """The default of a key, as a file would have it; None where there is none that one could write."""
    return None if field.default is PydanticUndefined else written(field, field.default)
