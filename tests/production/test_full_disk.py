"""A disk that is full, and folders that are cleared away, cost metrics and time, but no request."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ask
from tests.production.gateways import Gateway, until

MOUNTED = 'mount -t tmpfs -o size=2m,mode=1777 tmpfs /dev/shm && mkdir /dev/shm/tmp && exec "$@"'
"""What a shell does: runs the rest of its arguments where /dev/shm is a small file system of its own."""


class Cramped(Gateway):
    """A gateway of two workers all whose files are on one small file system.

    Attributes:
        disk: that file system, as this process sees it.
    """

    def __init__(self, target: Path) -> None:
        super().__init__(
            target,
            *("--workers", "2", "--admin-addr", "127.0.0.1:0", "--cache-dir", "/dev/shm/cache"),  # noqa: S108
            env={"TMPDIR": "/dev/shm/tmp"},  # noqa: S108
        )
        unshare = ["unshare", "--mount"]
        if os.getuid() != 0:
            unshare += ["--user", "--map-root-user"]
        self._command = [*unshare, "sh", "-c", MOUNTED, "sh", *self._command]

    @property
    def disk(self) -> Path:
        return Path(f"/proc/{self.pid}/root/dev/shm")

    def fill(self) -> Path:
        """Write until there is no room for a byte; gives the file."""
        path = self.disk / "full"
        with path.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass
        return path

    def metrics(self) -> str:
        """What Prometheus is told."""
        response = ask.get(f"{self.admin_url}/metrics")
        assert response.status_code == 200
        return response.text

    def replace_workers(self) -> None:
        """Have successors take the place of both workers."""
        for pid in self.workers():
            seen = len(self.logs)
            os.kill(pid, signal.SIGKILL)
            self.wait_for_log(after=seen, event="worker replaced", replaces=pid)

    def assert_serves(self) -> None:
        """Ask so often, on new connections, that each worker has its share."""
        for path in ("/", "/nothing", "/sleep?ms=0") * 8:
            assert ask.get(self.url + path).status_code in {200, 404}


@pytest.fixture
def gateway(config: Path) -> Iterator[Cramped]:
    mount = MOUNTED.replace('exec "$@"', "true")
    user = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    tried = subprocess.run(
        ["unshare", "--mount", *user, "sh", "-c", mount],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        pytest.skip(f"file systems cannot be mounted here, try as root: {tried.stderr.strip()}")
    with Cramped(config) as gateway:
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
    """Who has a lock on a file, as proc(5) tells."""
    inode = path.stat().st_ino
    fields = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return [int(found[4]) for found in fields if int(found[5].rpartition(":")[2]) == inode]
