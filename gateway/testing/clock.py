"""A clock that a test sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["Clock"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_START: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Clock:
    """The time of day that components see (`wasi:clocks/wall-clock`, `system-clock`): it stands until it is moved.

    The monotonic clock, timers and the component's own deadline go on as they do: a guest that sleeps sleeps.

    Args:
        now: what it shows at first, with a time zone.
    """

    def __init__(self, now: datetime = _START) -> None:
        self.now = now

    @property
    def now(self) -> datetime:
        """What it shows. May be set, to a time with a zone."""
        return self._now

    @now.setter
    def now(self, now: datetime) -> None:
        if now.tzinfo is None:
            raise ValueError(f"{now} has no time zone: add tzinfo=datetime.UTC, for instance")
        self._now = now

    def advance(self, by: timedelta | float) -> None:
        """Move it.

        Args:
            by: how far, in seconds if it is a number; backwards if it is negative.
        """
        self._now += by if isinstance(by, timedelta) else timedelta(seconds=by)

    def time_ns(self) -> int:
        """What it shows, in nanoseconds since 1970."""
        return (self._now - _EPOCH) // timedelta(microseconds=1) * 1000
