"""Pages of memory: which were written to, and how to have some at hand before they are.

The first touch of a page costs a trap into the system, which finds a page and copies or clears it: more than a
microsecond. To ask for many at once costs as much in all, but it can be done beforehand. Linux alone tells and
does this; elsewhere nothing was written, as far as is known, and nothing is brought in.
"""

from __future__ import annotations

import ctypes
import sys
from array import array
from collections.abc import Sequence
from mmap import PAGESIZE
from pathlib import Path
from typing import Final

__all__ = ["bring_in", "written"]

_FAR: Final = 64 << 20
"""Bytes of a memory that are looked at, from its beginning: a millisecond at most. Arbitrary."""

_PRESENT: Final = 1 << 63
_OF_FILE: Final = 1 << 61
"""Bits of an entry of `/proc/self/pagemap` (Linux, Documentation/admin-guide/mm/pagemap.rst): the page is in
memory; it is a file's, such as that of a compiled component, and was not written to."""

_POPULATE_WRITE: Final = 23
"""`MADV_POPULATE_WRITE`, since Linux 5.14: as if each page were written to, which none is. Before, an error."""

_madvise = ctypes.CDLL(None).madvise
_madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def written(address: int, size: int, most: int) -> Sequence[tuple[int, int]]:
    """Where memory was written to.

    Args:
        address: where it begins, which is at the beginning of a page.
        size: how many bytes it has.
        most: how many bytes of it are told, the first.

    Returns:
        Ranges, by where each begins, counted from `address`, and its size.
    """
    entries = array("Q")
    try:
        with Path("/proc/self/pagemap").open("rb", buffering=0) as file:
            file.seek(address // PAGESIZE * entries.itemsize)
            entries.frombytes(file.read(min(size, _FAR) // PAGESIZE * entries.itemsize) or b"")
    except (OSError, ValueError):  # there is none, or it is hidden
        return ()
    ranges: list[tuple[int, int]] = []
    left = most // PAGESIZE
    for page, entry in enumerate(entries):
        if not left:
            break
        if entry & _PRESENT and not entry & _OF_FILE:
            left -= 1
            if ranges and sum(ranges[-1]) == page * PAGESIZE:
                ranges[-1] = ranges[-1][0], ranges[-1][1] + PAGESIZE
            else:
                ranges.append((page * PAGESIZE, PAGESIZE))
    return ranges


def bring_in(address: int, size: int, ranges: Sequence[tuple[int, int]]) -> None:
    """Have pages at hand, with what is in them, as far as they are in this memory.

    Args:
        address: where it begins.
        size: how many bytes it has.
        ranges: as `written` tells them.
    """
    if sys.platform == "linux":
        for start, length in ranges:
            if start + length <= size:
                _madvise(address + start, length, _POPULATE_WRITE)
