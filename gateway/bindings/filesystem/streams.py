"""The streams of files. Worker threads read and write for them, one call at a time for each stream.

A stream is no child of its descriptor: as in Wasmtime, it holds the file by itself.

Source: `wasi:filesystem@0.2.12`, `types.wit`: `read-via-stream`, `write-via-stream`, `append-via-stream`.
"""

from __future__ import annotations

import asyncio
import os
from typing import Final

from gateway.bindings.filesystem import file
from gateway.bindings.filesystem.error_code import ErrorCode, error_code
from gateway.bindings.filesystem.handle import Handle, Identity, in_worker
from gateway.bindings.filesystem.open_files import OpenFiles
from gateway.bindings.io import (
    MAX_READ,
    Closed,
    Failing,
    InputStream,
    LastOperationFailed,
    OutputStream,
    Waiters,
    Wakers,
)

__all__ = ["FileInputStream", "FileOutputStream"]

BLOCK: Final = MAX_READ
"""Bytes that are read from a file at once, and wait for the guest."""

PERMIT: Final = 64 << 10
"""Bytes that one `check-write` permits, and that wait for the disk. The same number as in Wasmtime."""

_NOTHING: Final = memoryview(b"")


def _failure(error: BaseException) -> LastOperationFailed:
    if isinstance(error, OSError) and error.errno is not None:
        return LastOperationFailed(os.strerror(error.errno), error_code(error))
    return LastOperationFailed("the file could not be accessed", ErrorCode.IO)


class FileInputStream(Failing, InputStream):
    """The stream of `read-via-stream`.

    It reads one block whenever the guest wants more than is there, and none before.

    Args:
        handle: the file.
        offset: where in the file to begin.
        files: the invocation's.

    Raises:
        FilesystemError: `insufficient-memory`; the guest has too much open.
    """

    __slots__ = (
        "_block",
        "_dropped",
        "_end",
        "_files",
        "_handle",
        "_offset",
        "_outdated",
        "_reading",
        "_waiters",
    )

    def __init__(self, handle: Handle, offset: int, files: OpenFiles) -> None:
        super().__init__()
        files.opened()
        files.readers.add(self)
        self._files = files
        self._handle = handle.hold()
        self._offset = offset
        self._block = _NOTHING
        self._end = None
        self._reading = False
        self._outdated = False
        self._dropped = False
        self._waiters = Waiters()

    def read(self, size: int) -> bytes:
        """What is there, up to `size` bytes; if nothing is, begins to read."""
        if self._block:
            data = bytes(self._block[:size])
            self._block = self._block[size:]
            self._offset += len(data)
            return data
        self._raise_end()
        if size:
            self._read_block()
        return b""

    def ready(self) -> bool:
        """Whether there is something to read, the end included; if that is not known yet, begins to read."""
        if self._block or self._end is not None:
            return True
        self._read_block()
        return False

    def _woken_by(self) -> Wakers:
        return (self._waiters,)

    def modified(self, identity: Identity) -> None:
        """Forget what was read ahead, if it is of this file."""
        if identity == self._handle.identity:
            self._block = _NOTHING
            self._outdated = True

    def drop(self) -> None:
        """Let go of the file, once no thread reads it any more."""
        self._dropped = True
        self._block = _NOTHING
        self._files.readers.discard(self)
        if not self._reading:
            self._let_go()

    def _read_block(self) -> None:
        if not self._reading:
            self._reading = True
            self._outdated = False
            reading = in_worker(file.read, self._handle, BLOCK, self._offset)
            reading.add_done_callback(self._received)

    def _received(self, reading: asyncio.Future[bytes]) -> None:
        self._reading = False
        error = reading.exception()
        if self._dropped:
            self._let_go()
        elif error is not None:
            self._end = _failure(error)
        elif not self._outdated:
            self._block = memoryview(reading.result())
            if not self._block:
                self._end = Closed()
        self._waiters.wake()

    def _let_go(self) -> None:
        self._handle.release()
        self._files.closed()


class FileOutputStream(Failing, OutputStream):
    """The stream of `write-via-stream` and `append-via-stream`.

    What it was given is written even if the stream is dropped meanwhile. Flushing waits for the system to
    have it, not for the disk: that is what `sync` is for.

    Args:
        handle: the file.
        offset: where in the file to begin; None to append.
        files: the invocation's.

    Raises:
        FilesystemError: `insufficient-memory`; the guest has too much open.
    """

    __slots__ = (
        "_dropped",
        "_end",
        "_files",
        "_handle",
        "_offset",
        "_pending",
        "_waiters",
        "_writing",
    )

    def __init__(self, handle: Handle, offset: int | None, files: OpenFiles) -> None:
        super().__init__()
        files.opened()
        self._files = files
        self._handle = handle.hold()
        self._offset = offset
        self._pending: list[bytes] = []
        self._end = None
        self._writing = False
        self._dropped = False
        self._waiters = Waiters()

    def check_write(self) -> int:
        """A permit, unless a thread is still writing."""
        self._raise_end()
        return 0 if self._writing else PERMIT

    def write(self, data: bytes) -> None:
        """Begin to write, or do so after what is being written."""
        self._raise_end()
        if data:
            self._pending.append(data)
            if not self._writing:
                self._write_pending()

    def flush(self) -> None:
        """Nothing is held back."""
        self._raise_end()

    def ready(self) -> bool:
        """Whether no thread is writing, or one has failed."""
        return not self._writing

    def _woken_by(self) -> Wakers:
        return (self._waiters,)

    def drop(self) -> None:
        """Let go of the file, once all is written."""
        self._dropped = True
        if not self._writing:
            self._let_go()

    def _write_pending(self) -> None:
        data = b"".join(self._pending)
        self._pending.clear()
        self._writing = True
        if self._offset is None:
            writing = in_worker(file.append, self._handle, data)
        else:
            writing = in_worker(file.write_all, self._handle, data, self._offset)
            self._offset += len(data)
        writing.add_done_callback(self._written)

    def _written(self, writing: asyncio.Future[None]) -> None:
        self._writing = False
        self._files.modified(self._handle.identity)
        error = writing.exception()
        if error is not None:
            self._end = _failure(error)
        elif self._pending:
            self._write_pending()
            return
        if self._dropped:
            self._let_go()
        self._waiters.wake()

    def _let_go(self) -> None:
        self._handle.release()
        self._files.closed()
