"""Targets with faults that are to be found."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.hostile.target import Attack, Target

_WORD = b"open sesame"


_MOST = 0.02
"""Seconds of CPU time: what does no harm takes none."""


def _target(attack: Attack) -> Target:
    @contextmanager
    def entered() -> Iterator[Attack]:
        yield attack

    return Target(
        entered, lambda: [_WORD + b" and more", b"shut"], max_size=64, max_cpu_seconds=_MOST
    )


def _fail(data: bytes) -> None:
    if _WORD[:4] in data:
        raise KeyError(data)


def _die(data: bytes) -> None:
    if _WORD[:4] in data:
        os.abort()


def _spin(data: bytes) -> None:
    if _WORD[:4] in data:
        until = time.thread_time() + 2 * _MOST
        while time.thread_time() < until:
            pass


def _keep(data: bytes) -> None:
    if _WORD[:4] in data:
        os.open("/dev/null", os.O_RDONLY)


FAILS = _target(_fail)
DIES = _target(_die)
SPINS = _target(_spin)
KEEPS = _target(_keep)
HARMLESS = _target(lambda data: None)
