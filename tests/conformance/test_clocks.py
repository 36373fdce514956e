"""wasi:clocks."""

import time

import pytest

from tests.conformance.probe import Probe

LATEST = 2**64 - 1


def test_the_monotonic_clock_begins_with_the_invocation(probe: Probe) -> None:
    """wasi:clocks/monotonic-clock: nanoseconds since the context was made, never going back.

    A guest has 30 s, so a clock that told how long the machine has been up would soon show.
    """
    times = probe("result = [monotonic_clock.now() for _ in range(1000)]")
    assert times == sorted(times)
    assert 0 < times[0] <= times[-1] <= 30 * 10**9


def test_the_wall_clock_is_that_of_the_host(probe: Probe) -> None:
    """wasi:clocks/wall-clock: seconds and nanoseconds since 1970."""
    before = time.time_ns()
    now = probe("result = wall_clock.now()")
    after = time.time_ns()
    assert 0 <= now["nanoseconds"] < 10**9
    assert before <= now["seconds"] * 10**9 + now["nanoseconds"] <= after


def test_resolutions(probe: Probe) -> None:
    """wasi:clocks: both clocks tell how fine they are, which is not nothing."""
    monotonic, wall = probe("result = [monotonic_clock.resolution(), wall_clock.resolution()]")
    assert monotonic > 0
    assert wall["seconds"] * 10**9 + wall["nanoseconds"] > 0
    assert wall["nanoseconds"] < 10**9


@pytest.mark.parametrize(
    "pollable",
    [
        "monotonic_clock.subscribe_duration(0)",
        "monotonic_clock.subscribe_instant(0)",
        "monotonic_clock.subscribe_instant(monotonic_clock.now())",
    ],
)
def test_what_is_due_becomes_ready(probe: Probe, pollable: str) -> None:
    """wasi:clocks/monotonic-clock: a duration of 0, and an instant that has passed."""
    assert probe(f"""
        due = {pollable}
        due.block()
        result = [due.ready(), poll.poll([due])]
    """) == [True, [0]]


def test_a_guest_sleeps_no_less_than_it_asked_for(probe: Probe) -> None:
    """wasi:clocks/monotonic-clock: by its own clock, after a duration and at an instant."""
    slept, late = probe("""
        start = monotonic_clock.now()
        monotonic_clock.subscribe_duration(5_000_000).block()
        middle = monotonic_clock.now()
        monotonic_clock.subscribe_instant(middle + 5_000_000).block()
        result = [middle - start, monotonic_clock.now() - middle]
    """)
    assert slept >= 5_000_000
    assert late >= 5_000_000


@pytest.mark.parametrize("subscribe", ["subscribe_duration", "subscribe_instant"])
@pytest.mark.parametrize("when", [2**63, LATEST])
def test_what_is_too_far_to_represent_is_never_ready(
    probe: Probe, subscribe: str, when: int
) -> None:
    """wasi:clocks/monotonic-clock: no trap, and no wait that ends early."""
    assert probe(f"""
        never = monotonic_clock.{subscribe}({when})
        soon = monotonic_clock.subscribe_duration(1_000_000)
        result = [poll.poll([never, soon]), never.ready()]
    """) == [[1], False]


def test_a_timeout_ends_a_wait_for_something_else(probe: Probe) -> None:
    """wasi:clocks/monotonic-clock: timers work in `poll` beside streams."""
    with probe.open(
        """
        stream = incoming()
        arrived = stream.subscribe()
        timeout = monotonic_clock.subscribe_duration(1_000_000)
        result = [poll.poll([arrived, timeout]), stream.read(1)]
        """,
        streaming=True,
    ) as conversation:
        assert conversation.head().read() == b'{"ok": [[1], ""]}'
