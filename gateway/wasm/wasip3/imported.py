"""Functions of interfaces of others that are asynchronous or have streams or futures, for a host that has none.

Each such interface has an adapter as those of WASI have (`family.py`), made of the guest's own types. In it, names
of types and functions are letters; the guest is given an instance with its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from gateway.wasm.wasip3.adapter import FamilyParts
from gateway.wasm.wasip3.family import Family

__all__ = ["HOST_PREFIX", "Imported"]

HOST_PREFIX = "gateway:wasi/imported-"
"""How the names begin of what the host has for these adapters."""


@dataclass(frozen=True, slots=True)
class Imported:
    """An interface that is adapted.

    Attributes:
        family: the adapter.
        types: the names of its types there, by those that the guest has.
        functions: the same of its functions that are asynchronous, or have streams or futures.
        plain: the names of its other functions.
        parts: the adapter in binary form.
    """

    family: Family
    types: Mapping[str, str]
    functions: Mapping[str, str]
    plain: tuple[str, ...]
    parts: FamilyParts

    @classmethod
    def read(
        cls,
        family: Family,
        types: Mapping[str, str],
        functions: Mapping[str, str],
        plain: tuple[str, ...],
        binary: bytes,
    ) -> Self:
        """The same of what the text of the adapter was made to."""
        return cls(family, types, functions, plain, FamilyParts.read(binary))
