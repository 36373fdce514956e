"""Two gateways behind a load balancer are restarted one after the other, under load, and no request is lost."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest

from tests.harness import PATIENCE, GuestPath
from tests.ports import free_port
from tests.production.conftest import StartGateway
from tests.production.gateways import DEPLOY, Gateway, until
from tests.production.load import Load
from tests.production.proxies import GATEWAYS, PROXIES, PUBLIC

ECHO = """
[[components]]
name = "echo"
source = "{source}"
routes = [{{ path = "/echo" }}]
"""
"""What the load asks for, besides what `deploy/gateway.toml` has."""


def test_the_load_counts_what_is_lost(start: StartGateway) -> None:
    gateway = start()
    with Load(gateway.port) as load:
        gateway.wait_for_log(event="request")
        gateway.signal(signal.SIGKILL)
        until(lambda: load.answers["GET", 0] and load.answers["POST", 0])
    assert load.troubles


@pytest.fixture
def addresses() -> dict[str, str]:
    """Free addresses in the place of those of `deploy/`."""
    names = (PUBLIC, *(address for pair in GATEWAYS for address in pair))
    return {name: f"127.0.0.1:{free_port()}" for name in names}


class Services:
    """What `systemctl restart` would be: stops the gateway of a name, and starts its successor.

    Attributes:
        command: the command that asks for it, and returns when the old one has ended.
        served: all gateways that there were.
    """

    def __init__(self, folder: Path, start: Callable[[int], Gateway]) -> None:
        self._start = start
        self._gateways: dict[str, Gateway] = {}
        self.served: list[Gateway] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        script = folder / "restart.py"
        script.write_text(
            "import socket, sys\n"
            f"with socket.create_connection(('127.0.0.1', {port})) as asking:\n"
            "    asking.sendall(sys.argv[1].encode())\n"
            "    assert asking.recv(1) == b'0'\n"
        )
        self.command = f"{sys.executable} {script}"

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(4)
        for _ in self._pool.map(self._begin, ("0", "1")):
            pass
        self._pool.submit(self._listen)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._pool.shutdown()
        self._listener.close()
        for gateway in self._gateways.values():
            gateway.stop()

    def _begin(self, name: str) -> None:
        gateway = self._gateways[name] = self._start(int(name))
        self.served.append(gateway)
        gateway.__enter__()

    def _listen(self) -> None:
        while True:
            try:
                asked, _ = self._listener.accept()
            except OSError:
                return
            with asked:
                name = asked.recv(1).decode()
                status = self._gateways[name].stop()
                self._pool.submit(self._begin, name)
                asked.sendall(str(status).encode())


@pytest.mark.long
@pytest.mark.parametrize("proxy", PROXIES)
def test_the_script_restarts_gateways_and_loses_no_request(
    guest: GuestPath, tmp_path: Path, addresses: dict[str, str], proxy: str
) -> None:
    def gateway(number: int) -> Gateway:
        main, admin = GATEWAYS[number]
        text = (DEPLOY / "gateway.toml").read_text() + ECHO.format(source=guest("c/echo"))
        ours = dict(zip(GATEWAYS[0], (addresses[main], addresses[admin]), strict=True))
        for written, address in ours.items():
            text = text.replace(written, address)
        path = tmp_path / f"gateway{number}.toml"
        path.write_text(text)
        # What the harness says of the port counts more than what the file does.
        return Gateway(path, "--port", addresses[main].partition(":")[2])

    shutil.copy(guest("c/hello"), tmp_path / "hello.wasm")
    with ExitStack() as running:
        services = running.enter_context(Services(tmp_path, gateway))
        running.enter_context(PROXIES[proxy](tmp_path, addresses))
        # Paced, for the gateways and the script need the processors too.
        load = Load(int(addresses[PUBLIC].partition(":")[2]), clients=2, pause=0.05)
        running.enter_context(load)
        for serving in services.served:
            serving.wait_for_log(event="request")
        arguments = [
            f"{number}=http://{addresses[admin]}" for number, (_, admin) in enumerate(GATEWAYS)
        ]
        restarted = subprocess.run(
            [DEPLOY / "rolling-restart", *arguments],
            env=os.environ | {"RESTART": services.command},
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * PATIENCE,
        )
        enough = load.count + 100
        until(lambda: load.count >= enough)
        load.stop()
    assert (restarted.returncode, restarted.stderr) == (0, "")
    assert len(services.served) == 4
    for served in services.served:
        stopped = served.logs[-1]
        assert (stopped["event"], stopped["cut_off"]) == ("stopped", 0)
    assert load.troubles == set()
    assert set(load.answers) == {("GET", 200), ("POST", 200)}
    assert load.answers["POST", 200] > 100


def test_the_script_restarts_nothing_while_a_gateway_is_not_ready(start: StartGateway) -> None:
    serving = start()
    gone = f"http://127.0.0.1:{free_port()}"
    restarted = subprocess.run(
        [DEPLOY / "rolling-restart", f"a={serving.admin_url}", f"b={gone}"],
        env=os.environ | {"RESTART": "echo restarted"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert restarted.returncode == 1
    assert "b is not ready" in restarted.stderr
    assert restarted.stdout == ""
