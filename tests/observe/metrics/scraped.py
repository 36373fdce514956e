"""A process with metrics at `/metrics`, which count what it is told at `/returned`: `Scraped` runs it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx
import uvicorn
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Receive, Scope, Send

from gateway.observe.event_queue import Channel
from gateway.observe.events import Outcome, Phases
from gateway.observe.metrics import Metrics
from gateway.observe.worker_metrics import ENVIRONMENT_VARIABLE
from gateway.routes.metrics import exposition
from tests import ask
from tests.harness import PATIENCE, Log
from tests.observe.metrics.happened import DIGEST, returned


class Application:
    """Counts return events, and tells."""

    def __init__(self, directory: Path | None) -> None:
        self.metrics = Metrics(directory)
        self.metrics.loaded("shop", digest=DIGEST, compile_seconds=0.5, memory_limit=1 << 28)
        self.metrics.load_ended(failed=False)
        self.in_flight = 0
        self.channel = Channel()
        self.channel.add_sink(self.metrics, flush=self.metrics.flush)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        content_type, content = b"text/plain", b""
        if scope["path"] == "/metrics":
            accept = dict(scope["headers"]).get(b"accept", b"")
            content_type, content = exposition(self.metrics, accept)
        else:
            self.happens(json.loads((await receive())["body"]))
        headers = [(b"content-type", content_type)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def happens(self, told: Mapping[str, Any]) -> None:
        for _ in range(told.get("times", 1)):
            phases = Phases(guest=told.get("seconds", 0.002))
            outcome = Outcome(told.get("outcome", "ok"))
            trace_id = told.get("trace_id")
            self.channel.send(returned(outcome=outcome, trace_id=trace_id, phases=phases))
        self.channel.flush()
        in_flight = told.get("in_flight", 0)
        self.metrics.in_flight_changed("shop", in_flight - self.in_flight)
        self.in_flight = in_flight


def environment(directory: Path | None = None) -> dict[str, str]:
    """The environment of a program of these tests, as one of the workers that share a directory or alone."""
    names = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    names.pop(ENVIRONMENT_VARIABLE, None)
    if directory is not None:
        names[ENVIRONMENT_VARIABLE] = str(directory)
    return names


class Scraped:
    """The application in a process of its own, on a free port; gone when left.

    Attributes:
        pid: of the process.
        address: where it listens, `127.0.0.1:PORT`.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._log = Log()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.observe.metrics.scraped"],
            env=environment(self._directory),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        self._log.follow(self._process.stdout)
        try:
            listening = self._log.wait(PATIENCE, 0, {"event": "listening"})
        except BaseException:
            self.kill()
            raise
        self.address = listening["address"]
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()
        self._log.close()

    def kill(self) -> None:
        """Ends it without a chance to say goodbye, and waits until it is gone."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(PATIENCE)

    def happens(self, **told: Any) -> None:
        """Lets invocations end there; they are counted by the time this returns."""
        ask.post(f"http://{self.address}/returned", json=told).raise_for_status()

    def scrape(self, accept: str = "text/plain") -> httpx.Response:
        return ask.get(
            f"http://{self.address}/metrics", headers={"accept": accept}
        ).raise_for_status()

    def samples(self) -> dict[str, float]:
        """What it tells: values by the time series' names as `name{label="value"}`, labels in order."""
        return samples(self.scrape().text)


def samples(exposed: str) -> dict[str, float]:
    """The values of Prometheus' text format, by names as `name{label="value"}`, labels in order."""
    told = {}
    for family in text_string_to_metric_families(exposed):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            told[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return told


def main() -> None:
    told = os.environ.get(ENVIRONMENT_VARIABLE)
    application = Application(None if told is None else Path(told))
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address = f"127.0.0.1:{sock.getsockname()[1]}"
        print(json.dumps({"event": "listening", "address": address}), flush=True)  # noqa: T201
        uvicorn.Server(uvicorn.Config(application, log_level="warning", lifespan="off")).run([sock])


if __name__ == "__main__":
    main()
