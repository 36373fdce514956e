"""What a component's guests write and log, as lines of the gateway's log: so many a second at most."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.policy.rate import Rate

__all__ = ["GuestLog"]

_UNIT: Final = 1024
"""Characters. A line counts once for each of them that it begins: so one number bounds lines and bytes."""

_FIRST: Final = 1.0
_INTERVAL: Final = 10.0
"""Seconds from the first line that is dropped to the first word about it, and between two words about it while
that goes on. Arbitrary."""

_METHODS: Final = {
    "trace": "debug",
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "error": "error",
    "critical": "error",
}
"""The levels of `wasi:logging` as those of this log. What is critical to a guest is not to the gateway."""


class GuestLog:
    """The lines of one component's guests in this process.

    Over `rate`, lines are dropped rather than made to wait, as journald does: a component that says too much
    should not get slower by it.

    Args:
        log: where they go.
        component: the component's name.
        rate: lines in a second, one of more than 1 KiB counting for several; as many may come at once.
        on_dropped: called with the number of lines that are dropped, each time.
    """

    def __init__(
        self, log: Any, component: str, rate: int, on_dropped: Callable[[int], None] | None
    ) -> None:
        self._log = log
        self._component = component
        self._rate = Rate(rate)
        self._on_dropped = on_dropped
        self._untold = 0
        self._telling = False

    def line(self, stream: str, line: str, context: Mapping[str, str]) -> None:
        """Log a line, or drop it.

        Args:
            stream: `stdout` or `stderr`.
            line: the line.
            context: whose it is.
        """
        if self._rate.take(1 + len(line) // _UNIT):
            self._log.info("guest output", stream=stream, line=line, **context)
        else:
            self._drop(1)
            self._untold += 1
            self._tell_later(_FIRST)

    def message(self, level: str, context: str, message: str, whose: Mapping[str, str]) -> None:
        """Log what a guest says by `wasi:logging`, or drop it.

        Args:
            level: as WIT has it.
            context: what the guest says that it is about.
            message: what it says.
            whose: whose it is.
        """
        if self._rate.take(1 + (len(context) + len(message)) // _UNIT):
            log = getattr(self._log, _METHODS[level])
            log("guest log", guest_level=level, context=context, message=message, **whose)
        else:
            self._drop(1)
            self._untold += 1
            self._tell_later(_FIRST)

    def dropped(self, lines: int, size: int, context: Mapping[str, str]) -> None:
        """Tell what an invocation has written beyond its own limits.

        Args:
            lines: ends of lines in it.
            size: its bytes.
            context: whose it is.
        """
        self._drop(lines)
        if self._rate.take(1):
            self._log.warning(
                "guest output dropped",
                lines=lines,
                bytes=size,
                reason="it wrote more than log_max_lines or log_max_bytes",
                **context,
            )
        else:
            self._untold += lines
            self._tell_later(_FIRST)

    def _drop(self, lines: int) -> None:
        if self._on_dropped is not None:
            self._on_dropped(lines)

    def _tell_later(self, delay: float) -> None:
        if not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_later(delay, self._tell)

    def _tell(self) -> None:
        self._telling = False
        if self._untold:
            self._log.warning(
                "guest output dropped",
                component=self._component,
                lines=self._untold,
                reason=f"it wrote more than log_max_rate, {self._rate.per_second} lines a second",
            )
            self._untold = 0
            self._tell_later(_INTERVAL)
