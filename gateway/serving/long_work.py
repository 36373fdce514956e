"""Work in pieces that can be stopped from outside, as an invocation can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.host.errors import InvocationError
from gateway.host.pieces import in_pieces

__all__ = ["LongWork"]

T = TypeVar("T")


class LongWork(Generic[T]):
    """Something long that is done for a caller by no guest: reading what it is given, or writing what it gave.

    Args:
        work: what to do; it calls `gateway.host.pieces.pause` now and then.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._stopped: InvocationError | None = None
        self._until: asyncio.Timeout | None = None

    async def run(self) -> T:
        """Do it.

        Raises:
            InvocationError: it was stopped.
            asyncio.CancelledError: the task was cancelled.
        """
        try:
            async with asyncio.timeout(None) as self._until:
                return await in_pieces(self._work)
        except TimeoutError:
            if self._stopped is None:
                raise
            raise self._stopped from None
        finally:
            self._until = None

    def stop(self, error: InvocationError) -> None:
        """Have `run` raise this error, unless it is done first. Does nothing where it has not begun."""
        if self._stopped is None and self._until is not None:
            self._stopped = error
            self._until.reschedule(asyncio.get_running_loop().time())
