"""The files that Unix domain sockets are bound to."""

from __future__ import annotations

import errno
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["SocketFile", "is_socket", "remove_stale"]


def is_socket(path: str | Path) -> bool:
    """Whether a path leads to a socket, and not by a link."""
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False


def remove_stale(path: str | Path) -> None:
    """Remove the socket that a process has left which is gone. What is no socket stays, and one that is in use.

    Raises:
        OSError: it may not be removed.
    """
    if not is_socket(path):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # else a queue that is full would be waited for
        if probe.connect_ex(os.fspath(path)) == errno.ECONNREFUSED:
            Path(path).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class SocketFile:
    """The file of a socket that was bound: who has bound it, and how it is told from one that took its place.

    Attributes:
        path: where it is.
        device: the number of its file system.
        inode: its number there.
        owner: the process that has bound it, which is to remove it.
    """

    path: Path
    device: int
    inode: int
    owner: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """That of a socket which this process has just bound."""
        status = path.lstat()
        return cls(path, status.st_dev, status.st_ino, os.getpid())

    @property
    def in_place(self) -> bool:
        """Whether its path still leads to it."""
        try:
            status = self.path.lstat()
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == (self.device, self.inode)

    @property
    def is_ours(self) -> bool:
        """Whether this process has bound it, and is to remove it."""
        return self.owner == os.getpid()

    def remove(self) -> None:
        """Remove it, if this process has bound it and it is in its place."""
        if self.is_ours and self.in_place:
            self.path.unlink(missing_ok=True)
