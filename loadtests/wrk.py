"""Runs wrk, the load generator (Debian's package of that name), and reads what it prints."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass

__all__ = ["Load", "run"]


_POST = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[{json}]==]
"""


@dataclass(frozen=True)
class Load:
    """What wrk measured.

    Attributes:
        requests: answered requests.
        rate: answered requests a second.
        p50: the latency that half of the requests stayed below, as wrk writes it.
        p99: the same for 99 of 100.
        errors: what it says of failed ones; empty if there were none.
    """

    requests: int
    rate: float
    p50: str
    p99: str
    errors: str


def run(url: str, *, connections: int, seconds: int, json: str | None = None) -> Load:
    """Load a URL from one thread.

    Args:
        url: what is requested.
        connections: how many there are, each with one request at a time.
        seconds: how long.
        json: the body of each request, which is a POST then.

    Raises:
        SystemExit: wrk is not installed.
    """
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}",
        "--latency",
        "--timeout",
        "30",
        url,
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        if json is not None:
            script.write(_POST.format(json=json))
            script.flush()
            command[1:1] = ["-s", script.name]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    errors = re.findall(r"(Socket errors: .*|Non-2xx or 3xx responses: .*)", printed)
    return Load(
        requests=int(_find(r"(\d+) requests in", printed)),
        rate=float(_find(r"Requests/sec:\s+([\d.]+)", printed)),
        p50=_find(r"50%\s+([\d.]+[a-z]+)", printed),
        p99=_find(r"99%\s+(\S+)", printed),
        errors="; ".join(errors),
    )


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        sys.exit(f"wrk printed something unexpected:\n{text}")
    return match.group(1)
