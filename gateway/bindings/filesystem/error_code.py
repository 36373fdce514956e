"""The enum `error-code` of `wasi:filesystem/types`, and which of the system's errors each case is.

Source: `wasi:filesystem@0.2.12`, `types.wit`: "similar to `errno` in POSIX".
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["ERRNO", "ErrorCode", "FilesystemError", "error_code"]


class ErrorCode(enum.StrEnum):
    """`error-code`, in the order of the WIT (0.2.0 to 0.2.12 agree)."""

    ACCESS = "access"
    WOULD_BLOCK = "would-block"
    ALREADY = "already"
    BAD_DESCRIPTOR = "bad-descriptor"
    BUSY = "busy"
    DEADLOCK = "deadlock"
    QUOTA = "quota"
    EXIST = "exist"
    FILE_TOO_LARGE = "file-too-large"
    ILLEGAL_BYTE_SEQUENCE = "illegal-byte-sequence"
    IN_PROGRESS = "in-progress"
    INTERRUPTED = "interrupted"
    INVALID = "invalid"
    IO = "io"
    IS_DIRECTORY = "is-directory"
    LOOP = "loop"
    TOO_MANY_LINKS = "too-many-links"
    MESSAGE_SIZE = "message-size"
    NAME_TOO_LONG = "name-too-long"
    NO_DEVICE = "no-device"
    NO_ENTRY = "no-entry"
    NO_LOCK = "no-lock"
    INSUFFICIENT_MEMORY = "insufficient-memory"
    INSUFFICIENT_SPACE = "insufficient-space"
    NOT_DIRECTORY = "not-directory"
    NOT_EMPTY = "not-empty"
    NOT_RECOVERABLE = "not-recoverable"
    UNSUPPORTED = "unsupported"
    NO_TTY = "no-tty"
    NO_SUCH_DEVICE = "no-such-device"
    OVERFLOW = "overflow"
    NOT_PERMITTED = "not-permitted"
    PIPE = "pipe"
    READ_ONLY = "read-only"
    INVALID_SEEK = "invalid-seek"
    TEXT_FILE_BUSY = "text-file-busy"
    CROSS_DEVICE = "cross-device"


class FilesystemError(Exception):
    """A call fails with this `error-code`, for a reason that is not the system's."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code)
        self.code = code


# Some of these are one number on some systems: EAGAIN and EWOULDBLOCK, ENOTSUP and EOPNOTSUPP.
_ERRNO: Final[dict[int, ErrorCode]] = {
    errno.EACCES: ErrorCode.ACCESS,
    errno.EAGAIN: ErrorCode.WOULD_BLOCK,
    errno.EWOULDBLOCK: ErrorCode.WOULD_BLOCK,
    errno.EALREADY: ErrorCode.ALREADY,
    errno.EBADF: ErrorCode.BAD_DESCRIPTOR,
    errno.EBUSY: ErrorCode.BUSY,
    errno.EDEADLK: ErrorCode.DEADLOCK,
    errno.EDQUOT: ErrorCode.QUOTA,
    errno.EEXIST: ErrorCode.EXIST,
    errno.EFBIG: ErrorCode.FILE_TOO_LARGE,
    errno.EILSEQ: ErrorCode.ILLEGAL_BYTE_SEQUENCE,
    errno.EINPROGRESS: ErrorCode.IN_PROGRESS,
    errno.EINTR: ErrorCode.INTERRUPTED,
    errno.EINVAL: ErrorCode.INVALID,
    errno.EIO: ErrorCode.IO,
    errno.EISDIR: ErrorCode.IS_DIRECTORY,
    errno.ELOOP: ErrorCode.LOOP,
    errno.EMLINK: ErrorCode.TOO_MANY_LINKS,
    errno.EMSGSIZE: ErrorCode.MESSAGE_SIZE,
    errno.ENAMETOOLONG: ErrorCode.NAME_TOO_LONG,
    errno.ENODEV: ErrorCode.NO_DEVICE,
    errno.ENOENT: ErrorCode.NO_ENTRY,
    errno.ENOLCK: ErrorCode.NO_LOCK,
    errno.ENOMEM: ErrorCode.INSUFFICIENT_MEMORY,
    errno.ENOSPC: ErrorCode.INSUFFICIENT_SPACE,
    errno.ENOTDIR: ErrorCode.NOT_DIRECTORY,
    errno.ENOTEMPTY: ErrorCode.NOT_EMPTY,
    errno.ENOTRECOVERABLE: ErrorCode.NOT_RECOVERABLE,
    errno.ENOTSUP: ErrorCode.UNSUPPORTED,
    errno.EOPNOTSUPP: ErrorCode.UNSUPPORTED,
    errno.ENOSYS: ErrorCode.UNSUPPORTED,
    errno.ENOTTY: ErrorCode.NO_TTY,
    errno.ENXIO: ErrorCode.NO_SUCH_DEVICE,
    errno.EOVERFLOW: ErrorCode.OVERFLOW,
    errno.EPERM: ErrorCode.NOT_PERMITTED,
    errno.EPIPE: ErrorCode.PIPE,
    errno.EROFS: ErrorCode.READ_ONLY,
    errno.ESPIPE: ErrorCode.INVALID_SEEK,
    errno.ETXTBSY: ErrorCode.TEXT_FILE_BUSY,
    errno.EXDEV: ErrorCode.CROSS_DEVICE,
    # WIT has no case for these. To a guest they are what its own limit is (`open_files`): no more files now.
    errno.EMFILE: ErrorCode.INSUFFICIENT_MEMORY,
    errno.ENFILE: ErrorCode.INSUFFICIENT_MEMORY,
}

ERRNO: Final[Mapping[int, ErrorCode]] = MappingProxyType(_ERRNO)
"""The `error-code` of each `errno` that has one."""


def error_code(error: OSError) -> ErrorCode:
    """The `error-code` of an error of the system; `io` where WIT knows nothing closer."""
    return ErrorCode.IO if error.errno is None else ERRNO.get(error.errno, ErrorCode.IO)
