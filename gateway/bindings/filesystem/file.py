"""What guests do with the content of open files. All of it blocks: it is for worker threads.

Each function raises the `OSError` of the system. Offsets and sizes must not exceed `MAX_OFFSET`.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Final

from gateway.bindings.filesystem.handle import Handle
from gateway.bindings.filesystem.timestamps import set_timestamps
from gateway.host.values import Variant

__all__ = [
    "MAX_OFFSET",
    "advise",
    "append",
    "read",
    "set_size",
    "set_times",
    "stat",
    "sync",
    "sync_data",
    "write",
    "write_all",
]

MAX_OFFSET: Final = (1 << 63) - 1
"""The largest offset that a system knows; WIT's have one bit more."""

_APPEND: Final[int | None] = getattr(os, "RWF_APPEND", None)
_SYNC_DATA: Final = getattr(os, "fdatasync", os.fsync)


def read(file: Handle, size: int, offset: int) -> bytes:
    """Up to `size` bytes; none at the end of the file."""
    return os.pread(file.fd, size, offset)


def write(file: Handle, data: bytes, offset: int) -> int:
    """Write bytes, and zeroes between the end of the file and them; returns how many of the bytes."""
    return os.pwrite(file.fd, data, offset)


def write_all(file: Handle, data: bytes, offset: int) -> None:
    """Write bytes until that is all of them, or fails."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file.fd, view, offset)
        view = view[written:]
        offset += written


def append(file: Handle, data: bytes) -> None:
    """Write bytes after the end of the file, wherever that is by then."""
    view = memoryview(data)
    while view:
        if _APPEND is not None:
            written = os.pwritev(file.fd, [view], 0, _APPEND)
        else:
            # Not in one step: who appends to the file through another descriptor may come in between. Through this
            # one nobody can, as all who append share its position and nothing else uses it.
            os.lseek(file.fd, 0, os.SEEK_END)
            written = os.write(file.fd, view)
        view = view[written:]


def set_size(file: Handle, size: int) -> None:
    """Cut the file off, or add zeroes."""
    os.ftruncate(file.fd, size)


def set_times(file: Handle, access: Variant, modification: Variant) -> None:
    """Set the times of a regular file; each a WIT `new-timestamp`."""
    set_timestamps(partial(os.utime, file.fd), os.fstat(file.fd), access, modification)


def stat(file: Handle) -> os.stat_result:
    """What the system says of a file or directory."""
    return os.fstat(file.fd)


def sync(file: Handle) -> None:
    """Have all of the file written to the disk."""
    os.fsync(file.fd)


def sync_data(file: Handle) -> None:
    """Have the content of the file written to the disk."""
    _SYNC_DATA(file.fd)


def advise(file: Handle, offset: int, length: int, advice: str) -> None:
    """Tell the system how the file will be used, where it has a way to be told."""
    if hasattr(os, "posix_fadvise"):
        values = {
            "normal": os.POSIX_FADV_NORMAL,
            "sequential": os.POSIX_FADV_SEQUENTIAL,
            "random": os.POSIX_FADV_RANDOM,
            "will-need": os.POSIX_FADV_WILLNEED,
            "dont-need": os.POSIX_FADV_DONTNEED,
            "no-reuse": os.POSIX_FADV_NOREUSE,
        }
        os.posix_fadvise(file.fd, offset, length, values[advice])
