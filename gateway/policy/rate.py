"""So many in a second: a token bucket."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

__all__ = ["Rate"]


class Rate:
    """Counts what may happen so often in a second. As much as in a second may happen at once.

    Args:
        per_second: how often.
        clock: tells seconds.

    Attributes:
        per_second: ditto.
    """

    def __init__(self, per_second: int, clock: Callable[[], float] = monotonic) -> None:
        self.per_second: Final = per_second
        self._clock = clock
        self._left = float(per_second)
        self._counted_at = clock()

    def take(self, count: int = 1) -> bool:
        """Let it happen, so often at once, if it may; what counts for more than a second has counts for that."""
        self._count()
        count = min(count, self.per_second)
        if self._left < count:
            return False
        self._left -= count
        return True

    def reserve(self) -> float:
        """Let it happen once, in as many seconds as this returns, after all that was let before."""
        self._count()
        self._left -= 1
        return max(0.0, -self._left / self.per_second)

    def _count(self) -> None:
        now = self._clock()
        self._left = min(self.per_second, self._left + (now - self._counted_at) * self.per_second)
        self._counted_at = now
