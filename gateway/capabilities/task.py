"""Tasks that go on beside invocations, and how they end."""

from __future__ import annotations

import asyncio
from typing import Any, Final

__all__ = ["end", "give_up", "retrieve"]

_AGAIN: Final = 2.5
"""Seconds after which a task is cancelled again. Longer than what one of ours may take to say goodbye."""


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task, and wait until it has ended, however it does: `give_up`."""
    give_up(task)
    if not task.done():
        await asyncio.wait((task,))


def give_up(task: asyncio.Task[Any], again: float = _AGAIN) -> None:
    """Cancel a task that nobody waits for any more, until it has ended.

    Once is not always enough: `asyncio.wait_for` of Python 3.11 loses a cancellation that comes in the turn of the
    loop in which what it waits for ends, and clients that try one server after the other go on then for ever.

    Args:
        task: the task.
        again: seconds after which it is cancelled again.
    """
    task.add_done_callback(retrieve)
    _cancel(task, again)


def _cancel(task: asyncio.Task[Any], again: float) -> None:
    if not task.done():
        task.cancel()
        asyncio.get_running_loop().call_later(again, _cancel, task, again)


def retrieve(task: asyncio.Task[Any]) -> None:
    """Ask for what a task has raised, or asyncio would log that nobody has."""
    if not task.cancelled():
        task.exception()
