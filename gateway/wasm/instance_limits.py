"""What an instance may take: the limit of the whole, divided among its memories and among its tables.

The engine's limiter knows one limit for every memory of a store, and one for every table. So each gets the most
that keeps their sum within the limit of the instance, however they grow: one that declares a maximum below an
equal share leaves the rest to the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from gateway.wasm.binary.core_module import Limits

__all__ = ["MAX_TABLE_ELEMENTS", "Extents", "InstanceLimits", "needed", "share", "untold_limits"]

MAX_TABLE_ELEMENTS: Final = 200_000
"""Elements of all tables of an instance, of 8 bytes each. A guest that grows tables without end would take memory
past its `max_memory`. The number is arbitrary: interpreters compiled to WebAssembly have some 10,000 functions in
theirs."""

_UNTOLD_TABLES: Final = 8
"""Tables of an instance whose extents cannot be told from its file. Arbitrary; most have two."""


class InstanceLimits(NamedTuple):
    """What the engine's limiter is told for a store.

    Attributes:
        memory: bytes of each linear memory.
        table: elements of each table.
        memories: linear memories, -1 for any number.
        tables: tables, likewise.
    """

    memory: int
    table: int
    memories: int = -1
    tables: int = -1


class Extents(NamedTuple):
    """The memories and tables that one instance of a component has.

    Attributes:
        memories: the sizes of each memory, in bytes.
        tables: the sizes of each table, in elements.
    """

    memories: tuple[Limits, ...]
    tables: tuple[Limits, ...]

    def limits(self, max_memory: int) -> InstanceLimits:
        """What each may grow to, so that the memories together do not pass `max_memory` bytes."""
        return InstanceLimits(
            share(self.memories, max_memory), share(self.tables, MAX_TABLE_ELEMENTS)
        )


def untold_limits(max_memory: int) -> InstanceLimits:
    """The same for a component whose extents cannot be told: one memory has all, and is the only one."""
    return InstanceLimits(max_memory, MAX_TABLE_ELEMENTS // _UNTOLD_TABLES, 1, _UNTOLD_TABLES)


def share(sizes: Sequence[Limits], total: int) -> int:
    """The most that each of some memories or tables may grow to, so that all together are no more than `total`."""
    left = total
    maxima = sorted(total if size.maximum is None else min(size.maximum, total) for size in sizes)
    for at, maximum in enumerate(maxima):
        equal = left // (len(maxima) - at)
        if maximum > equal:
            return equal
        left -= maximum
    return total


def needed(sizes: Sequence[Limits]) -> int:
    """The least total of which every share is as large as the largest memory or table is in the beginning."""
    largest = max((size.minimum for size in sizes), default=0)
    return sum(largest if size.maximum is None else min(size.maximum, largest) for size in sizes)
