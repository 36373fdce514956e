"""How many memory maps the process may still have.

Linux bounds them (`vm.max_map_count`, 65,530 unless someone has changed it), and the pooling allocator splits its
address space in two for each stack, in its constructor, which ends the process where that fails. What engines that
live already have taken is among the maps that the process has, so it counts without being added up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["maps_left"]

_LIMIT: Final = Path("/proc/sys/vm/max_map_count")
_MAPS: Final = Path("/proc/self/maps")

_RESERVED_SHARE: Final = 8
"""One in so many maps is kept for all else: memories that have grown, threads, files. Arbitrary."""


def maps_left() -> int | None:
    """How many more maps pools may take; None where the system does not bound them, or does not tell."""
    try:
        limit = int(_LIMIT.read_text())
        with _MAPS.open("rb") as maps:
            used = sum(1 for _ in maps)
    except (OSError, ValueError):
        return None
    return limit - limit // _RESERVED_SHARE - used
