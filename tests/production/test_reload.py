"""Changes of a gateway that goes on serving."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests import ask
from tests.harness import GuestPath
from tests.host.slow import slow_component
from tests.production.conftest import StartGateway
from tests.production.gateways import Gateway, until
from tests.server.client import Connection, head

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])

CONFIG = """
[[components]]
name = "app"
source = "app.wasm"
"""

HELLO = b"Hello, World!\n"


@pytest.fixture
def app(guest: GuestPath, tmp_path: Path) -> Path:
    """A configuration with one component, which is a copy of `c/hello`."""
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG)
    shutil.copy(guest("c/hello"), tmp_path / "app.wasm")
    return path


def replace(path: Path, content: bytes) -> None:
    """Replace a file as a whole."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.rename(path)


def told(gateway: Gateway) -> list[str]:
    """The warnings of a gateway's health."""
    warnings: list[str] = gateway.ready().json()["warnings"]
    return warnings


@WORKERS
def test_a_changed_component_is_swapped(
    start: StartGateway, app: Path, guest: GuestPath, workers: str
) -> None:
    gateway = start("--workers", workers, target=app)
    with Connection(gateway.port) as kept:
        kept.send(head("/"))
        assert kept.framed_response().body == HELLO
        replace(app.with_name("app.wasm"), guest("c/echo").read_bytes())
        assert ask.get(gateway.url).content == HELLO
        seen = gateway.signal(signal.SIGHUP)
        gateway.wait_until_reloaded(seen)
        # All workers, and the connections that they have.
        assert all(_echoes(gateway) for _ in range(20))
        kept.send(head("/", "Content-Length: 3", method="POST") + b"new")
        assert kept.framed_response().body == b"new"


def _echoes(gateway: Gateway) -> bool:
    return ask.post(gateway.url, content=b"new").content == b"new"


@WORKERS
def test_a_stop_during_a_reload_is_no_failure_of_it(
    start: StartGateway, app: Path, workers: str
) -> None:
    gateway = start("--workers", workers, target=app)
    replace(app.with_name("app.wasm"), slow_component())
    seen = gateway.signal(signal.SIGHUP)
    gateway.wait_for_log(after=seen, event="compiling")
    gateway.signal(signal.SIGTERM)
    assert gateway.ended() == 0
    assert not [line for line in gateway.logs if line["event"] == "reload failed"]


@WORKERS
def test_what_is_refused_leaves_the_old_one(
    start: StartGateway, app: Path, guest: GuestPath, workers: str
) -> None:
    gateway = start("--workers", workers, target=app)
    replace(app.with_name("app.wasm"), b"no component")
    seen = gateway.signal(signal.SIGHUP)
    failed = gateway.wait_for_log(after=seen, event="reload failed", level="error")
    assert "app.wasm" in failed["reason"]
    assert [ask.get(gateway.url).content for _ in range(10)] == [HELLO] * 10
    assert gateway.ready().status_code == 200
    assert "app.wasm" in until(lambda: told(gateway))[0]

    app.write_text("[[components]]\nname = 1\n")
    seen = gateway.signal(signal.SIGHUP)
    failed = gateway.wait_for_log(after=seen, event="reload failed", level="error")
    assert "components[0].name" in failed["reason"]
    assert [ask.get(gateway.url).content for _ in range(10)] == [HELLO] * 10

    app.write_text(CONFIG)
    replace(app.with_name("app.wasm"), guest("c/echo").read_bytes())
    seen = gateway.signal(signal.SIGHUP)
    gateway.wait_until_reloaded(seen)
    assert all(_echoes(gateway) for _ in range(20))
    assert told(gateway) == []
    assert gateway.stop() == 0


def test_a_request_that_is_under_way_ends_with_the_old_one(
    start: StartGateway, app: Path, guest: GuestPath
) -> None:
    replace(app.with_name("app.wasm"), guest("c/echo").read_bytes())
    gateway = start(target=app)
    with Connection(gateway.port) as connection:
        connection.send(head("/", "Expect: 100-continue", "Content-Length: 3", method="POST"))
        connection.read_until(b"100 Continue\r\n\r\n")
        replace(app.with_name("app.wasm"), guest("c/hello").read_bytes())
        seen = gateway.signal(signal.SIGHUP)
        gateway.wait_for_log(after=seen, event="reloaded")
        assert ask.get(gateway.url).content == HELLO
        connection.send(b"old")
        assert connection.framed_response().body == b"old"


def test_a_worker_that_is_started_later_has_the_new_configuration(
    start: StartGateway, app: Path, guest: GuestPath
) -> None:
    gateway = start("--workers", "2", target=app)
    shutil.copy(guest("c/echo"), app.with_name("other.wasm"))
    app.write_text(CONFIG.replace("app.wasm", "other.wasm"))
    seen = gateway.signal(signal.SIGHUP)
    gateway.wait_until_reloaded(seen)
    assert all(_echoes(gateway) for _ in range(20))
    for pid in gateway.workers():
        seen = len(gateway.logs)
        os.kill(pid, signal.SIGKILL)
        gateway.wait_for_log(after=seen, event="worker replaced", replaces=pid)
    assert all(_echoes(gateway) for _ in range(20))


def test_keys_that_need_a_restart_are_named(start: StartGateway, app: Path) -> None:
    gateway = start("--workers", "1", target=app)
    app.write_text('[server]\nbacklog = 7\nlog_level = "debug"\n' + CONFIG)
    seen = gateway.signal(signal.SIGHUP)
    warned = gateway.wait_for_log(after=seen, event="restart needed", level="warning")
    assert warned["keys"] == ["backlog", "log_level"]
    assert ask.get(gateway.url).content == HELLO


@WORKERS
def test_changes_are_noticed(
    start: StartGateway, app: Path, guest: GuestPath, workers: str
) -> None:
    gateway = start("--workers", workers, "--watch", target=app)
    seen = len(gateway.logs)
    replace(app.with_name("app.wasm"), guest("c/echo").read_bytes())
    gateway.wait_until_reloaded(seen)
    assert all(_echoes(gateway) for _ in range(20))

    seen = len(gateway.logs)
    app.write_text(CONFIG + "routes = 1")
    gateway.wait_for_log(after=seen, event="reload failed")
    assert all(_echoes(gateway) for _ in range(10))

    # A component that the configuration did not have when the gateway was started is watched too.
    seen = len(gateway.logs)
    other = app.with_name("other.wasm")
    shutil.copy(guest("c/hello"), other)
    app.write_text(CONFIG.replace("app.wasm", "other.wasm"))
    gateway.wait_until_reloaded(seen)
    assert not any(_echoes(gateway) for _ in range(20))
    seen = len(gateway.logs)
    replace(other, guest("c/echo").read_bytes())
    gateway.wait_until_reloaded(seen)
    assert all(_echoes(gateway) for _ in range(20))


@pytest.mark.parametrize("workers", [1, 2])
def test_the_last_word_is_how_it_is(guest: GuestPath, tmp_path: Path, workers: int) -> None:
    """A reload that changes nothing is told, and so is the one after a failure."""
    config = tmp_path / "gateway.toml"
    well = f'[[components]]\nname = "hello"\nsource = "{guest("c/hello")}"\n'
    config.write_text(well)
    with Gateway(config, "--workers", str(workers), "--admin-addr", "127.0.0.1:0") as gateway:
        seen = gateway.signal(signal.SIGHUP)
        told = gateway.wait_for_log(after=seen, event="reload changed nothing")
        assert "mends" not in told
        config.write_text("no TOML")
        seen = gateway.signal(signal.SIGHUP)
        gateway.wait_for_log(after=seen, event="reload failed")
        config.write_text(well)
        seen = gateway.signal(signal.SIGHUP)
        gateway.wait_for_log(
            after=seen, event="reload changed nothing", mends="the reload that failed before"
        )
