"""Guests that get nowhere."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.host.linker import LinkedComponent
from tests.host.conftest import Load
from tests.host.guests import SPIN, guest, host


class Stuck:
    """A guest that calls `reached` and then stays where it is.

    Attributes:
        reached: set once it is there.
        cleaned: whether no host function is left in which it waits. On a busy machine its tick may be over before
            it comes to one.
    """

    PHASES = ("waiting", "spinning", "instantiating", "waiting while instantiating")

    def __init__(self, load: Load, phase: str) -> None:
        self.reached = asyncio.Event()
        self.cleaned = True
        stay = "(call $wait)" if phase.startswith("waiting") else SPIN
        body = f"(call $reached) {stay} unreachable"
        functions = host(reached=lambda _data: self.reached.set(), wait=self._wait)
        if phase.endswith("instantiating"):
            text = guest("", "reached", "wait", module=f"(func $start {body}) (start $start)")
        else:
            text = guest(body, "reached", "wait")
        self.linked: LinkedComponent = load(text, functions)

    async def _wait(self, _data: Any) -> None:
        self.cleaned = False
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # what cleans up may itself have to wait
            self.cleaned = True


def assert_not_cancelled() -> None:
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
