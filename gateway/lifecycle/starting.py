"""Signals that come while the gateway starts, before there is an event loop that heeds them.

A start takes long: modules are imported, components are read and compiled. Left to themselves, signals are lost or
too late meanwhile:

- Process 1 of a container has no default action: the kernel drops a signal that it has no handler for. So handlers
  stand before anything else is imported, this module's few imports aside.
- Python runs a handler in the main thread, between two steps of its own, and so not while that thread is in a
  library, such as the engine when it compiles. So a thread waits for signals too, and ends the process where
  the main thread cannot do it in time.

A stop ends the process with 128 and the signal's number, as shells and container engines tell of processes that a
signal ended. SIGHUP asks for a reload of what has perhaps been read already: it is kept until that can be done.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from dataclasses import dataclass
from types import FrameType
from typing import Final

__all__ = ["Stopped", "begin", "end", "hung_up"]

UNWIND: Final = 1.0
"""Seconds for the main thread to end the process itself, so that files and processes of the moment are cleared
away. Arbitrary: it has nothing else to do."""

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)


@dataclass(slots=True)
class _State:
    wakeup: int | None = None
    hung_up: bool = False


_state: Final = _State()


class Stopped(SystemExit):
    """A signal has ended the start."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


def begin(*, keep_hangup: bool) -> None:
    """Have signals to stop end the process, whatever it does, until `end`. For the main thread.

    Args:
        keep_hangup: whether SIGHUP is kept for `hung_up`, rather than left alone.
    """
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
    _state.wakeup = theirs
    for number in _STOPS:
        # A shell without job control has what it starts in the background ignore SIGINT.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    if keep_hangup:
        signal.signal(signal.SIGHUP, _keep)
    threading.Thread(target=_watch, args=(ours,), name="starting", daemon=True).start()


def end() -> None:
    """Leave signals to an event loop, which is about to run.

    A stop still ends the start, in the main thread, until the loop has handlers of its own.
    """
    if _state.wakeup is not None:
        signal.set_wakeup_fd(-1)
        os.close(_state.wakeup)
        _state.wakeup = None


def hung_up() -> bool:
    """Whether SIGHUP came, and nobody has asked yet."""
    came, _state.hung_up = _state.hung_up, False
    return came


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(number)


def _keep(_number: int, _frame: FrameType | None) -> None:
    _state.hung_up = True


def _watch(ours: int) -> None:
    try:
        # The number of each signal, as a byte, as soon as it comes (signal.set_wakeup_fd).
        while numbers := os.read(ours, 1):
            if numbers[0] in _STOPS:
                select.select([ours], [], [], UNWIND)  # a further signal ends it sooner
                os._exit(128 + numbers[0])
    finally:
        os.close(ours)
