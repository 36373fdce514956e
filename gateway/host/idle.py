"""When a guest of WASI 0.3 may be left alone, and what has it go on.

Such a guest may have any number of tasks, and no task of it waits in a host function: that would stop the others.
They wait for one another, or for the pump of their adapter, which asks the host what to do and yields
(`gateway.wasm.wasip3`). So the engine always has a task to run, and gives control back once for each that has
yielded. This counts those times, between two turns of the pump.
"""

from __future__ import annotations

import asyncio
from typing import Final

__all__ = ["Idle"]

_HEARTBEAT: Final = 1.0
"""Seconds that a guest is left alone at most. Nothing needs it, as far as is known: what counts as idle follows
from how the engine queues tasks, and a guest that the rule were wrong about would be late, not lost."""


class Idle:
    """Whether the tasks of a guest have something to do.

    Attributes:
        yields: how often the engine gave control back since the pump's turn before.
        resting: whether all of its tasks wait for what happens outside.
    """

    __slots__ = ("_turns", "_waiter", "resting", "yields")

    def __init__(self) -> None:
        self.yields = 0
        self.resting = False
        self._turns = 0
        self._waiter: asyncio.Future[None] | None = None

    def turn(self, *, did: bool) -> bool:
        """Take note of a turn of the pump, which is about to yield.

        Args:
            did: whether it had something to do.

        Returns:
            Whether no task has anything to do: it did nothing twice, and none but itself has yielded in between.
        """
        alone = self.yields <= 1
        self.yields = 0
        if did:
            self._turns = 0
            return False
        self._turns += 1
        return self._turns > 1 and alone

    def rest(self) -> None:
        """Leave the guest alone when it has yielded, until `wake`."""
        self.resting = True

    def wake(self) -> None:
        """Have it go on."""
        self.resting = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def awake(self) -> None:
        """Wait until it is to go on."""
        if self.resting:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            heartbeat = loop.call_later(_HEARTBEAT, self.wake)
            try:
                await self._waiter
            finally:
                heartbeat.cancel()
                self._waiter = None
