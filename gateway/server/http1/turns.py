"""Turns for what many connections have waiting, which one turn of the loop could be filled with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.host.scheduler import Lane, Scheduler

__all__ = ["Turns"]


class Turns:
    """Calls one of those that wait in each turn of the loop, in the order in which they came.

    For requests that clients send ahead: a hundred of them would otherwise begin in the turn in which as many
    responses were complete, and whoever sends one request would wait for all of those.
    """

    def __init__(self) -> None:
        self._waiting: dict[Callable[[], None], None] = {}
        self._calling = False

    def wait(self, go_on: Callable[[], None]) -> None:
        """Have something called when it is its turn; it is called once, however often it asks meanwhile."""
        self._waiting[go_on] = None
        self._ask()

    def leave(self, go_on: Callable[[], None]) -> None:
        """Call it no more."""
        self._waiting.pop(go_on, None)

    def _ask(self) -> None:
        if self._waiting and not self._calling:
            self._calling = True
            asyncio.get_running_loop().call_soon(self._call)

    def _call(self) -> None:
        self._calling = False
        try:
            if self._waiting and Scheduler.current().may_run(Lane.AHEAD):
                go_on = next(iter(self._waiting))
                del self._waiting[go_on]
                go_on()
        finally:
            self._ask()
