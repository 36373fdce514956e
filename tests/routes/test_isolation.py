"""One guest's trouble is no other's: what misbehaves is stopped, counted and freed, while others are served."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pytest

from tests.routes.site import ObservedSite
from tests.routes.wire import HOST, Client

OTHERS = 100
"""Requests that must all succeed on the worker that has the trouble."""

BESIDE = 10
"""How many of them are under way at once."""


Counted = Callable[[str], dict[str, float]]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2 * BESIDE) as pool:
        yield pool


@pytest.fixture
def counted(observed: ObservedSite) -> Iterator[Counted]:
    """`counted("fail")`: the invocations that have ended since, by outcome. In the end nothing is left."""
    before = observed.idle()

    def since(component: str) -> dict[str, float]:
        was = before["invocations"].get(component, {})
        now = observed.idle()["invocations"][component]
        counts = {outcome: number - was.get(outcome, 0) for outcome, number in now.items()}
        return {outcome: number for outcome, number in counts.items() if number}

    with observed.left_as_it_was():
        yield since


def serve_others(observed: ObservedSite, pool: ThreadPoolExecutor) -> list[Future[int]]:
    """Begins `OTHERS` requests; what they give is how many of them succeeded."""

    def some() -> int:
        with observed.connect() as client:
            bodies = [client.get("/hello").body for _ in range(OTHERS // BESIDE)]
            return bodies.count(b"Hello, World!\n")

    return [pool.submit(some) for _ in range(BESIDE)]


def assert_served(others: list[Future[int]]) -> None:
    assert sum(other.result() for other in others) == OTHERS


@contextmanager
def begun(observed: ObservedSite, target: str, number: int) -> Iterator[list[Client]]:
    """Requests whose guests are at work; in the end their clients go away."""
    with ExitStack() as stack:
        clients = [stack.enter_context(observed.connect()) for _ in range(number)]
        for client in clients:
            client.request(target)
        observed.wait_for(lambda state: state["in_flight"]["fail"] == number)
        yield clients
        # It went on all the while.
        assert observed.state()["in_flight"]["fail"] == number
        for client in clients:
            client.reset()


@pytest.mark.parametrize("target", ["/spin", "/spin-after", "/sleep?ms=60000", "/flood?mib=4096"])
def test_guests_whose_clients_go_away(
    observed: ObservedSite, pool: ThreadPoolExecutor, counted: Counted, target: str
) -> None:
    with begun(observed, target, 5):
        assert_served(serve_others(observed, pool))
    assert counted("fail") == {"cancelled": 5}
    assert counted("hello") == {"ok": OTHERS}


class Failure(NamedTuple):
    """A request, and what becomes of it."""

    target: str
    host: str
    status: int
    component: str
    outcome: str


FAILURES = [
    Failure("/spin", "hasty.test", 504, "hasty", "deadline"),
    Failure("/sleep?ms=60000", "hasty.test", 504, "hasty", "deadline"),
    Failure("/alloc", "small.test", 500, "small", "trap"),
    Failure("/trap", HOST, 500, "fail", "trap"),
    Failure("/recurse", HOST, 500, "fail", "trap"),
    Failure("/noset", HOST, 500, "fail", "err"),
    Failure("/leak?n=1000", HOST, 200, "fail", "ok"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.target)
def test_guests_that_fail(
    observed: ObservedSite, pool: ThreadPoolExecutor, counted: Counted, failure: Failure
) -> None:
    def fail() -> list[int]:
        with observed.connect() as client:
            return [client.get(failure.target, host=failure.host).status for _ in range(4)]

    failing = [pool.submit(fail) for _ in range(5)]
    assert_served(serve_others(observed, pool))
    assert [future.result() for future in failing] == [[failure.status] * 4] * 5
    assert counted(failure.component) == {failure.outcome: 20}
    assert counted("hello") == {"ok": OTHERS}
