"""Blobs in a folder: a folder for each container, and a file for each object, under names as `file_name` has them.

What is written goes to a file of its own in `.partial`, which takes the name of the object when all of it is
there: nobody ever sees half of one. It is flushed to the disk before that, so a loss of power leaves the object
as it was, or whole; which of the two is not known for the last moment before, for the folder is not flushed.

A file in `.partial` is locked by who writes it. The lock ends with the process, so whatever has none is what a
process has left that was killed, and goes when the store is next written to.

All of it happens in threads. Several processes may share a folder: what has to be counted for a quota is counted
while a lock is held.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from uuid import uuid4

from gateway.capabilities.backend import BackendError, BackendUnusable, Unavailable
from gateway.capabilities.blobstore.file_name import MORE, file_name, names_below
from gateway.capabilities.blobstore.store import (
    NO_CONTAINER,
    NO_OBJECT,
    ObjectInfo,
    Quota,
    check_size,
    check_sum,
    transfer,
)
from gateway.config.backend_url import BackendURL

__all__ = ["LOCK_WAIT", "FileStore"]

T = TypeVar("T")

_WORKERS: Final = 4
"""Threads that work on one store. A disk that hangs takes one for each call; then nobody is served by this store,
and everybody by the others. Arbitrary."""

_BLOCK: Final = 256 << 10
"""Bytes that are read at once: enough that the way to a thread and back costs little."""

_STRETCH: Final = 1000
"""Files that are removed before the folder is read again. Arbitrary."""

LOCK_WAIT: Final = 5.0
"""Seconds that a thread waits for another process to have counted what is in the folder. Threat: one that was
stopped, or whose disk hangs, while it has the lock, and for which the threads of all others wait. Arbitrary: what
has quotas is counted for each object that is written, and so has few."""

_LOOK: Final = 0.005
"""Seconds between two looks at the lock, of which the system tells nobody who does not wait without an end."""

_PARTIAL: Final = ".partial"
_LOCK: Final = ".lock"
_MARK: Final = ".container"
"""No name is encoded as one of these. The last is in each container, and as old as that is."""

_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_MISSING: Final = (FileNotFoundError, NotADirectoryError)


class FileStore:
    """A store in a folder.

    Args:
        folder: the folder.

    Attributes:
        kind: `file`.
        waits: always, for a disk.
        availability: None, for a folder is not asked whether it is there.
        folder: ditto.
    """

    kind: Final = "file"
    waits: Final = True
    availability: Final = None

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self._threads = ThreadPoolExecutor(_WORKERS, thread_name_prefix="blobs")
        self._swept = False
        self._sweeping = threading.Lock()
        self._locking = threading.Lock()

    @classmethod
    def open(cls, url: BackendURL) -> Self:
        """The store in the folder of `file:FOLDER`.

        Raises:
            BackendUnusable: the folder is not there, or not ours to use.
        """
        folder = Path(url.rest.removeprefix("//"))
        if not url.rest.removeprefix("//"):
            raise BackendUnusable('must name a folder, such as "file:blobs"')
        if not folder.exists():
            raise BackendUnusable(f"names a folder that is not there: make {folder}")
        if not folder.is_dir():
            raise BackendUnusable(f"must name a folder, which {folder} is not")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise BackendUnusable("names a folder that this user may not read")
        return cls(folder)

    def space(self, prefix: str, only: str | None, quota: Quota) -> FileSpace:
        """Some of the containers: `BlobStore.space`."""
        return FileSpace(self, prefix, only, quota)

    async def aclose(self) -> None:
        """End the threads, when they have done what they have begun: `Backend.aclose`."""
        self._threads.shutdown(wait=False)

    async def call(self, work: Callable[..., T], *args: Any) -> T:
        """Have a thread do something. What has begun goes on to its end, though nobody waits for it any more.

        Raises:
            BackendError: it failed.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        except OSError as error:
            raise _failure(error) from error

    def leave(self, work: Callable[[], None]) -> Future[None]:
        """Have a thread do something that nobody has to wait for, and that does not raise; done when it is."""
        try:
            return self._threads.submit(work)
        except RuntimeError:  # the store is closed
            work()
            done: Future[None] = Future()
            done.set_result(None)
            return done

    # What follows is called by the threads.

    def new_file(self) -> tuple[int, str]:
        """Make a file to write to; returns its descriptor and its path."""
        partial = self.folder / _PARTIAL
        with self._sweeping:
            if not self._swept:
                self._sweep(partial)
                self._swept = True
        while True:
            path = str(partial / uuid4().hex)
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except FileNotFoundError:
                partial.mkdir(exist_ok=True)  # somebody has removed it
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                # Otherwise another process has swept it away before it was locked.
                if os.fstat(fd).st_nlink:
                    return fd, path
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def _sweep(self, partial: Path) -> None:
        """Remove what processes have left that were killed."""
        partial.mkdir(exist_ok=True)
        # By its descriptor: a link in its place would have all removed that is where it leads.
        folder = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.name, ignore_errors=True, dir_fd=folder)
                    else:
                        with suppress(OSError):
                            _remove_unlocked(entry.name, folder)
        finally:
            os.close(folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else is in such a block, of any process that has the folder.

        Raises:
            Unavailable: somebody is, all the while that this waits.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with ExitStack() as held:
            ends = time.monotonic() + LOCK_WAIT
            # Of the threads, one looks; the others wait for it.
            if self._locking.acquire(timeout=LOCK_WAIT):
                held.callback(self._locking.release)
                fd = os.open(self.folder / _LOCK, flags, 0o666)
                held.callback(os.close, fd)
                while not (locked := _try_lock(fd)) and time.monotonic() < ends:
                    time.sleep(_LOOK)
                if locked:
                    yield
                    return
        raise Unavailable(f"somebody else has had {_LOCK} for {LOCK_WAIT:g} s")

    def discard(self, container: Path) -> None:
        """Remove a container: at once for all who look, and its files after that."""
        partial = self.folder / _PARTIAL
        partial.mkdir(exist_ok=True)
        aside = partial / uuid4().hex
        try:
            container.rename(aside)
        except _MISSING:
            return
        _remove_empty(container.parent, self.folder)
        shutil.rmtree(aside, ignore_errors=True)


def _try_lock(fd: int) -> bool:
    """Lock a file, if nobody has."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _failure(error: OSError) -> BackendError:
    if error.errno in _FULL:
        return BackendError("the store is full", error.strerror)
    return Unavailable(str(error))


def _remove_unlocked(name: str, folder: int) -> None:
    """Remove a file that nobody has locked."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    fd = os.open(name, flags, dir_fd=folder)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=folder)
    finally:
        os.close(fd)


def _remove_empty(folder: Path, upto: Path) -> None:
    """Remove folders that names go on in, from the innermost, as far as they are empty."""
    with suppress(OSError):
        while folder != upto and folder.name.endswith(MORE):
            folder.rmdir()
            folder = folder.parent


class FileReader:
    """A file that is read: a `Reader`."""

    block: Final = _BLOCK

    def __init__(self, store: FileStore, fd: int) -> None:
        self._store = store
        self._fd = fd
        self._lock = threading.Lock()
        self.size: Final = os.fstat(fd).st_size

    async def read(self, offset: int, size: int) -> bytes:
        """`Reader.read`."""
        return await self._store.call(self._read, offset, size)

    def close(self) -> None:
        """`Reader.close`."""
        self._store.leave(self._close)

    def _read(self, offset: int, size: int) -> bytes:
        with self._lock:
            if self._fd < 0:
                raise BackendError(NO_OBJECT)
            data = os.pread(self._fd, size, offset)
        if len(data) < size:
            raise Unavailable("a file was cut off while it was read, by another program")
        return data

    def _close(self) -> None:
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def __del__(self) -> None:
        self._close()  # of one that came too late to whom it was made for


class FileWriter:
    """A file that is written: a `Writer`."""

    def __init__(self, space: FileSpace, where: tuple[str, str], file: tuple[int, str]) -> None:
        self._space = space
        self._where = where
        self._fd, self._path = file
        self._lock = threading.Lock()
        self._size = 0

    async def write(self, data: bytes) -> None:
        """`Writer.write`."""
        check_size(self._size + len(data), self._space.quota)
        await self._space.store.call(self._write, data)

    async def commit(self) -> None:
        """`Writer.commit`."""
        await self._space.store.call(self._commit)

    async def abort(self) -> None:
        """`Writer.abort`. Done for certain, also where the task is cancelled that waits for it."""
        await asyncio.shield(asyncio.wrap_future(self._space.store.leave(self._abort)))

    def _write(self, data: bytes) -> None:
        with self._lock:
            if self._fd < 0:
                return  # aborted
            self._space.add_partial(len(data))
            self._size += len(data)
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]

    def _commit(self) -> None:
        with self._lock:
            if self._fd < 0:
                return
            os.fsync(self._fd)
            self._space.put(self._path, self._size, *self._where)
            self._close()

    def _abort(self) -> None:
        with self._lock:
            if self._fd >= 0:
                with suppress(OSError):
                    os.unlink(self._path)
                self._close()

    def _close(self) -> None:
        os.close(self._fd)
        self._fd = -1
        self._space.add_partial(-self._size)

    def __del__(self) -> None:
        self._abort()  # of one that came too late to whom it was made for


class FileNames:
    """The names of a folder: `Names`."""

    def __init__(self, store: FileStore, folder: Path) -> None:
        self._store = store
        self._found = names_below(str(folder), folders=False)
        self._lock = threading.Lock()

    async def next(self, count: int) -> list[str]:
        """`Names.next`."""
        return await self._store.call(self._next, count)

    def close(self) -> None:
        """`Names.close`."""
        self._store.leave(self._close)

    def _next(self, count: int) -> list[str]:
        with self._lock:
            try:
                return [name for name, _ in islice(self._found, count)]
            except _MISSING:
                return []  # the container has gone

    def _close(self) -> None:
        with self._lock:
            self._found.close()  # type: ignore[attr-defined] # of a generator


class FileSpace:
    """Some of the containers of a store: a `Space`.

    Attributes:
        store: the store.
        quota: how much it may keep.
    """

    def __init__(self, store: FileStore, prefix: str, only: str | None, quota: Quota) -> None:
        self.store: Final = store
        self.quota: Final = quota
        self._prefix = prefix
        self._only = only
        self._partial = 0
        # Its holder may take it again: the garbage collector may run anywhere, and find a writer that is lost.
        self._lock = threading.RLock()

    async def create(self, container: str) -> None:
        """`Space.create`."""
        await self.store.call(self._create, self._folder(container))

    async def exists(self, container: str) -> bool:
        """`Space.exists`."""
        return await self.store.call(_exists, self._folder(container))

    async def created_at(self, container: str) -> int:
        """`Space.created_at`."""
        return await self.store.call(_created_at, self._folder(container))

    async def remove(self, container: str) -> None:
        """`Space.remove`."""
        await self.store.call(self.store.discard, self._folder(container))

    async def clear(self, container: str) -> None:
        """`Space.clear`."""
        await self.store.call(_clear, self._folder(container))

    async def names(self, container: str) -> FileNames:
        """`Space.names`."""
        folder = self._folder(container)
        await self.store.call(_require, folder)
        return FileNames(self.store, folder)

    async def has(self, container: str, name: str) -> bool:
        """`Space.has`."""
        return await self.store.call(_has, self._folder(container), name)

    async def info(self, container: str, name: str) -> ObjectInfo:
        """`Space.info`."""
        return await self.store.call(_info, self._folder(container), name)

    async def read(self, container: str, name: str) -> FileReader:
        """`Space.read`."""
        return await self.store.call(self._read, self._folder(container), name)

    async def write(self, container: str, name: str) -> FileWriter:
        """`Space.write`."""
        return await self.store.call(self._write, container, name)

    async def delete(self, container: str, names: list[str]) -> None:
        """`Space.delete`."""
        await self.store.call(_delete, self._folder(container), names)

    async def copy(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        """`Space.copy`."""
        await transfer(self, source, self, target)

    async def move(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        """`Space.move`."""
        await self.store.call(self._move, source, target)

    # What follows is called by the threads.

    def add_partial(self, size: int) -> None:
        """Count bytes of what is being written here.

        Raises:
            BackendError: that alone is more than may be there. Threat: what never comes to its end fills the disk.
        """
        with self._lock:
            if size > 0:
                check_sum(0, self._partial + size, self.quota)
            self._partial += size

    def put(self, path: str, size: int, container: str, name: str) -> None:
        """Give a file the name of an object.

        Raises:
            BackendError: there is no such container, or a quota is exceeded.
            OSError: it cannot be renamed.
        """
        folder = self._folder(container)
        if not self.quota.counts:
            _rename(path, folder, name)
            return
        with self.store.locked():
            objects, used = self._used(without=_path(folder, name))
            check_sum(objects + 1, used + len(name.encode()) + size, self.quota)
            _rename(path, folder, name)

    def _used(self, without: Path) -> tuple[int, int]:
        """How many objects the space has, and the bytes of them and their names, without one of them."""
        if self._only is not None:
            folders = [str(self._folder(self._only))]
        else:
            folders = [
                entry.path
                for name, entry in names_below(str(self.store.folder), folders=True)
                if name.startswith(self._prefix)
            ]
        objects = used = 0
        for folder in folders:
            with suppress(*_MISSING):
                for name, entry in names_below(folder, folders=False):
                    if entry.path != str(without):
                        with suppress(*_MISSING):
                            used += len(name.encode()) + entry.stat(follow_symlinks=False).st_size
                            objects += 1
        return objects, used

    def _create(self, folder: Path) -> None:
        try:
            folder.mkdir()
        except FileNotFoundError:
            _make_parts(self.store.folder, folder.parent)
            folder.mkdir(exist_ok=True)
        except FileExistsError:
            if _exists(folder):
                raise BackendError("container exists already") from None
        try:
            os.close(
                os.open(folder / _MARK, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            )
        except FileExistsError:
            raise BackendError("container exists already") from None

    def _read(self, folder: Path, name: str) -> FileReader:
        _info(folder, name)
        # What another program puts there meanwhile is not waited for, if it is a pipe.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            fd = os.open(_path(folder, name), flags)
        except _MISSING:
            raise BackendError(NO_OBJECT) from None
        return FileReader(self.store, fd)

    def _write(self, container: str, name: str) -> FileWriter:
        _require(self._folder(container))
        return FileWriter(self, (container, name), self.store.new_file())

    def _move(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        folder = self._folder(source[0])
        path = _path(folder, source[1])
        _info(folder, source[1])
        _rename(str(path), self._folder(target[0]), target[1], NO_OBJECT)
        _remove_empty(path.parent, folder)

    def _folder(self, container: str) -> Path:
        return self.store.folder / file_name(self._prefix + container)


def _exists(folder: Path) -> bool:
    return (folder / _MARK).exists()


def _require(folder: Path) -> None:
    if not _exists(folder):
        raise BackendError(NO_CONTAINER)


def _created_at(folder: Path) -> int:
    try:
        return int((folder / _MARK).stat().st_mtime)
    except _MISSING:
        raise BackendError(NO_CONTAINER) from None


def _path(folder: Path, name: str) -> Path:
    """Where an object is in a container.

    Raises:
        BackendError: its name goes on in what another program has made a link to elsewhere.
    """
    path = folder / file_name(name)
    part = path.parent
    while part != folder:
        if part.is_symlink():
            raise BackendError(NO_OBJECT)
        part = part.parent
    return path


def _status(folder: Path, name: str) -> os.stat_result | None:
    """That of an object; None where there is none. A folder is none, nor a link to anywhere, nor a pipe."""
    try:
        status = _path(folder, name).lstat()
    except _MISSING:
        status = None
    if status is None or not stat.S_ISREG(status.st_mode):
        _require(folder)
        return None
    return status


def _info(folder: Path, name: str) -> ObjectInfo:
    status = _status(folder, name)
    if status is None:
        raise BackendError(NO_OBJECT)
    return ObjectInfo(status.st_size, int(status.st_mtime))


def _has(folder: Path, name: str) -> bool:
    return _status(folder, name) is not None


def _delete(folder: Path, names: list[str]) -> None:
    _require(folder)
    for name in names:
        path = _path(folder, name)
        with suppress(*_MISSING):
            path.unlink()
            _remove_empty(path.parent, folder)


def _clear(folder: Path) -> None:
    _require(folder)
    # From the beginning after each stretch: what a folder tells while it is changed is not sure to be all.
    while found := list(islice(names_below(str(folder), folders=False), _STRETCH)):
        for _, entry in found:
            with suppress(*_MISSING):
                os.unlink(entry.path)
                _remove_empty(Path(entry.path).parent, folder)


def _rename(path: str, folder: Path, name: str, missing: str = NO_CONTAINER) -> None:
    """Give a file the name of an object in a container.

    Raises:
        BackendError: there is no such container, or no such file, as `missing` says.
    """
    target = _path(folder, name)
    while True:
        _require(folder)
        try:
            os.replace(path, target)
        except FileNotFoundError:
            if target.parent == folder or not os.path.lexists(path):
                raise BackendError(missing) from None
            # A name that goes on, in a folder that is not there yet, or that another has found empty and removed.
            # The container itself is not made anew, should it have gone meanwhile.
            with suppress(FileExistsError, FileNotFoundError):
                _make_parts(folder, target.parent)
        else:
            return


def _make_parts(folder: Path, parts: Path) -> None:
    for part in parts.relative_to(folder).parts:
        folder /= part
        with suppress(FileExistsError):
            folder.mkdir()
