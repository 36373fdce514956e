"""The heap of the C library, which keeps what was freed.

glibc gives back only what is free at the heap's end, and one small block there keeps all below it: after some
hundred large bodies at once a worker had twice the memory that it needed, for good. What is free elsewhere goes
back when it is asked to.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Callable
from typing import Final

__all__ = ["Heap"]

PERIOD: Final = 10
"""Seconds between two times. Arbitrary: it takes some 6 ms of a thread where 150 MiB are free, and 0.1 ms where
next to nothing is."""


class Heap:
    """Gives memory back to the system."""

    def __init__(self) -> None:
        self._trim = _malloc_trim()
        self._ticks = 0

    def tick(self) -> None:
        """Give back what is free, when it is time, without waiting for that. To be called every second."""
        self._ticks += 1
        if self._trim is not None and self._ticks % PERIOD == 0:
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
