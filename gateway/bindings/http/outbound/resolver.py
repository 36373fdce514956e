"""Names to addresses, as the system sees it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Final

from gateway.bindings.descriptors import UNCOUNTED, Share
from gateway.policy.egress import IPAddress

__all__ = ["Resolve", "SystemResolver"]

Resolve = Callable[[str], Awaitable[Sequence[IPAddress]]]
"""Gives the addresses of a name, at least one, the best first. Raises `OSError`, or `UnicodeError` if it can be no
name in DNS."""

THREADS: Final = 8
"""Names that are looked up at once. `getaddrinfo` holds a thread for as long as a name server is silent, some
10 s: the threads are nobody else's, not even another component's. The number is arbitrary."""


class SystemResolver:
    """`getaddrinfo`: the hosts file, DNS, and what else the system is set up for; a `Resolve`.

    Args:
        share: where each lookup takes a place among the file descriptors, for it opens files and sockets.
    """

    def __init__(self, share: Share = UNCOUNTED) -> None:
        self._share = share
        self._executor: ThreadPoolExecutor | None = None

    async def __call__(self, name: str) -> Sequence[IPAddress]:
        """The addresses of a name, in the order of RFC 6724.

        Raises:
            OSError: the system has none; or `EMFILE`: the component may open nothing more.
            UnicodeError: it can be no name in DNS.
        """
        if self._executor is None:
            self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="resolver")
        found = await asyncio.get_running_loop().run_in_executor(
            self._executor, self._look_up, name
        )
        return [ip_address(address[0]) for *_, address in found]

    def close(self) -> None:
        """Let go of the threads."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    def _look_up(self, name: str) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        with self._share.holding():
            return _getaddrinfo(name)


def _getaddrinfo(name: str) -> list[tuple[int, int, int, str, tuple[str, int]]]:
    return socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)  # type: ignore[return-value]
