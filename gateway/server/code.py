"""The code that a gateway was started with."""

from __future__ import annotations

import os
import sys
from typing import Final, TypeAlias

__all__ = ["Code"]

_Found: TypeAlias = tuple[int, int]
"""The size of a file in bytes, and when it was last modified, in nanoseconds since the epoch."""


class Code:
    """The files that this process was made of, as they are when this is made.

    A worker is a new interpreter that reads them again. After an upgrade it would be of another version than its
    supervisor and the other workers, to which it speaks by pickled objects and shared files.
    """

    def __init__(self) -> None:
        paths = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        self._files: Final = {
            path: found
            for path in sorted({sys.executable, *filter(None, paths)})
            if (found := _look(path)) is not None
        }

    def changed(self) -> str | None:
        """A file that is not as it was; None if all are."""
        return next((path for path, found in self._files.items() if _look(path) != found), None)


def _look(path: str) -> _Found | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
