"""Many workers that count together, in processes of their own; the test is their supervisor."""

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.observe.metrics import Metrics
from gateway.observe.worker_metrics import ENVIRONMENT_VARIABLE, WorkerMetrics
from tests.harness import PATIENCE
from tests.observe.metrics.scraped import Scraped, environment
from tests.observe.metrics.test_exposition import PROMETHEUS_ACCEPTS, check_metrics

INVOCATIONS = 'gateway_invocations_total{component="shop",kind="http",outcome="ok"}'
DURATIONS = 'gateway_invocation_duration_seconds_count{component="shop",kind="http"}'
IN_FLIGHT = 'gateway_invocations_in_flight{component="shop"}'


@pytest.fixture
def workers(tmp_path: Path) -> WorkerMetrics:
    return WorkerMetrics(tmp_path)


@pytest.fixture
def pair(workers: WorkerMetrics) -> Iterator[tuple[Scraped, Scraped]]:
    """Two workers of one gateway."""
    with Scraped(workers.directory) as first, Scraped(workers.directory) as second:
        yield first, second


def test_any_worker_tells_of_all(pair: tuple[Scraped, Scraped]) -> None:
    first, second = pair
    first.happens(times=3, in_flight=2)
    second.happens(times=4, in_flight=5)

    for worker in pair:
        told = worker.samples()
        assert told[INVOCATIONS] == 7
        assert told[DURATIONS] == 7
        assert told[IN_FLIGHT] == 7
        assert told['gateway_component_compile_seconds{component="shop"}'] == 0.5
        assert told['gateway_component_info{component="shop",digest="0123456789ab"}'] == 1


def test_processes_are_summed_up(pair: tuple[Scraped, Scraped]) -> None:
    told = pair[0].samples()
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert told["process_max_fds"] == 2 * most
    assert told["process_cpu_seconds_total"] > 0
    assert told["process_start_time_seconds"] == min(began(worker.pid) for worker in pair)


def began(pid: int) -> float:
    """When a process was started, as proc(5) tells: seconds since the epoch."""
    boot = next(
        int(line.removeprefix("btime "))
        for line in Path("/proc/stat").read_text().splitlines()
        if line.startswith("btime ")
    )
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return boot + ticks / os.sysconf("SC_CLK_TCK")


def test_killed_worker_leaves_its_counts_and_takes_its_gauges(
    pair: tuple[Scraped, Scraped], workers: WorkerMetrics
) -> None:
    first, second = pair
    first.happens(times=3, in_flight=2)
    second.happens(times=4, in_flight=5)
    before = second.samples()
    first.kill()

    workers.forget(first.pid)

    after = second.samples()
    assert after[IN_FLIGHT] == 5
    assert after[INVOCATIONS] == 7
    assert after[DURATIONS] == 7
    assert after["process_cpu_seconds_total"] >= before["process_cpu_seconds_total"]
    assert after["process_max_fds"] == before["process_max_fds"] / 2
    assert not list(workers.directory.glob(f"*_{first.pid}.db"))

    # Once more is no harm, and neither is a worker that never was.
    workers.forget(first.pid)
    workers.forget(1)
    assert second.samples()[INVOCATIONS] == 7


def test_successors_count_on(workers: WorkerMetrics) -> None:
    for _ in range(2):
        with Scraped(workers.directory) as worker:
            worker.happens(times=2)
        workers.forget(worker.pid)
    with Scraped(workers.directory) as last:
        last.happens()
        assert last.samples()[INVOCATIONS] == 5


def test_promtool_has_no_objections(pair: tuple[Scraped, Scraped]) -> None:
    pair[0].happens(in_flight=1, trace_id="1" * 32)
    check_metrics(pair[1].scrape().content)
    assert pair[1].scrape(PROMETHEUS_ACCEPTS).content.endswith(b"# EOF\n")


SHORT_LIVES = """
import os, sys
from gateway.observe.metrics import Metrics
from tests.observe.metrics.happened import returned
for _ in range(40):
    if (child := os.fork()) == 0:
        metrics = Metrics()
        metrics(returned())
        metrics.flush()
        os._exit(0)
    os.waitpid(child, 0)
    print(child)
"""


def test_a_scrape_meanwhile_sees_each_count_once(workers: WorkerMetrics) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SHORT_LIVES],
        env=environment(workers.directory),
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    )
    pids = [int(line) for line in ran.stdout.split()]
    seen: list[float] = []
    forgotten = threading.Event()

    def scrape() -> None:
        while not forgotten.is_set():
            seen.append(count(workers))

    scraper = threading.Thread(target=scrape)
    scraper.start()
    try:
        for pid in pids:
            workers.forget(pid)
    finally:
        forgotten.set()
        scraper.join()

    assert count(workers) == len(pids) == 40
    assert set(seen) == {40}
    assert sorted(path.name for path in workers.directory.glob("*.db")) == [
        *("counter_0.db", "histogram_0.db")
    ]


def count(workers: WorkerMetrics) -> float:
    """The invocations of all workers."""
    (invocations,) = [
        metric for metric in workers.collect() if metric.name == "gateway_invocations"
    ]
    return sum(sample.value for sample in invocations.samples)


def test_worker_that_ends_as_it_starts(workers: WorkerMetrics) -> None:
    for name in ("counter_42.db", "histogram_42.db", "gauge_livesum_42.db"):
        (workers.directory / name).touch()
    assert list(workers.collect()) == []
    assert workers.pids() == [42]

    workers.forget(42)

    assert list(workers.directory.glob("*_42.db")) == []


def test_directory_named_too_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
    with pytest.raises(RuntimeError, match="before prometheus_client is imported"):
        Metrics(tmp_path)
