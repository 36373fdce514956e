"""Whether files have changed.

They are polled: what the kernel could tell of changes, it does not tell of network file systems, nor always of
files that are mounted into containers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

__all__ = ["Watch"]

Stamp = tuple[int, int, int]
"""Inode, size in bytes, time of the last change in nanoseconds."""


class Watch:
    """Looks at files now and then, and tells when some have changed and are whole again.

    A file that is being written has another stamp at each look, so nothing is told before two looks in a row have
    found the same. A file that is missing, twice, has changed too.
    """

    def __init__(self, files: Callable[[], Iterable[Path]]) -> None:
        """Take the files as they are for known.

        Args:
            files: gives those to look at; they may be others each time.
        """
        self._files = files
        self._seen = self._known = _stamps(files())

    def changed(self) -> bool:
        """Look. Whether files differ from what was told of before, and rest."""
        stamps = _stamps(self._files())
        rest = stamps == self._seen
        self._seen = stamps
        # One that is looked at for the first time counts as changed: it may be, since it was loaded.
        if not rest or stamps == self._known:
            return False
        self._known = stamps
        return True


def _stamps(files: Iterable[Path]) -> dict[Path, Stamp | None]:
    return {path: _stamp(path) for path in files}


def _stamp(path: Path) -> Stamp | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
