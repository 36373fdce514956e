"""File descriptors of the host, and work on them in other threads.

A number that is closed too early is worse than one that is never closed: the system gives it to the next file
that anyone in the process opens, and a thread that still works with it reads and writes there. So a number is
never passed around alone. Whoever uses it holds its `Handle`: the guest's descriptor, each stream made from
that, and each call under way in a worker thread. The last to let go closes it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import Any, Self, TypeVar

from gateway.bindings.descriptors import UNCOUNTED, Place, Share
from gateway.bindings.filesystem.worker import submit

__all__ = ["Handle", "Identity", "in_worker"]

T = TypeVar("T")

Identity = tuple[int, int]
"""Device and inode: what is the same for all names and descriptors of a file, and for no other file."""


class Handle:
    """A file descriptor of the host, held by whoever made the handle.

    Any thread may call its methods.

    Args:
        fd: the file descriptor, which the handle owns from now on.
        share: where what is opened below it takes its place among the file descriptors.
        place: its own, which is given back when it is closed; None if it has none.

    Attributes:
        fd: the file descriptor.
        share: the same.
        mode: the file's `st_mode` when it was opened; its type never changes.
        identity: which file it is.

    Raises:
        OSError: the system does not know it any more.
    """

    __slots__ = ("_holders", "_lock", "_place", "fd", "identity", "mode", "share")

    def __init__(self, fd: int, share: Share = UNCOUNTED, place: Place | None = None) -> None:
        self.fd = fd
        self.share = share
        self._place = place
        self._holders = 1
        self._lock = Lock()
        status = os.fstat(fd)
        self.mode = status.st_mode
        self.identity: Identity = (status.st_dev, status.st_ino)

    def hold(self) -> Self:
        """Keep it open until another `release`.

        Raises:
            ValueError: nobody holds it any more.
        """
        with self._lock:
            if not self._holders:
                raise ValueError("the file descriptor is closed")
            self._holders += 1
        return self

    def release(self) -> None:
        """Let go of it. The last to do so has a worker close it, which takes long if it frees a large file."""
        with self._lock:
            self._holders -= 1
            last = self._holders == 0
        if last:
            submit(self._close)

    def _close(self) -> None:
        os.close(self.fd)
        if self._place is not None:
            self._place.release()

    def __del__(self) -> None:
        # Of a handle that never came to whom it was made for: the guest had been stopped, or its table was full.
        if self._holders:
            self._close()


def in_worker(work: Callable[..., T], *args: Any) -> asyncio.Future[T]:
    """Have a worker thread call a function. The handles among its arguments stay open until it is done.

    Returns:
        What becomes of it. If the future is cancelled, a call that no thread has begun is not made; one that
        has been begun goes on, and what it returns is forgotten.
    """
    handles = [argument.hold() for argument in args if isinstance(argument, Handle)]
    working = submit(work, *args)

    def release(_working: Future[T]) -> None:
        for handle in handles:
            handle.release()

    working.add_done_callback(release)
    return asyncio.wrap_future(working)
