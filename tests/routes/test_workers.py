"""Several workers behind one port."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from tests.harness import PATIENCE, GuestPath
from tests.routes.site import Site

Entries = dict[str, tuple[int, int]]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def pair(guest: GuestPath, cache: Path) -> Iterator[Site]:
    """A gateway of two workers whose cache was empty."""
    with Site(guest("c/fail"), "--workers", "2", "--cache-dir", str(cache)) as site:
        yield site


def workers(site: Site) -> set[int]:
    """The processes that serve: children of the supervisor, of which one helps the others to start."""
    found = set()
    for pid in site.processes():
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
            found.add(pid)
    return found


def entries(cache: Path) -> Entries:
    """Each entry of the compile cache, with what changes when it is written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in cache.iterdir()}


def served(site: Site, number: int) -> list[int]:
    """Statuses of requests on connections of their own, which the workers share among them."""
    return [site.get("/status?code=201").status for _ in range(number)]


def test_a_worker_that_dies_is_replaced(pair: Site, cache: Path) -> None:
    assert served(pair, 20) == [201] * 20
    compiled = entries(cache)
    assert len(compiled) == 1
    before = workers(pair)
    assert len(before) == 2

    victim = min(before)
    seen = len(pair.logs)
    os.kill(victim, signal.SIGKILL)
    # The other one serves alone until the supervisor has looked.
    assert served(pair, 20) == [201] * 20
    pair.wait_for_log(after=seen, event="component loaded")
    deadline = monotonic() + PATIENCE
    while len(after := workers(pair)) != 2:
        assert monotonic() < deadline, after
    assert victim not in after
    assert served(pair, 20) == [201] * 20
    # It took the compiled component from where the first ones had put it.
    assert entries(cache) == compiled


def test_workers_fail_for_themselves(pair: Site) -> None:
    for _ in range(10):
        assert pair.get("/trap").status == 500
        assert pair.get("/noset").status == 500
    assert served(pair, 20) == [201] * 20
    assert len(workers(pair)) == 2


def test_a_damaged_entry_is_built_again(guest: GuestPath, cache: Path) -> None:
    options = ("--cache-dir", str(cache))
    with Site(guest("c/hello"), *options) as site:
        assert site.get("/").status == 200
    (entry,) = cache.iterdir()
    entry.write_bytes(entry.read_bytes()[:-1])
    with Site(guest("c/hello"), *options) as site:
        site.wait_for_log(event="compiled component damaged")
        assert site.get("/").status == 200
    assert len(entries(cache)) == 1
