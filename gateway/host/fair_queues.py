"""Queues that get the same time, or shares of it by weight, as far as they want it: start-time fair queueing.

Each queue has a clock, which moves on with the time that those of it take. The one whose clock is behind goes
first. One that was idle begins again where the others are: it has saved up no time, and owes what it took before.

Source: P. Goyal, H. M. Vin, H. Cheng, "Start-time Fair Queueing", SIGCOMM 1996.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

__all__ = ["FairQueues"]

T = TypeVar("T")


class _Queue(Generic[T]):
    """Those that wait in it, in their order, and the time that those of it have had, divided by its weight."""

    __slots__ = ("clock", "waiting", "weight")

    def __init__(self, weight: float) -> None:
        self.clock = 0.0
        self.waiting: deque[T] = deque()
        self.weight = weight


class FairQueues(Generic[T]):
    """Several queues, which are named by their numbers.

    Args:
        weights: for each queue, how much of the time it gets beside the others.

    Attributes:
        waiting: how many wait in all of them.
    """

    __slots__ = ("_clock", "_queues", "waiting")

    def __init__(self, weights: Sequence[float]) -> None:
        self._queues: tuple[_Queue[T], ...] = tuple(_Queue(weight) for weight in weights)
        self._clock = 0.0
        self.waiting = 0

    def number_in(self, number: int) -> int:
        """How many wait in a queue."""
        return len(self._queues[number].waiting)

    def is_ahead(self, number: int) -> bool:
        """Whether those of a queue have had more time than others, so that it is not their turn."""
        return self._queues[number].clock > self._clock

    def spend(self, number: int, seconds: float) -> None:
        """Count that one of a queue has had so much time."""
        queue = self._queues[number]
        if queue.waiting:
            self._clock = max(self._clock, queue.clock)
        else:  # as `add`
            self._clock = queue.clock = max(self._clock, queue.clock)
        queue.clock += seconds / queue.weight

    def add(self, number: int, item: T) -> None:
        """Put one at the end of a queue."""
        queue = self._queues[number]
        if not queue.waiting:
            queue.clock = max(queue.clock, self._clock)
        queue.waiting.append(item)
        self.waiting += 1

    def remove(self, number: int, item: T) -> None:
        """Take one out of a queue, wherever it stands there; quick where that is near the front."""
        self._queues[number].waiting.remove(item)
        self.waiting -= 1

    def pop(self) -> T:
        """Take out the first whose turn it is.

        Raises:
            IndexError: nobody waits.
        """
        queues = [queue for queue in self._queues if queue.waiting]
        if not queues:
            raise IndexError("nobody waits")
        self.waiting -= 1
        return min(queues, key=lambda queue: queue.clock).waiting.popleft()

    def in_turns(self) -> Iterator[T]:
        """All that wait, the queue first whose turn it is."""
        for queue in sorted(self._queues, key=lambda queue: queue.clock):
            yield from queue.waiting
