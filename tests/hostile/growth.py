"""What a process has of everything that could grow."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.bindings.sockets.descriptor import Descriptor
from gateway.host.store import STORES

__all__ = ["Possessions"]

_MEMORY: Final = 64 << 20
"""Bytes of resident memory that are no growth yet: allocators, caches, compiled patterns."""

_MAPS: Final = 400
"""Maps of memory, likewise: what an allocator keeps is in many pieces."""

_THREADS: Final = 16
"""Threads, likewise: pools of them grow to their size as they are needed."""


@dataclass(frozen=True)
class Possessions:
    """Counts of one moment (Linux).

    Attributes:
        memory: resident memory, in bytes.
        files: open file descriptors.
        threads: threads.
        maps: maps of memory.
        stores: stores of guests, and sockets of theirs, in this process.
    """

    memory: int
    files: int
    threads: int
    maps: int
    stores: int = 0

    @classmethod
    def of(cls, pid: int | None = None) -> Possessions:
        """Those of a process, or of this one."""
        stores = 0
        if pid is None:
            gc.collect()
            stores = len(STORES) + len(Descriptor.open)
        process = Path(f"/proc/{pid or os.getpid()}")
        pages = int((process / "statm").read_text().split()[1])
        return cls(
            pages * os.sysconf("SC_PAGE_SIZE"),
            len(os.listdir(process / "fd")),
            len(os.listdir(process / "task")),
            len((process / "maps").read_text().splitlines()),
            stores,
        )

    def grown_since(self, before: Possessions) -> list[str]:
        """What there is more of than chance explains, in words."""
        allowed = {"memory": _MEMORY, "maps": _MAPS, "threads": _THREADS}
        changes = {name: (getattr(before, name), getattr(self, name)) for name in vars(self)}
        return [
            f"{name}: {old} before, {new} after"
            for name, (old, new) in changes.items()
            if new > old + allowed.get(name, 0)
        ]
