"""What WIT says of a file, made from what the system says of it.

Source: `wasi:filesystem@0.2.12`, `types.wit`: `descriptor-stat`, `descriptor-type`, `metadata-hash-value`.
"""

from __future__ import annotations

import os
import stat
from hashlib import blake2b
from typing import Any, Final

from gateway.bindings.filesystem.handle import Identity

__all__ = ["descriptor_stat", "descriptor_type", "metadata_hash"]

_SECOND: Final = 1_000_000_000

_TYPES: Final = {
    stat.S_IFBLK: "block-device",
    stat.S_IFCHR: "character-device",
    stat.S_IFDIR: "directory",
    stat.S_IFIFO: "fifo",
    stat.S_IFLNK: "symbolic-link",
    stat.S_IFREG: "regular-file",
    stat.S_IFSOCK: "socket",
}


def descriptor_type(mode: int) -> str:
    """The `descriptor-type` of an `st_mode`."""
    return _TYPES.get(stat.S_IFMT(mode), "unknown")


def descriptor_stat(status: os.stat_result) -> dict[str, Any]:
    """The record `descriptor-stat`."""
    return {
        "type": descriptor_type(status.st_mode),
        "link-count": status.st_nlink,
        "size": status.st_size,
        "data-access-timestamp": _datetime(status.st_atime_ns),
        "data-modification-timestamp": _datetime(status.st_mtime_ns),
        "status-change-timestamp": _datetime(status.st_ctime_ns),
    }


def metadata_hash(identity: Identity) -> dict[str, int]:
    """The record `metadata-hash-value`, made from device and inode, as in Wasmtime.

    WIT would have the time of modification in it. The libraries of guests make an inode number of it, which
    must stay the same when the file is written to. And it must be the same in all processes that serve a
    component, so no secret of one process goes into it.
    """
    device, inode = identity
    digest = blake2b(f"{device}:{inode}".encode(), digest_size=16).digest()
    return {
        "lower": int.from_bytes(digest[:8], "little"),
        "upper": int.from_bytes(digest[8:], "little"),
    }


def _datetime(nanoseconds: int) -> dict[str, int] | None:
    """A `datetime`; none for a time before 1970, which it cannot hold."""
    if nanoseconds < 0:
        return None
    seconds, rest = divmod(nanoseconds, _SECOND)
    return {"seconds": seconds, "nanoseconds": rest}
