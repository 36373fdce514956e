"""Listing directories, some entries at a time.

Source: `wasi:filesystem@0.2.12`, `types.wit`: `read-directory`, `directory-entry-stream`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator
from itertools import islice
from typing import Final, cast

from gateway.bindings.descriptors import Place, Share
from gateway.bindings.filesystem.error_code import ErrorCode, FilesystemError, error_code
from gateway.bindings.filesystem.handle import Handle, in_worker
from gateway.bindings.filesystem.open_files import OpenFiles
from gateway.bindings.filesystem.status import descriptor_type
from gateway.host.table import Resource

__all__ = ["DirectoryEntryStream", "DirectoryReader", "read_directory"]

BATCH: Final = 64
"""Entries that are read ahead, so that not each of them costs a change of threads. Arbitrary; about as many
as the system call reads at once."""

Entry = dict[str, str] | ErrorCode
"""The record `directory-entry`, or what went wrong with it."""


class DirectoryReader(Handle):
    """A directory that is being listed."""

    __slots__ = ("_entries",)

    def __init__(self, fd: int, share: Share, place: Place) -> None:
        self._entries = _list(fd, share)
        super().__init__(fd, share, place)

    def batch(self) -> list[Entry]:
        """The next entries, `.` and `..` left out; none at the end. Blocks."""
        return list(islice(self._entries, BATCH))

    def _close(self) -> None:
        self._entries.close()
        super()._close()


def _list(fd: int, share: Share) -> Generator[Entry, None, None]:
    try:
        with share.holding(), os.scandir(fd) as entries:  # which duplicates the descriptor
            yield from map(_entry, entries)
    except OSError as error:
        yield error_code(error)


def read_directory(base: Handle) -> DirectoryReader:
    """Begin to list a directory. Blocks."""
    # Opened anew, for a position of its own, and since one that was opened to look up names only cannot be listed.
    with base.share.opening() as place:
        fd = os.open(b".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=base.fd)
    return DirectoryReader(fd, base.share, place)


def _entry(entry: os.DirEntry[str]) -> Entry:
    try:
        name = os.fsencode(entry.name).decode()
    except UnicodeDecodeError:
        return ErrorCode.ILLEGAL_BYTE_SEQUENCE
    return {"type": _type(entry), "name": name}


def _type(entry: os.DirEntry[str]) -> str:
    try:
        # These three mostly cost no call of the system, and are what nearly all entries are.
        if entry.is_file(follow_symlinks=False):
            return "regular-file"
        if entry.is_dir(follow_symlinks=False):
            return "directory"
        if entry.is_symlink():
            return "symbolic-link"
        return descriptor_type(entry.stat(follow_symlinks=False).st_mode)
    except OSError:
        return "unknown"


class DirectoryEntryStream(Resource):
    """`directory-entry-stream`. Not a child of its descriptor, which may be dropped before."""

    __slots__ = ("_entries", "_files", "_reader")

    def __init__(self, reader: DirectoryReader, files: OpenFiles) -> None:
        """Take over a reader, and the place that was counted for it."""
        self._reader = reader
        self._files = files
        self._entries: deque[Entry] = deque()

    async def next(self) -> dict[str, str] | None:
        """The next entry; None at the end.

        Raises:
            FilesystemError: the entry has no name that WIT could carry (`illegal-byte-sequence`), or cannot
                be read. There may be more after it.
        """
        if not self._entries:
            self._entries.extend(await in_worker(DirectoryReader.batch, self._reader))
        if not self._entries:
            return None
        entry = self._entries.popleft()
        if isinstance(entry, ErrorCode):
            raise FilesystemError(entry)
        return entry

    async def batch(self) -> list[dict[str, str]]:
        """The next entries, as many as are there when one is; none at the end. Raises as `next` does."""
        entry = await self.next()
        entries = [] if entry is None else [entry]
        while self._entries and not isinstance(self._entries[0], ErrorCode):
            entries.append(cast("dict[str, str]", self._entries.popleft()))
        return entries

    def drop(self) -> None:
        """Close the directory."""
        self._reader.release()
        self._files.closed()
