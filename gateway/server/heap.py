"""Memory that nobody uses, but the process keeps.

Some of what is cancelled ends as a cycle of an exception and the frames that it came through. The garbage
collector finds it when so many more objects were made: where a crowd has left, and nobody comes after it, not for
hours. And glibc gives back only what is free at the end of its heap, where one small block keeps all below it. So
both are asked to, now and then: after some hundred large bodies at once a worker had twice the memory that it
needed, for good.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import threading
from collections.abc import Callable
from typing import Final

__all__ = ["Heap"]

PERIOD: Final = 10
"""Seconds between two times. Arbitrary: it takes some 6 ms of a thread where 150 MiB are free, and 0.1 ms where
next to nothing is."""

CROWD: Final = 50
"""Connections from which on a crowd is one. Arbitrary."""

OBJECTS: Final = 50_000
"""Objects that a collection may have to look at: some 20 ms, in which the loop is held. Where there are more, the
collector itself sees to them when many others are made."""


class Heap:
    """Gives memory back to the system."""

    def __init__(self) -> None:
        self._trim = _malloc_trim()
        self._ticks = 0
        self._most = 0

    def tick(self, connections: int) -> None:
        """Give back what is free, when it is time, without waiting for that. To be called every second.

        Args:
            connections: how many are open.
        """
        self._ticks += 1
        self._most = max(self._most, connections)
        if self._ticks % PERIOD:
            return
        if self._most >= CROWD and connections <= self._most // 4:
            self._most = connections
            if len(gc.get_objects()) <= OBJECTS:
                gc.collect()
        if self._trim is not None:
            trimming = threading.Thread(target=self._trim, args=(0,), name="heap-trim", daemon=True)
            with contextlib.suppress(RuntimeError):  # the system has none at present
                trimming.start()


def _malloc_trim() -> Callable[[int], int] | None:
    """Glibc's `malloc_trim(3)`, which may be called from any thread; None with another C library."""
    function = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if function is not None:
        function.argtypes = [ctypes.c_size_t]
        function.restype = ctypes.c_int
    return function
