"""An interest in what goes on at a backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

__all__ = ["Subscription"]

T = TypeVar("T")


class Subscription(Protocol[T]):
    """An interest in messages, or in changes, from when it was made to when it is closed.

    Attributes:
        deliver: takes each, on the event loop. It must not raise, and cannot wait: bounding what it has is its own
            business. May be changed: the next one goes to the next taker.
    """

    deliver: Callable[[T], None]

    async def ready(self) -> None:
        """Wait until the backend knows of it, which takes as long as the backend is down."""

    async def aclose(self) -> None:
        """Have no more. What the backend has sent already comes before this returns. Must not raise.

        May be called again.
        """
