"""Setting the times of files.

Source: `wasi:filesystem@0.2.12`, `types.wit`: `new-timestamp`, `set-times`, `set-times-at`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import time_ns
from typing import Final

from gateway.bindings.filesystem.error_code import ErrorCode, FilesystemError
from gateway.host.values import Variant

__all__ = ["set_timestamps"]

_SECOND: Final = 1_000_000_000


def set_timestamps(
    utime: Callable[..., None], status: os.stat_result, access: Variant, modification: Variant
) -> None:
    """Set the times of a file.

    Args:
        utime: `os.utime` with all that says which file.
        status: what its times are now.
        access: the `new-timestamp` for the last access.
        modification: the one for the last modification.

    Raises:
        FilesystemError: `overflow`; the system cannot count that far.
        OSError: the system refuses.
    """
    if access.case == modification.case == "now":
        utime()  # which is allowed to whoever may write to the file, where any other time takes its owner
        return
    nanoseconds = _resolve(access, status.st_atime_ns), _resolve(modification, status.st_mtime_ns)
    try:
        utime(ns=nanoseconds)
    except OverflowError:
        raise FilesystemError(ErrorCode.OVERFLOW) from None


def _resolve(new: Variant, old: int) -> int:
    match new:
        case Variant("timestamp", datetime):
            seconds: int = datetime["seconds"]
            nanoseconds: int = datetime["nanoseconds"]
            return seconds * _SECOND + nanoseconds
        case Variant("now"):
            return time_ns()
        case _:
            return old
