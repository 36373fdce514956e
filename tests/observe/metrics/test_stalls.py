"""Stalls of the event loop, as an operator sees them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from gateway.app import create_app
from gateway.config import ComponentConfig, GatewayConfig, ServerConfig
from gateway.host.scheduler import Lane, Scheduler
from gateway.observe.metrics import Metrics
from gateway.observe.watchdog import BOUND, Stall, StallLog
from tests import ask
from tests.harness import GuestPath, StartGateway
from tests.host.guests import FILL
from tests.routes.test_asgi import Server
from tests.stalls import stalls_of


def test_a_gateway_counts(gateway: StartGateway, tmp_path: Path) -> None:
    component = tmp_path / "fill.wat"
    component.write_text(FILL)
    server = gateway(component, "--max-memory", "256MiB")
    call = {"jsonrpc": "2.0", "id": 1, "method": "run"}
    answer = ask.post(f"{server.url}/rpc/fill", json=call)
    assert "error" not in answer.json()
    assert stalls_of(server.url, guests=True)["guest"] >= 1
    assert "guest" not in stalls_of(server.url)


def test_the_longest_are_told_and_not_all_of_them() -> None:
    log = StallLog()
    with capture_logs() as lines:
        log(Stall("guest", BOUND, BOUND, ()))
        log(Stall("guest", 0.3, 0.2, ("here",)))
        log(Stall("guest", 0.4, 0.4, ()))
    (line,) = lines
    assert (line["event"], line["where"], line["frames"]) == ("event loop held", "guest", ["here"])
    assert (line["seconds"], line["cpu_seconds"]) == (0.3, 0.2)


@pytest.mark.parametrize("told_in", ["console", "json"])
def test_they_are_told_in_any_form(told_in: str, capsys: pytest.CaptureFixture[str]) -> None:
    # Without it, it is what writes the lines of an application that has said nothing.
    if told_in == "json":
        structlog.configure(processors=[structlog.processors.JSONRenderer()])
    StallLog()(Stall("guest", 0.3, 0.2, ("here", "there")))
    assert "there" in capsys.readouterr().out


def test_metrics_count_both_times() -> None:
    metrics = Metrics()
    metrics.held(Stall("guest", 0.3, 0.2, ()))
    metrics.held(Stall("guest", 0.3, BOUND / 2, ()))
    told = {
        sample.name: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.labels == {"where": "guest"}
    }
    assert told["gateway_event_loop_stall_seconds_count"] == 2
    assert told["gateway_event_loop_stall_cpu_seconds_count"] == 1


@pytest.mark.anyio
async def test_who_asks_waits_for_a_turn(guest: GuestPath) -> None:
    """Many that ask at once do not make a turn of the loop longer."""
    server = ServerConfig(operational_routes="first")
    component = ComponentConfig(name="guest", source=guest("wat/hello"))
    app = create_app(GatewayConfig(server=server, components=(component,)))
    asker = Server("/metrics")
    asking = asyncio.create_task(asker.run(app))
    Scheduler.current().spend(1.0, Lane.NEW)  # by others, before it runs
    await asyncio.sleep(0)
    assert not asker.sent
    await asking
    assert b"gateway_event_loop_stall_seconds" in asker.body
