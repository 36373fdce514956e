"""Tasks that go on beside invocations, and how they end."""

from __future__ import annotations

import asyncio
from typing import Any, Final

__all__ = ["end"]

_AGAIN: Final = 2.5
"""Seconds after which a task is cancelled again. Longer than what one of ours may take to say goodbye."""


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task, and wait until it has ended, however it does.

    Once is not always enough: `asyncio.wait_for` of Python 3.11 loses a cancellation that comes in the turn of the
    loop in which what it waits for ends, and clients that try one server after the other go on then for ever.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=_AGAIN)
    if not task.cancelled():
        task.exception()  # or asyncio would log that nobody has asked for it
