"""The admin API while a component is compiled for minutes: nothing else waits for it, and it can be stopped."""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from tests import ask
from tests.admin.issuer import AUDIENCE, ISSUER, SECRET, token
from tests.harness import PATIENCE, GatewayProcess, GuestPath, StartGateway
from tests.host.slow import slow_component

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="looks at the gateway's processes in /proc"
)


class Busy:
    """A gateway that is asked to load a component which takes long, and its admin API."""

    def __init__(self, process: GatewayProcess, folder: Path, clients: ThreadPoolExecutor) -> None:
        self.process = process
        self.url = f"{process.wait_for_log(event='listening')['admin_url']}/admin/v1"
        self.slow = folder / "slow.wasm"
        self.hello = folder / "hello.wasm"
        self._clients = clients

    def ask(self, method: str, path: str, **keys: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token()}"}
        body = {key: str(value) for key, value in keys.items() if key == "source"}
        content = {**keys, **body} if keys else None
        return ask.request(method, self.url + path, json=content, headers=headers)

    def put_slow(self, name: str) -> Future[httpx.Response]:
        """Begin to load it, and wait until it is being compiled."""
        answer = self._clients.submit(
            self.ask, "PUT", f"/components/{name}", source=self.slow, routes=[{"path": "/slow"}]
        )
        self.wait_until(lambda: bool(self.compilers()))
        return answer

    def compilers(self) -> list[int]:
        """The processes that compile."""
        found: list[int] = []
        for task in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:
                continue
        return found

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = monotonic() + PATIENCE
        while not condition():
            assert monotonic() < deadline
            sleep(0.02)


@pytest.fixture
def busy(gateway: StartGateway, guest: GuestPath, tmp_path: Path) -> Iterator[Busy]:
    (tmp_path / "hello.wasm").write_bytes(guest("wat/hello").read_bytes())
    (tmp_path / "slow.wasm").write_bytes(slow_component())
    (tmp_path / "secret").write_text(SECRET)
    file = tmp_path / "gateway.toml"
    file.write_text(
        '[server]\nadmin_addr = "127.0.0.1:0"\ncache = false\n'
        f'[admin]\nsecret_file = "secret"\nissuer = "{ISSUER}"\naudience = "{AUDIENCE}"\n'
        '[[components]]\nname = "hello"\nsource = "hello.wasm"\nroutes = [{ path = "/hello" }]\n'
    )
    with ThreadPoolExecutor() as clients:
        yield Busy(gateway(file), tmp_path, clients)


def test_others_come_and_go_meanwhile_and_go_first(busy: Busy) -> None:
    slow = busy.put_slow("slow")
    (compiler,) = busy.compilers()
    served = os.getpriority(os.PRIO_PROCESS, busy.process.pid)
    busy.wait_until(lambda: os.getpriority(os.PRIO_PROCESS, compiler) > served)
    more = busy.ask("PUT", "/components/more", source=busy.hello, routes=[{"path": "/more"}])
    assert more.status_code == 201
    assert ask.get(busy.process.url + "/more").status_code == 200
    assert busy.ask("POST", "/reload").status_code == 200
    assert busy.ask("DELETE", "/components/more").status_code == 204
    assert not slow.done()
    assert (
        busy.ask("DELETE", "/components/slow").status_code == 404
    )  # not there yet, and never will be
    assert slow.result(PATIENCE).status_code == 409
    assert slow.result().json()["type"] == "urn:component-gateway:problem:superseded"
    busy.wait_until(lambda: not busy.compilers())
    names = [it["name"] for it in busy.ask("GET", "/components").json()["components"]]
    assert names == ["hello"]


def test_of_two_changes_of_one_component_the_later_counts(busy: Busy) -> None:
    slow = busy.put_slow("hello")
    later = busy.ask("PUT", "/components/hello", source=busy.hello, routes=[{"path": "/later"}])
    assert later.status_code == 200
    assert slow.result(PATIENCE).status_code == 409
    assert ask.get(busy.process.url + "/later").status_code == 200
    assert not busy.ask("GET", "/status").json()["reasons"]


def test_a_gateway_that_is_told_to_stop_does_not_wait_for_it(busy: Busy) -> None:
    slow = busy.put_slow("slow")
    assert busy.process.stop() == 0
    # Whether there was time to answer depends on which connection is looked at first.
    with suppress(httpx.HTTPError):
        assert slow.result(PATIENCE).status_code == 422
