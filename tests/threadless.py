"""A system without threads to spare, as where `TasksMax=` or `--pids-limit` is reached."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_TOO_MUCH: Final = 1 << 46
"""Bytes of a stack that no address space has room for."""


@contextmanager
def no_more_threads() -> Iterator[None]:
    """None can be started meanwhile, by this process."""
    before = threading.stack_size(_TOO_MUCH)
    try:
        yield
    finally:
        threading.stack_size(before)
