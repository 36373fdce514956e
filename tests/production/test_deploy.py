"""The files of `deploy/` say what they should, and the programs that they are for accept them."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.config import load
from gateway.server.handed_over import ADMIN
from gateway.server.server import STOP_TIME
from gateway.units import parse_duration
from tests.production.gateways import DEPLOY
from tests.production.proxies import GATEWAYS


@pytest.fixture
def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((DEPLOY / "component-gateway.service").read_text())
    return parser["Service"]


def in_comments(name: str, pattern: str) -> float:
    """A time that a file of `deploy/` has."""
    found = re.search(pattern, (DEPLOY / name).read_text(), re.MULTILINE)
    assert found, pattern
    return parse_duration(found[1])


def test_the_times_of_a_restart_fit(unit: configparser.SectionProxy, tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text((DEPLOY / "gateway.toml").read_text())
    (tmp_path / "hello.wasm").touch()
    server = load(path).server
    assert (f"{server.host}:{server.port}", "{}:{}".format(*(server.admin_addr or ()))) == GATEWAYS[
        0
    ]

    # Load balancers notice, and give up idle connections, within the grace period.
    check = in_comments("haproxy.cfg", r"check inter (\S+)")
    patience = in_comments("haproxy.cfg", r"timeout check (\S+)")
    assert check < patience
    assert check + patience < server.drain_grace
    assert in_comments("haproxy.cfg", r"pool-purge-delay (\S+)") < server.drain_grace
    assert in_comments("nginx.conf", r"^    keepalive_timeout (\S+);") < server.drain_grace
    # What kills the gateway waits longer than it needs, which is what the files say.
    needed = server.drain_grace + server.shutdown_timeout
    assert STOP_TIME < 10
    assert parse_duration(unit["TimeoutStopSec"]) > needed + 10
    container = re.search(r"--stop-timeout (\d+)", (DEPLOY / "Containerfile").read_text())
    assert container
    assert int(container[1]) > needed + 10


def test_systemd_hands_over_what_the_gateway_takes() -> None:
    text = (DEPLOY / "component-gateway.socket").read_text()
    assert re.findall("^ListenStream=(.*)$", text, re.MULTILINE) == [
        "127.0.0.1:8080",
        "/run/component-gateway.sock",
    ]
    # Other kinds of sockets, and connections, are refused.
    assert not re.search(
        "^(Accept|ListenDatagram|ListenSequentialPacket|Service)=", text, re.MULTILINE
    )
    assert f"FileDescriptorName={ADMIN}" in text


def test_systemd_reloads_and_stops_by_the_right_signals(unit: configparser.SectionProxy) -> None:
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert unit["KillMode"] == "mixed"
    assert unit.get("KillSignal", "SIGTERM") == "SIGTERM"


def test_prometheus_accepts_its_configuration() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    subprocess.run([promtool, "check", "config", DEPLOY / "prometheus.yml"], check=True)


def test_prometheus_asks_the_admin_addresses() -> None:
    text = (DEPLOY / "prometheus.yml").read_text()
    assert re.findall(r"^ +- (\S+:\d+)$", text, re.MULTILINE) == [admin for _, admin in GATEWAYS]
