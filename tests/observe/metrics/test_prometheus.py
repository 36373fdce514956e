"""A real Prometheus scrapes, over a real socket."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any, Self

import pytest

from gateway.observe.worker_metrics import WorkerMetrics
from tests import ask
from tests.harness import PATIENCE, Log
from tests.observe.metrics.happened import TRACE_ID
from tests.observe.metrics.scraped import Scraped
from tests.observe.metrics.tools import program


class Prometheus:
    """Prometheus with a configuration and data of its own, on a free port; gone when left."""

    def __init__(self, directory: Path, *targets: str) -> None:
        self._log = Log()
        self._config = directory / "prometheus.yml"
        # JSON is YAML.
        self._config.write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                    "scrape_configs": [
                        {"job_name": "gateway", "static_configs": [{"targets": targets}]}
                    ],
                }
            )
        )
        self._command = [
            program("prometheus"),
            f"--config.file={self._config}",
            f"--storage.tsdb.path={directory / 'data'}",
            "--web.listen-address=127.0.0.1:0",
            "--enable-feature=exemplar-storage",
            "--log.format=json",
        ]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        self._log.follow(self._process.stdout)
        try:
            address = self._log.wait(PATIENCE, 0, {"msg": "Listening on"})["address"]
            self._wait_until_ready(f"http://{address}/-/ready")
        except BaseException:
            self._stop()
            raise
        self._api = ask.Client(base_url=f"http://{address}/api/v1")
        return self

    def _wait_until_ready(self, url: str) -> None:
        """It listens before its storage is open, and answers nothing but 503 until then."""
        deadline = monotonic() + PATIENCE
        while ask.get(url).status_code == 503:
            assert monotonic() < deadline, self._log.others()

    def __exit__(self, *_exception: object) -> None:
        self._api.close()
        self._stop()

    def _stop(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)
        self._log.close()

    def ask(self, path: str, until: Callable[[Any], bool], **parameters: str) -> Any:
        """Asks its HTTP API until the data of the answer is as wanted, and gives that.

        Raises:
            AssertionError: The time is up.
        """
        deadline = monotonic() + PATIENCE
        while True:
            answer = self._api.get(path, params=parameters).json()
            assert answer["status"] == "success", answer
            if until(answer["data"]):
                return answer["data"]
            assert monotonic() < deadline, answer

    def value(self, query: str, expected: float) -> None:
        """Waits until a query has this value."""

        def is_told(data: Any) -> bool:
            return [float(series["value"][1]) for series in data["result"]] == [expected]

        self.ask("query", is_told, query=query)


@pytest.fixture
def scraped() -> Iterator[Scraped]:
    with Scraped() as process:
        yield process


def test_prometheus_reads_counts_quantiles_and_exemplars(scraped: Scraped, tmp_path: Path) -> None:
    scraped.happens(times=19, seconds=0.002)
    scraped.happens(seconds=2.0, trace_id=TRACE_ID, in_flight=3)
    scraped.happens(times=2, outcome="trap", in_flight=3)

    with Prometheus(tmp_path, scraped.address) as prometheus:
        prometheus.value('gateway_invocations_total{outcome="ok"}', 20)
        prometheus.value('gateway_invocations_total{outcome="trap"}', 2)
        prometheus.value("gateway_invocations_in_flight", 3)
        prometheus.value(
            'gateway_invocation_duration_seconds_bucket{component="shop",kind="http",le="0.0025"}',
            21,
        )
        prometheus.value("count(gateway_build_info)", 1)

        found = prometheus.ask(
            "query_exemplars",
            lambda data: len(data) == 2,
            query='{__name__=~"gateway_.+"}',
            start="0",
            end="9999999999",
        )
        exemplars = {
            (series["seriesLabels"]["__name__"], exemplar["labels"]["trace_id"], exemplar["value"])
            for series in found
            for exemplar in series["exemplars"]
        }
        assert exemplars == {
            ("gateway_invocations_total", TRACE_ID, "1"),
            ("gateway_invocation_duration_seconds_bucket", TRACE_ID, "2"),
        }

        (target,) = prometheus.ask("targets", lambda _: True, state="active")["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")


def test_prometheus_sees_no_counter_go_down_when_a_worker_is_killed(tmp_path: Path) -> None:
    files = tmp_path / "workers"
    files.mkdir()
    workers = WorkerMetrics(files)
    with Scraped(files) as first, Scraped(files) as second:
        first.happens(times=10, in_flight=4)
        second.happens(times=5, in_flight=1)
        with Prometheus(tmp_path, second.address) as prometheus:
            prometheus.value("gateway_invocations_total", 15)
            prometheus.value("gateway_invocations_in_flight", 5)

            first.kill()
            workers.forget(first.pid)
            second.happens(in_flight=1)

            prometheus.value("gateway_invocations_in_flight", 1)
            prometheus.value("gateway_invocations_total", 16)
            for counter in (
                "gateway_invocations_total",
                "gateway_invocation_duration_seconds_bucket",
                "process_cpu_seconds_total",
            ):
                prometheus.value(f"max(resets({counter}[5m]))", 0)
