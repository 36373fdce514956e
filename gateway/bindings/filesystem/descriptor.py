"""`descriptor`: a file or directory that a guest has open.

Source: `wasi:filesystem@0.2.12`, `types.wit`: `descriptor`, `descriptor-flags`.
"""

from __future__ import annotations

import stat

from gateway.bindings.filesystem.error_code import ErrorCode, FilesystemError
from gateway.bindings.filesystem.handle import Handle
from gateway.bindings.filesystem.mount import Mount
from gateway.bindings.filesystem.open_files import OpenFiles
from gateway.host.table import Resource

__all__ = ["Descriptor"]


class Descriptor(Resource):
    """An open file or directory; what it allows is up to its mount, and to how it was opened.

    Args:
        handle: what is open; it is taken over.
        read: whether it was opened for reading.
        write: whether it was opened for writing.
        writable: whether its mount is.
        files: where it has been counted as open; None if it has not.

    Attributes:
        handle: what is open: a directory, or else a regular file.
        writable: whether its mount is.
    """

    __slots__ = ("_files", "_read", "_write", "handle", "writable")

    def __init__(
        self, handle: Handle, *, read: bool, write: bool, writable: bool, files: OpenFiles | None
    ) -> None:
        self.handle = handle
        self.writable = writable
        self._read = read
        self._write = write
        self._files = files

    @classmethod
    def preopened(cls, mount: Mount) -> Descriptor:
        """A descriptor of a mount's folder."""
        return cls(mount.handle.hold(), read=True, write=False, writable=mount.writable, files=None)

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.handle.mode)

    @property
    def flags(self) -> frozenset[str]:
        """The `descriptor-flags`.

        A directory of a writable mount has `mutate-directory`, also if it was opened without: as in Wasmtime,
        and unlike WIT, what a guest may do with the names in it is not decided by that flag. The libraries of
        guests do not set it on directories that they mean to write to.
        """
        held = {
            "read": self._read,
            "write": self._write,
            "mutate-directory": self.writable and self.is_directory,
        }
        return frozenset(name for name, is_held in held.items() if is_held)

    def require_directory(self) -> Handle:
        """The directory, to look up names in.

        Raises:
            FilesystemError: `not-directory`.
        """
        if not self.is_directory:
            raise FilesystemError(ErrorCode.NOT_DIRECTORY)
        return self.handle

    def require_file(self) -> Handle:
        """The regular file.

        Raises:
            FilesystemError: `bad-descriptor`; it is a directory.
        """
        if self.is_directory:
            raise FilesystemError(ErrorCode.BAD_DESCRIPTOR)
        return self.handle

    def require_writable(self) -> None:
        """Refuse what would change anything in a mount that is not writable.

        Raises:
            FilesystemError: `not-permitted`, as in Wasmtime. WIT has `read-only` for some of the calls.
        """
        if not self.writable:
            raise FilesystemError(ErrorCode.NOT_PERMITTED)

    def drop(self) -> None:
        """Let go of it."""
        self.handle.release()
        if self._files is not None:
            self._files.closed()
