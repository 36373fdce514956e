"""What one invocation has open of `wasi:filesystem`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from gateway.bindings.context import State
from gateway.bindings.filesystem.error_code import ErrorCode, FilesystemError
from gateway.bindings.filesystem.handle import Identity
from gateway.bindings.filesystem.mount import Mount

__all__ = ["MAX_OPEN_FILES", "OpenFiles", "Reader"]

MAX_OPEN_FILES: Final = 256
"""Descriptors, directory streams and file streams that one invocation may have open at a time; preopened
directories do not count. Threat: a guest takes all file descriptors of the worker process, or its memory with
the 64 KiB that each stream may hold. As many as macOS lets a process open by default."""


class Reader(Protocol):
    """One who has read ahead in a file."""

    def modified(self, identity: Identity) -> None:
        """Forget what was read ahead, if it is of this file."""


class OpenFiles(State):
    """The descriptors and streams of an invocation.

    Attributes:
        mounts: the folders that `wasi:filesystem/preopens.get-directories` returns, in order.
        count: how many are open.
        readers: those who read ahead.
    """

    __slots__ = ("count", "mounts", "readers")

    def __init__(self, mounts: Sequence[Mount] = ()) -> None:
        self.mounts = mounts
        self.count = 0
        self.readers: set[Reader] = set()

    def opened(self) -> None:
        """Count one more.

        Raises:
            FilesystemError: `insufficient-memory`; there are too many. WIT has no case for EMFILE, and this
                is what the preview 1 adapter says when its own table is full.
        """
        if self.count >= MAX_OPEN_FILES:
            raise FilesystemError(ErrorCode.INSUFFICIENT_MEMORY)
        self.count += 1

    def closed(self) -> None:
        """Count one less."""
        self.count -= 1

    def modified(self, identity: Identity) -> None:
        """The guest has changed a file; what it reads from now on must show that."""
        for reader in self.readers:
            reader.modified(identity)
