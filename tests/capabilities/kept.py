"""Many operations, and what a process keeps of them when they are over."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Self

_OBJECTS = 2000
"""More than any cache or pool comes to hold, and less than what one object for each of 20,000 operations makes."""


class Kept(NamedTuple):
    """What is kept at one moment.

    Attributes:
        tasks: of this event loop.
        files: that are open, connections among them.
        objects: that the garbage collector knows of, and that are no garbage.
    """

    tasks: int
    files: int
    objects: int

    @classmethod
    def now(cls) -> Self:
        gc.collect()
        return cls(
            len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd")), len(gc.get_objects())
        )

    def holds(self, *, sockets: int) -> bool:
        """Whether no more is kept now, but for so many connections."""
        now = type(self).now()
        return (
            now.tasks <= self.tasks
            and now.files <= self.files + sockets
            and now.objects <= self.objects + _OBJECTS
        )


async def many(one: Callable[[], Awaitable[None]], rounds: int) -> None:
    """Have operations done, fifty at once in each round, whatever becomes of each."""
    for _ in range(rounds):
        await asyncio.gather(*(one() for _ in range(50)), return_exceptions=True)
