"""Components that the admin API is sent: a file for each, in a folder that the operator has chosen for them.

The workers of a gateway share the folder, and know nothing of each other here. So what one of them is at stands in
the folder itself, as locks that end with their process (flock(2)): of each file that is written or looked at, and
of the folder while names in it change.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from time import monotonic
from typing import IO, Final

__all__ = ["Contents", "NotKept"]

_PIECE: Final = 1 << 20
"""Bytes that are written at once, in a thread: what comes of a connection comes in small parts. Arbitrary."""

_MAX_AT_ONCE: Final = 2
"""How many are received at once. Threat: each may have 512 MiB of the disk before anything is known of it."""

_GRACE: Final = 30.0
_LEAST_RATE: Final = 64 << 10
"""Seconds, and bytes for each second after them, in which a component must have come. Threat: two that come a byte
now and then, for which all others wait. Precedent: `MinRequestBodyDataRate` of Kestrel, 240 bytes a second; more
here, as a component has megabytes."""

_SENT: Final = re.compile(r"(.+)-[0-9a-f]{64}\.wasm")
"""The file of a component that was sent: its name and its digest."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says where a disk is full, or what its user may have of it is."""

_PREFIX: Final = ".sent-"
_SUFFIX: Final = ".tmp"
"""What the name of a file begins and ends with that is being written."""


class NotKept(Exception):
    """There is no room for a component; the message is what the system says."""


class Contents:
    """The folder. A file is named by its component and its digest, so that what is served is never written over.

    What workers left half written that were killed is removed at the start of any other.

    Args:
        folder: the folder, which is there.
        clock: gives seconds.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._turns = asyncio.Semaphore(_MAX_AT_ONCE)
        with contextlib.suppress(OSError), self._alone():
            for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
                with contextlib.suppress(OSError):
                    _remove_unused(path)

    @asynccontextmanager
    async def kept(self, name: str, parts: AsyncGenerator[bytes, None]) -> AsyncIterator[Path]:
        """Write a component, whole or not at all; gives its file, which nobody removes meanwhile.

        Args:
            name: the component's name.
            parts: its content. What these raise is raised.

        Raises:
            NotKept: there is no room for it.
            OSError: it cannot be written for another reason.
            TimeoutError: it comes too slowly.
        """
        path, used = await self._keep(name, parts)
        try:
            yield path
        finally:
            os.close(used)

    async def remove(self, name: str, path: Path) -> None:
        """Remove the file of a component which is not served from it any more.

        It stays where it is not one that was sent for this component, and where it was sent again.
        """
        own = _SENT.fullmatch(path.name)
        if own is None or own[1] != name or path.parent != self._folder:
            return

        def remove() -> None:
            with contextlib.suppress(OSError), self._alone():
                _remove_unused(path)

        await asyncio.to_thread(remove)

    async def _keep(self, name: str, parts: AsyncGenerator[bytes, None]) -> tuple[Path, int]:
        """Gives a descriptor too, whose lock says that the file is used."""
        async with self._turns:
            with _told():
                descriptor, temporary = await asyncio.to_thread(self._begin)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    digest = await self._written(file, parts)
                    path = self._folder / f"{name}-{digest}.wasm"
                    with _told():
                        await asyncio.to_thread(self._name, temporary, path)
                    used = os.dup(descriptor)  # of which the lock is as well
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)  # at once: who is cancelled waits for nothing
                raise
        return path, used

    def _begin(self) -> tuple[int, str]:
        with self._alone():
            descriptor, path = tempfile.mkstemp(dir=self._folder, prefix=_PREFIX, suffix=_SUFFIX)
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_SH)
        return descriptor, path

    def _name(self, temporary: str, path: Path) -> None:
        with self._alone():
            Path(temporary).replace(path)

    async def _written(self, file: IO[bytes], parts: AsyncGenerator[bytes, None]) -> str:
        """Write parts to a file; returns the SHA-256 of all of them, in hexadecimal."""
        digest = hashlib.sha256()
        waiting = bytearray()
        latest = self._clock() + _GRACE

        def write() -> None:
            digest.update(waiting)
            file.write(waiting)
            file.flush()

        async with aclosing(parts):
            async for part in parts:
                latest += len(part) / _LEAST_RATE
                if self._clock() > latest:
                    raise TimeoutError
                waiting += part
                if len(waiting) >= _PIECE:
                    with _told():
                        await asyncio.to_thread(write)
                    waiting.clear()
        with _told():
            await asyncio.to_thread(write)
        return digest.hexdigest()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Change names while no other worker does; at once, where the file system locks no folders."""
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _remove_unused(path: Path) -> None:
    """Remove a file, unless a worker writes it or looks at it.

    Raises:
        OSError: it is used, or is not there.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(descriptor)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise NotKept(error.strerror) from error
