"""The end of a process that has served: not later because of a disk that hangs."""

from __future__ import annotations

import os
import threading
import time
from typing import Final

import structlog

from gateway.observe import log

__all__ = ["HANGING", "begin"]

HANGING: Final = 5.0
"""Seconds that the threads of a process have to end. Threat: the interpreter waits for each of them, and one that
waits for a disk or a lock which hangs waits for ever. Arbitrary: nothing that any request waits for is left."""

_log = structlog.get_logger("gateway.server")


def begin() -> None:
    """Have this process end within `HANGING` seconds, now that all is closed which can be."""
    threading.Thread(target=_end, name="ending", daemon=True).start()


def _end() -> None:
    time.sleep(HANGING)
    ours = (threading.current_thread(), threading.main_thread())
    hanging = [each.name for each in threading.enumerate() if not (each.daemon or each in ours)]
    _log.error("threads hang", threads=hanging, effect="the process ends without them")
    log.drain(1.0)
    os._exit(0)
