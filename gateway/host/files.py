"""Opening files that someone else has named."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

__all__ = ["open_regular"]


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file for reading, if it is one.

    A pipe without a writer would never be opened, and a device such as `/dev/zero` never end.

    Raises:
        OSError: it cannot be opened, or is no regular file (with `EINVAL`, or `EISDIR` for a folder).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
