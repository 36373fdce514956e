"""The threads that wait for disks, so that the event loop never does.

Whatever may touch a disk runs here, were it only to look at a name: a folder may be on a network, and a local
disk may be busy. No time limit can stop such a call. A guest that is stopped meanwhile leaves it behind, and
it runs to its end.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Final, ParamSpec, TypeVar

__all__ = ["WORKERS", "submit"]

P = ParamSpec("P")
T = TypeVar("T")

WORKERS: Final = 8
"""Threads of one process that work on files, those of all guests. Threat: a disk that hangs takes a thread
for each call, and threads without end would exhaust the host; that many hanging calls stop the file access of
every guest, and nothing else. Arbitrary; libuv, which does the same for Node.js, has 4."""


@cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(WORKERS, thread_name_prefix="wasi-filesystem")


# Threads do not live on in a forked process, which therefore makes its own.
os.register_at_fork(after_in_child=_executor.cache_clear)


def submit(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Have a worker thread call a function, after what was submitted before."""
    return _executor().submit(function, *args, **kwargs)
