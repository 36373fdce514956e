"""What held the event loop while a test ran: for tests of hostile input, whose subject is that nothing does.

What is counted is CPU time of the loop's thread, which no other process can make longer. A guest's own code is
left out: it is pre-empted by a tick, which a busy machine may deliver late.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client.parser import text_string_to_metric_families

from gateway.observe.watchdog import BOUND, Stall, Watchdog
from tests import ask

METRIC = "gateway_event_loop_stall_cpu_seconds"


@contextmanager
def watched() -> Iterator[list[Stall]]:
    """Watches the running loop; gives the stalls of more than `BOUND`, all of them once it is left."""
    stalls: list[Stall] = []
    watchdog = Watchdog(stalls.append)
    watchdog.start()
    try:
        yield stalls
    finally:
        watchdog.stop()


@contextmanager
def nothing_holds_the_loop() -> Iterator[None]:
    """For tests that run guests on their own loop.

    Raises:
        AssertionError: Something computed for more than `BOUND` without giving the loop back.
    """
    with watched() as stalls:
        yield
    held = [stall for stall in stalls if stall.cpu_seconds > BOUND and stall.where != "guest"]
    assert not held, f"the event loop was held: {held}"


def stalls_of(url: str, *, guests: bool = False) -> dict[str, float]:
    """How often what held the loop of a gateway for more than `BOUND` of CPU time.

    Args:
        url: Where its `/metrics` are: its `url`, unless it has an `admin_addr`. Must not be a component's.
        guests: Whether guests' own code is told too.
    """
    text = ask.get(f"{url.rstrip('/')}/metrics").raise_for_status().text
    return {
        sample.labels["where"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"{METRIC}_count" and (guests or sample.labels["where"] != "guest")
    }
