"""So many in a second, by a clock of the test's own."""

from __future__ import annotations

from gateway.policy.rate import Rate


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_as_much_as_in_a_second_may_happen_at_once() -> None:
    clock = Clock()
    rate = Rate(10, clock)
    assert [rate.take() for _ in range(11)] == [True] * 10 + [False]
    clock.now += 0.25
    assert [rate.take() for _ in range(3)] == [True, True, False]
    clock.now += 1000
    assert [rate.take() for _ in range(11)] == [True] * 10 + [False]


def test_what_counts_for_more_than_a_second_has_counts_for_that() -> None:
    clock = Clock()
    rate = Rate(10, clock)
    assert rate.take(1000)
    assert not rate.take()
    clock.now += 0.9
    assert not rate.take(1000)
    clock.now += 0.2
    assert rate.take(1000)


def test_what_is_reserved_happens_one_after_the_other() -> None:
    clock = Clock()
    rate = Rate(4, clock)
    assert [rate.reserve() for _ in range(6)] == [0, 0, 0, 0, 0.25, 0.5]
    clock.now += 0.25
    assert rate.reserve() == 0.5
    clock.now += 2
    assert rate.reserve() == 0
