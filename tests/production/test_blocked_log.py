"""A gateway whose log nobody reads serves, tells how it is, and stops."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests import ask
from tests.harness import PATIENCE, GuestPath

PIPE = 4096
"""Bytes of log that may wait in the pipe."""


def fill(client: httpx.Client, listening: Any) -> None:
    """Asks until lines of the log are dropped. Targets of a few kilobytes are logged with each request."""
    target = f"{listening['url']}/{'x' * 4000}"
    before = dropped(client, listening["admin_url"])
    for _ in range(100):
        for _ in range(200):
            assert client.get(target).status_code == 200
        if dropped(client, listening["admin_url"]) > before:
            return
    raise AssertionError("no line was dropped")


def dropped(client: httpx.Client, admin_url: str) -> float:
    """How many lines were dropped, as Prometheus is told."""
    text = client.get(f"{admin_url}/metrics").text
    name = "gateway_log_lines_dropped_total "
    (value,) = [line.removeprefix(name) for line in text.splitlines() if line.startswith(name)]
    return float(value)


@contextlib.contextmanager
def running(*command: str) -> Iterator[tuple[subprocess.Popen[bytes], Iterator[Any]]]:
    """A gateway with little room for its log, and the records of that, for who reads them."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE)
    with (
        subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", *command],
            stderr=writing,
            start_new_session=True,
        ) as process,
        open(reading, "rb") as log,
    ):
        os.close(writing)
        try:
            yield process, map(json.loads, log)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2])
def test_nobody_waits_for_the_log(guest: GuestPath, workers: int) -> None:
    options = ("--port", "0", "--admin-addr", "127.0.0.1:0", "--log-format", "json")
    with (
        running(str(guest("c/hello")), *options, "--workers", str(workers)) as (process, records),
        ask.Client() as client,
    ):
        listening = next(record for record in records if record["event"] == "listening")
        fill(client, listening)
        assert client.get(listening["admin_url"] + "/healthz").status_code == 200
        if workers == 1:
            told = next(record for record in records if record["event"] == "log lines dropped")
            assert (told["level"], told["lines"] > 0) == ("warning", True)
            assert dropped(client, listening["admin_url"]) == told["lines"]
            fill(client, listening)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
