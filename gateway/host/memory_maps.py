"""How many memory maps the process may still have.

Linux bounds them (`vm.max_map_count`, 65,530 unless someone has changed it), and the pooling allocator splits its
address space in two for each stack, in its constructor, which ends the process where that fails. What engines that
live already have taken is among the maps that the process has, so it counts without being added up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["maps_left", "maps_of"]

_LIMIT: Final = Path("/proc/sys/vm/max_map_count")
_MAPS: Final = Path("/proc/self/maps")

_RESERVED_SHARE: Final = 8
"""One in so many maps is kept for all else: memories that have grown, threads, files. Arbitrary."""


def maps_of(memories: int, tables: int, stacks: int) -> int:
    """How many maps an instance takes at most that is in no pools.

    A memory is one for what is in use and one for what is reserved behind it, a stack one and its guard another. A
    large table is one, and so is what the engine notes down of an instance.
    """
    return 2 * (memories + stacks) + tables + 1


def maps_left() -> int | None:
    """How many more maps pools and what is beside them may take; None where no bound is told."""
    try:
        limit = int(_LIMIT.read_text())
        with _MAPS.open("rb") as maps:
            used = sum(1 for _ in maps)
    except (OSError, ValueError):
        return None
    return limit - limit // _RESERVED_SHARE - used
