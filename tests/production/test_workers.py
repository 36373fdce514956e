"""Workers that end, and those that remain."""

from __future__ import annotations

import os
import signal
from functools import partial

import httpx
import pytest

from tests import ask
from tests.production.conftest import StartGateway
from tests.production.gateways import Asking, Gateway, until
from tests.production.load import Load


def hang(gateway: Gateway, number: int) -> bool:
    """Whether so many requests do."""
    return gateway.in_flight("fail") == number


def test_a_worker_that_is_killed_under_load_is_replaced(start: StartGateway) -> None:
    gateway = start("--workers", "2")
    before = gateway.workers()
    victim, other = before
    with Load(gateway.port) as load:
        # Requests that hang in both, 20 in each: who is stopped accepts none.
        hanging: list[Asking] = []
        for stopped, number in ((victim, 20), (other, 40)):
            os.kill(stopped, signal.SIGSTOP)
            hanging += [Asking(f"{gateway.url}/sleep?ms=600000") for _ in range(20)]
            until(partial(hang, gateway, number))
            os.kill(stopped, signal.SIGCONT)
        seen = len(gateway.logs)
        os.kill(victim, signal.SIGKILL)

        gateway.wait_for_log(after=seen, event="worker ended", pid=victim, status=-signal.SIGKILL)
        answered = load.answers["GET", 200]
        until(lambda: load.answers["GET", 200] > answered + 100)
        replaced = gateway.wait_for_log(after=seen, event="worker replaced", replaces=victim)
        assert gateway.workers() == before - {victim} | {replaced["pid"]}
        # Its invocations have gone from the gauge, those of the other have not.
        assert gateway.in_flight("fail") == 20
        assert gateway.ready().status_code == 200

        os.kill(other, signal.SIGKILL)
        until(lambda: gateway.in_flight("fail") == 0)
        answered = load.answers["POST", 200]
        until(lambda: load.answers["POST", 200] > answered + 100)
    # Connections of a worker that was killed break; nobody is answered anything wrong.
    assert {status for _, status in load.answers} <= {0, 200}
    broken = 0
    for asking in hanging:
        try:
            asking.wait()
        except httpx.TransportError:
            broken += 1
    assert broken == 40


def test_counts_of_a_worker_that_was_killed_stay(start: StartGateway) -> None:
    gateway = start("--workers", "2")
    for _ in range(20):
        assert ask.get(gateway.url, headers={"connection": "close"}).status_code == 200

    def counted() -> float:
        text = ask.get(f"{gateway.admin_url}/metrics").text
        name = 'gateway_invocations_total{component="hello",kind="http",outcome="ok"} '
        return sum(
            float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name)
        )

    until(lambda: counted() == 20)
    for pid in gateway.workers():
        seen = len(gateway.logs)
        os.kill(pid, signal.SIGKILL)
        gateway.wait_for_log(after=seen, event="worker replaced", replaces=pid)
    assert counted() == 20


def test_workers_end_when_their_supervisor_is_killed(start: StartGateway) -> None:
    gateway = start("--workers", "2")
    workers = gateway.workers()
    assert len(workers) == 2
    gateway.signal(signal.SIGKILL)
    until(lambda: not any(pid in gateway.processes() for pid in workers))


def test_a_worker_that_is_told_to_end_is_replaced(start: StartGateway) -> None:
    gateway = start("--workers", "2")
    victim = min(gateway.workers())
    os.kill(victim, signal.SIGTERM)
    gateway.wait_for_log(event="worker ended", pid=victim, status=0)
    gateway.wait_for_log(event="worker replaced", replaces=victim)
    assert gateway.stop() == 0


def test_an_interrupt_of_the_whole_group_is_one(start: StartGateway) -> None:
    gateway = start("--workers", "2", "--drain-grace", "10m")
    os.killpg(gateway.pid, signal.SIGINT)
    gateway.wait_for_log(event="draining")
    assert ask.get(gateway.url).status_code == 200
    os.killpg(gateway.pid, signal.SIGINT)
    assert gateway.ended() == 0
    assert "Traceback" not in "\n".join(gateway.output)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_reaches_workers_after_its_supervisor_is_the_same_one(
    start: StartGateway, number: signal.Signals
) -> None:
    gateway = start("--workers", "2", "--drain-grace", "10m")
    workers = gateway.workers()
    gateway.signal(number)
    gateway.wait_for_log(event="draining")
    until(lambda: "close" in ask.get(gateway.url).headers.get("connection", ""))
    for _ in range(3):
        for pid in workers:
            os.kill(pid, number)
    assert {ask.get(gateway.url).status_code for _ in range(40)} == {200}
    assert gateway.workers() == workers
    gateway.signal(number)
    assert gateway.ended() == 0
