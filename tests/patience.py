"""How long tests wait."""

import asyncio
from collections.abc import Callable
from typing import Final

PATIENCE: Final = 120.0
"""Seconds that any wait takes at most before a test fails. Many times what the largest guest takes to compile on
two processors that have much else to do: only what never happens runs into it. A test that waits without a bound
ends, with the stacks of all threads, at the `timeout` of pyproject.toml, which is longer."""


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until something is so of which nobody tells."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what changes it is the loop, or another process
            await asyncio.sleep(0.001)
