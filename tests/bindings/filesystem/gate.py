"""Calls of the system that take as long as a test wants."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.patience import PATIENCE

__all__ = ["CloseGate", "Gate"]


class Gate:
    """Where the worker threads wait in a call of the system.

    Attributes:
        entered: how many have come to it.
    """

    def __init__(self) -> None:
        self.entered = 0
        self._opened = threading.Event()
        self._arrived = threading.Semaphore(0)

    def open(self) -> None:
        """Let all through, from now on."""
        self._opened.set()

    async def arrival(self) -> None:
        """Wait until another thread has come."""
        assert await asyncio.to_thread(self._arrived.acquire, timeout=PATIENCE)

    def wait(self) -> None:
        """What a thread does here."""
        self.entered += 1
        self._arrived.release()
        assert self._opened.wait(PATIENCE)


CloseGate = Callable[[str], Gate]
"""`close_gate("pread")`: makes the worker threads wait in `os.pread`."""


def closing_gates(monkeypatch: pytest.MonkeyPatch, gates: list[Gate]) -> CloseGate:
    """What closes gates, and enters them into the list."""

    def close(name: str) -> Gate:
        gate = Gate()
        system_call = getattr(os, name)

        def gated(*args: Any, **kwargs: Any) -> Any:
            if threading.current_thread().name.startswith("wasi-filesystem"):
                gate.wait()
            return system_call(*args, **kwargs)

        monkeypatch.setattr(os, name, gated)
        gates.append(gate)
        return gate

    return close
