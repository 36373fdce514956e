"""The file in which a process keeps the values of its metrics, mapped into its memory.

prometheus_client makes such a file by setting its length. Its blocks are found when they are first written to,
through the mapping, and where the disk has none left then, the system ends the process with SIGBUS. So here the
blocks are allocated before anything is written. Where that fails, values stay in the process: they are missing
in what is scraped, and nothing else is.
"""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

__all__ = ["INITIAL_SIZE", "MetricFile", "allocate", "use"]

_log = structlog.get_logger("gateway.metrics")

INITIAL_SIZE: Final = 1 << 16
"""Bytes of a new file, as in prometheus_client: some 500 values. It doubles when it is full."""

_OVERHEAD: Final = 4 + 8 + 16
"""Bytes of a value besides its key: the key's length, padding at most, the value and its time."""

_Value = tuple[float, float]
"""A value, and its time in seconds since the epoch, or 0."""


def use() -> None:
    """Have prometheus_client keep values in such files; to be called before there are any."""
    values.MmapedDict = MetricFile  # type: ignore[attr-defined]


def allocate(descriptor: int, size: int) -> None:
    """Have a file be so long, and have all blocks that it needs.

    Raises:
        OSError: there are not so many left.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    length = os.fstat(descriptor).st_size
    while length < size:
        length += os.pwrite(descriptor, bytes(min(size - length, INITIAL_SIZE)), length)


class MetricFile(MmapedDict):
    """Values by key, in a file as far as that has room, and in the process alone beyond.

    Attributes:
        missing: the values that are not in the file, and their times.
    """

    def __init__(self, filename: str | Path, read_mode: bool = False) -> None:
        self.missing: dict[str, _Value] = {}
        self._f = None  # type: ignore[assignment]  # nothing to close
        self._positions: dict[str, int] = {}
        self._name = str(filename)
        self._open = self._told = False
        try:
            if not read_mode:
                _create(filename)
            super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]
            self._open = True
        except OSError as error:
            self._tell(error)

    def read_value(self, key: str) -> _Value:
        """The value and the time of a key; both 0 if it is new."""
        if key in self.missing or not self._has(key):
            return self.missing.setdefault(key, (0.0, 0.0))
        value: _Value = super().read_value(key)  # type: ignore[no-untyped-call]
        return value

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        """Set the value and the time of a key."""
        if key in self.missing or not self._has(key):
            self.missing[key] = value, timestamp
        else:
            super().write_value(key, value, timestamp)  # type: ignore[no-untyped-call]

    def _has(self, key: str) -> bool:
        """Whether a key is in the file, or has room there."""
        if key in self._positions:
            return True
        if not self._open:
            return False
        capacity = self._capacity
        while self._used + len(key.encode()) + _OVERHEAD > capacity:
            capacity *= 2
        if capacity != self._capacity:
            descriptor = self._f.fileno()
            try:
                allocate(descriptor, capacity)
                self._m = mmap.mmap(descriptor, capacity)
            except OSError as error:
                self._tell(error)
                return False
            self._capacity = capacity
        return True

    def _tell(self, error: OSError) -> None:
        if not self._told:
            _log.error(
                "metrics not shared",
                file=self._name,
                reason=os.strerror(error.errno or errno.EIO),
                effect="values of this process are missing in what is scraped, until it is started again",
            )
        self._told = True


def _create(filename: str | Path) -> None:
    """Make a file of the initial size, if there is none yet."""
    descriptor = os.open(filename, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode=0o600)
    try:
        if os.fstat(descriptor).st_size == 0:
            allocate(descriptor, INITIAL_SIZE)
    except OSError:
        os.ftruncate(descriptor, 0)  # readers pass over what is empty
        raise
    finally:
        os.close(descriptor)
