"""Queues that share the time."""

from __future__ import annotations

from collections import Counter

import pytest

from gateway.host.fair_queues import FairQueues


def serve(queues: FairQueues[int], times: int) -> Counter[int]:
    """Serve so many, each for a second; all queues stay as full as they are. Returns how many of each were."""
    served: Counter[int] = Counter()
    for _ in range(times):
        number = queues.pop()
        served[number] += 1
        queues.spend(number, 1.0)
        queues.add(number, number)
    return served


def full(*weights: float) -> FairQueues[int]:
    """Queues in each of which some wait, who are called by its number."""
    queues: FairQueues[int] = FairQueues(weights)
    for number in range(len(weights)):
        for _ in range(3):
            queues.add(number, number)
    return queues


def test_all_get_the_same_time() -> None:
    assert serve(full(1, 1, 1), 30) == {0: 10, 1: 10, 2: 10}


def test_time_is_shared_by_weight() -> None:
    assert serve(full(4, 2, 1), 70) == {0: 40, 1: 20, 2: 10}


def test_who_took_longer_waits_longer() -> None:
    queues = full(1, 1)
    queues.spend(0, 5.0)
    assert serve(queues, 5) == {1: 5}


def test_one_that_was_idle_has_saved_nothing() -> None:
    queues: FairQueues[int] = FairQueues([1, 1])
    for _ in range(3):
        queues.add(0, 0)
    serve(queues, 100)
    for _ in range(3):
        queues.add(1, 1)
    served = serve(queues, 20)
    assert abs(served[0] - served[1]) <= 2


def test_each_queue_keeps_its_order() -> None:
    queues: FairQueues[str] = FairQueues([1])
    for item in "abcd":
        queues.add(0, item)
    queues.remove(0, "b")
    assert list(queues.in_turns()) == ["a", "c", "d"]
    assert [queues.pop() for _ in range(queues.waiting)] == ["a", "c", "d"]
    with pytest.raises(IndexError):
        queues.pop()


def test_the_queue_that_is_behind_goes_first() -> None:
    queues = full(1, 1, 1)
    queues.spend(0, 2.0)
    queues.spend(1, 1.0)
    assert list(queues.in_turns()) == [2, 2, 2, 1, 1, 1, 0, 0, 0]
    assert [queues.is_ahead(number) for number in range(3)] == [True, True, False]
