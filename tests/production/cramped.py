"""A gateway all whose files are on one small file system."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import ask
from tests.production.gateways import Gateway

MOUNTED = 'mount -t tmpfs -o size=2m,mode=1777 tmpfs /dev/shm && mkdir /dev/shm/tmp && exec "$@"'
"""What a shell does: runs the rest of its arguments where /dev/shm is a small file system of its own."""


class Cramped(Gateway):
    """A gateway all whose files are on one small file system, `/dev/shm` to it.

    Attributes:
        disk: that file system, as this process sees it.
    """

    def __init__(self, target: Path, *options: str) -> None:
        super().__init__(
            target,
            *("--admin-addr", "127.0.0.1:0", "--cache-dir", "/dev/shm/cache", *options),  # noqa: S108
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


@contextmanager
def cramped(target: Path, *options: str) -> Iterator[Cramped]:
    """Such a gateway, for the time of the block; the test is skipped where file systems cannot be mounted."""
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
    with Cramped(target, *options) as gateway:
        yield gateway
