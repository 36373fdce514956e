"""Which clients have gone away, of those whose connections are not read.

A loop sees the end of a stream only where it reads, which it does not while a body or a pipelined request waits,
nor after the client has closed its sending half. The kernel tells apart what it can, whatever was read:

- a reset, by which a client that has crashed, or has left unread what it was sent, is gone;
- the end of what the client sends. It may have closed its sending half alone and wait for the response, or all of
  the connection: TCP has one FIN for both, and only one who sends to it learns which, from the reset in answer.

It says the latter only when all before it has arrived, that is, not while a full window keeps it back.

Linux alone tells this of sockets that another loop polls (epoll, in a set of its own). Elsewhere nothing is told,
and clients that leave are noticed when their connections are read or written next.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import sys
from collections.abc import Callable

__all__ = ["Departures"]


class Departures:
    """Watches sockets for clients that go away."""

    def __init__(self) -> None:
        self._watched: dict[int, tuple[Callable[[], None], Callable[[], None]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        if sys.platform == "linux":
            self._epoll = select.epoll()

    def watch(self, fd: int, gone: Callable[[], None], ended: Callable[[], None]) -> None:
        """Watch a socket.

        Args:
            fd: its descriptor, until `forget`.
            gone: called when the connection is reset.
            ended: called when the client sends no more.
        """
        if sys.platform != "linux" or self._epoll.closed:
            return
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._epoll.fileno(), self._look)
        self._watched[fd] = gone, ended
        # Each change once: what has ended stays so.
        self._epoll.register(fd, select.EPOLLRDHUP | select.EPOLLET)

    def forget(self, fd: int) -> None:
        """Watch a socket no more, which is still open."""
        if sys.platform == "linux" and self._watched.pop(fd, None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)

    def close(self) -> None:
        """Watch none any more."""
        if sys.platform != "linux":
            return
        self._watched.clear()
        if self._loop is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._loop = None
        self._epoll.close()

    def _look(self) -> None:
        for fd, events in self._epoll.poll(0):
            watched = self._watched.get(fd)
            if watched is None:
                continue
            gone, ended = watched
            if events & (select.EPOLLERR | select.EPOLLHUP):
                gone()
            else:
                ended()
