"""An interest in what goes on at a backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, Self, TypeVar

__all__ = ["LocalSubscription", "Subscription"]

T = TypeVar("T")


class Subscription(Protocol[T]):
    """An interest in messages, or in changes, from when it was made to when it is closed.

    Attributes:
        deliver: takes each, on the event loop. It must not raise, and cannot wait: bounding what it has is its own
            business. May be changed: the next one goes to the next taker.
        trouble: what the operator has to see to before anything comes, if it is this alone: where all of the
            backend is away, that tells of it.
    """

    deliver: Callable[[T], None]

    @property
    def trouble(self) -> str | None:
        """See above."""

    async def ready(self) -> None:
        """Wait until the backend knows of it, which takes as long as the backend is down."""

    async def aclose(self) -> None:
        """Have no more. What the backend has sent already comes before this returns. Must not raise.

        May be called again.
        """


class LocalSubscription(Generic[T]):
    """An interest in what goes on at a backend in this process: a `Subscription`.

    Args:
        deliver: takes it.
        among: the interests that the backend has, of which this is one until it is closed.
    """

    trouble = None

    def __init__(self, deliver: Callable[[T], None], among: list[Self]) -> None:
        self.deliver = deliver
        self._among = among
        among.append(self)

    async def ready(self) -> None:
        """It is: `Subscription.ready`."""

    async def aclose(self) -> None:
        """Have no more: `Subscription.aclose`."""
        if self in self._among:
            self._among.remove(self)
