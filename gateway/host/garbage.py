"""Python's garbage collector, kept from holding the event loop while large values are about.

A collection looks at every list, dict and object of a generation in one go: 10 to 20 ms for each 100,000. It comes
when so many more were made: several times while a large value is made, and it frees nothing, as values have no
cycles. So meanwhile young generations are small, and the oldest, where such a value ends up, waits.

CPython 3.14 collects in small steps by itself.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

__all__ = ["full_collections_put_off"]

_YOUNG: Final = (5_000, 10, (1 << 31) - 1)
"""The thresholds meanwhile, as of `gc.set_threshold`: a collection looks at 50,000 objects or so."""

_LONGEST: Final = 60.0
"""Seconds that full collections are put off at most. Threat: clients that send one large value after another, and
cycles of others that are not freed meanwhile. Arbitrary."""


@contextmanager
def full_collections_put_off() -> Iterator[None]:
    """While one such block is entered, no full collection begins by itself."""
    _large_values.come()
    try:
        yield
    finally:
        _large_values.go()


class _LargeValues:
    """Those that there are now, and the collector while there are any."""

    def __init__(self) -> None:
        self._count = 0
        self._since = 0.0
        self._usual = gc.get_threshold()

    def come(self) -> None:
        now = monotonic()
        if not self._count:
            self._usual = gc.get_threshold()
            gc.set_threshold(*_YOUNG)
            self._since = now
        elif now - self._since > _LONGEST:
            gc.collect()
            self._since = now
        self._count += 1

    def go(self) -> None:
        self._count -= 1
        if not self._count:
            gc.set_threshold(*self._usual)


_large_values: Final = _LargeValues()
