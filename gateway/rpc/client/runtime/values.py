"""The values of WIT that Python has no type for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

_T = TypeVar("_T")
_E = TypeVar("_E")


@dataclass(frozen=True, slots=True)
class Ok(Generic[_T]):
    """The ok side of a `result` that is part of another value."""

    value: _T


@dataclass(frozen=True, slots=True)
class Err(Generic[_E]):
    """The err side of a `result` that is part of another value."""

    value: _E


@dataclass(frozen=True, slots=True)
class Some(Generic[_T]):
    """An `option` that is present, where what it holds may be None too."""

    value: _T
