"""A disk that is full, and folders that are cleared away, cost metrics and time, but no request."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.production.cramped import Cramped, cramped
from tests.production.gateways import Gateway, until


@pytest.fixture
def gateway(config: Path) -> Iterator[Cramped]:
    with cramped(config, "--workers", "2") as gateway:
        yield gateway


def test_a_full_disk(gateway: Cramped) -> None:
    gateway.assert_serves()
    assert "gateway_invocations_total" in gateway.metrics()
    full = gateway.fill()
    workers = gateway.workers()
    gateway.assert_serves()
    assert gateway.workers() == workers
    gateway.replace_workers()
    gateway.wait_for_log(event="metrics not shared", reason="No space left on device")
    gateway.assert_serves()
    assert 'gateway_component_info{component="hello"' in gateway.metrics()
    assert not [record for record in gateway.logs if record.get("status") == -signal.SIGBUS]
    full.unlink()
    gateway.replace_workers()
    gateway.assert_serves()
    assert (
        'gateway_invocations_total{component="hello",kind="http",outcome="ok"}' in gateway.metrics()
    )
    assert gateway.stop() == 0


def test_a_folder_that_was_cleared_away(gateway: Cramped) -> None:
    gateway.assert_serves()
    for folder in gateway.disk.glob("**/gateway-workers-*"):
        shutil.rmtree(folder)
    gateway.assert_serves()
    assert 'gateway_component_info{component="hello"' in gateway.metrics()
    gateway.replace_workers()
    gateway.assert_serves()
    assert 'gateway_component_info{component="hello"' in gateway.metrics()
    assert gateway.stop() == 0


def test_folders_of_gateways_that_were_killed_are_removed(config: Path) -> None:
    parent = Path("/dev/shm")  # noqa: S108
    if not parent.is_dir():
        parent = Path(tempfile.gettempdir())
    left = Path(tempfile.mkdtemp(prefix="gateway-workers-", dir=parent))
    (left / "supervisor").touch()
    (left / "counter_1.db").touch()
    os.utime(left, (0, 0))
    with Gateway(config, "--workers", "2", "--admin-addr", "127.0.0.1:0") as gateway:
        until(lambda: not left.exists())
        (ours,) = (
            directory
            for directory in parent.glob("gateway-workers-*")
            if gateway.pid in holders(directory / "supervisor")
        )
        os.utime(ours, (0, 0))
        with Gateway(config, "--workers", "2", "--admin-addr", "127.0.0.1:0"):
            assert ours.exists()


def holders(path: Path) -> list[int]:
    """Who has a lock on a file, as proc(5) tells; nobody where it has gone, as those of other tests may."""
    try:
        inode = path.stat().st_ino
    except FileNotFoundError:
        return []
    fields = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    held = [found for found in fields if found[1] != "->"]  # and no one who waits for it
    return [int(found[4]) for found in held if int(found[5].rpartition(":")[2]) == inode]
