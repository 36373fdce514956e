"""What stands in Python for component values that it has no types for, and what is refused in their place."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Err", "Ok", "Some", "ValueMismatch", "Variant", "mismatch"]


class ValueMismatch(ValueError):
    """A Python value is not one of the WIT type it was lowered to; the message says which was expected."""


class Ok(NamedTuple):
    """The ok side of a `result`."""

    value: Any = None


class Err(NamedTuple):
    """The err side of a `result`."""

    value: Any = None


class Some(NamedTuple):
    """A present `option` whose payload may itself be `None`."""

    value: Any = None


class Variant(NamedTuple):
    """One case of a `variant`, with its payload."""

    case: str
    payload: Any = None


def mismatch(expected: object, value: object) -> ValueMismatch:
    """What a value is refused with, that is not what was expected: a type, or words for it."""
    try:
        shown = repr(value)
    except Exception:  # such as an integer of more digits than `repr` writes
        shown = "that cannot be shown"
    if len(shown) > 80:
        shown = shown[:77] + "..."
    return ValueMismatch(f"expected {expected}, got {type(value).__name__} {shown}")
