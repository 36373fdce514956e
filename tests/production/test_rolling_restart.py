"""Two gateways behind a load balancer are restarted one after the other, under load, and no request is lost."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.production.conftest import StartGateway
from tests.production.gateways import Gateway, free_ports, until
from tests.production.load import Load
from tests.production.proxies import GATEWAYS, PROXIES, PUBLIC

GRACE = "4s"
"""More than the load balancers of `deploy/` need to notice, see there."""


def test_the_load_counts_what_is_lost(start: StartGateway) -> None:
    gateway = start()
    with Load(gateway.port) as load:
        gateway.wait_for_log(event="request")
        gateway.signal(signal.SIGKILL)
        until(lambda: load.answers["GET", 0] and load.answers["POST", 0])
    assert load.troubles


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("proxy", PROXIES)
def test_a_rolling_restart_loses_no_request(
    config: Path, tmp_path: Path, proxy: str, workers: int
) -> None:
    ports = free_ports(5)
    names = [PUBLIC, *(address for pair in GATEWAYS for address in pair)]
    addresses = {name: f"127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)}

    def gateway(number: int) -> Gateway:
        main, admin = (addresses[address] for address in GATEWAYS[number])
        options = ["--port", main.partition(":")[2], "--admin-addr", admin]
        options += ["--drain-grace", GRACE, "--workers", str(workers)]
        return Gateway(config, *options)

    with ExitStack() as running:
        gateways = [running.enter_context(gateway(number)) for number in (0, 1)]
        running.enter_context(PROXIES[proxy](tmp_path, addresses))
        load = running.enter_context(Load(ports[0]))
        for serving in gateways:
            serving.wait_for_log(event="request")
        for number, old in enumerate(gateways):
            assert old.stop() == 0
            assert (old.logs[-1]["event"], old.logs[-1]["cut_off"]) == ("stopped", 0)
            successor = running.enter_context(gateway(number))
            # The load balancer has noticed it: the other one may go.
            successor.wait_for_log(event="request")
        enough = load.count + 100
        until(lambda: load.count >= enough)
        load.stop()
    assert load.troubles == set()
    assert set(load.answers) == {("GET", 200), ("POST", 200)}
    assert load.answers["POST", 200] > 100
