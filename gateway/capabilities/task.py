"""Tasks that go on beside invocations, and how they end."""

from __future__ import annotations

import asyncio
from typing import Any, Final

__all__ = ["end", "retrieve"]

_AGAIN: Final = 2.5
"""Seconds after which a task is cancelled again. Longer than what one of ours may take to say goodbye."""


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task, and wait until it has ended, however it does.

    Once is not always enough: `asyncio.wait_for` of Python 3.11 loses a cancellation that comes in the turn of the
    loop in which what it waits for ends, and clients that try one server after the other go on then for ever.
    """
    task.add_done_callback(retrieve)
    _cancel(task)
    if not task.done():
        await asyncio.wait((task,))


def _cancel(task: asyncio.Task[Any]) -> None:
    if not task.done():
        task.cancel()
        asyncio.get_running_loop().call_later(_AGAIN, _cancel, task)


def retrieve(task: asyncio.Task[Any]) -> None:
    """Ask for what a task has raised, or asyncio would log that nobody has."""
    if not task.cancelled():
        task.exception()
