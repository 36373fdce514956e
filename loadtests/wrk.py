"""Runs wrk, the load generator (Debian's package of that name), and reads what it prints."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Load", "run"]


_POST = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = io.open("{path}", "rb"):read("*a")
"""

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True)
class Load:
    """What wrk measured.

    Attributes:
        requests: answered requests.
        rate: answered requests a second.
        p50: the seconds that half of the requests took at most.
        p99: the same for 99 of 100.
        errors: what it says of failed ones; empty if there were none.
    """

    requests: int
    rate: float
    p50: float
    p99: float
    errors: str


def run(
    url: str,
    *,
    connections: int,
    seconds: int,
    body: bytes | None = None,
) -> Load:
    """Load a URL from one thread.

    Args:
        url: what is requested.
        connections: how many there are, each with one request at a time.
        seconds: how long.
        body: that of each request, which is a POST then, of JSON as far as its fields say.

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
    with tempfile.TemporaryDirectory() as folder:
        if body is not None:
            script, content = Path(folder, "post.lua"), Path(folder, "body")
            script.write_text(_POST.format(path=content))
            content.write_bytes(body)
            command[1:1] = ["-s", str(script)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    errors = re.findall(r"(Socket errors: .*|Non-2xx or 3xx responses: .*)", printed)
    return Load(
        requests=int(_find(r"(\d+) requests in", printed)),
        rate=float(_find(r"Requests/sec:\s+([\d.]+)", printed)),
        p50=_seconds(_find(r"\n\s+50%\s+(\S+)", printed)),
        p99=_seconds(_find(r"\n\s+99%\s+(\S+)", printed)),
        errors="; ".join(errors),
    )


def _seconds(text: str) -> float:
    """A latency as wrk writes it, `1.23ms`; NaN where no request was answered."""
    match = re.fullmatch(r"([\d.]+)([a-z]+)", text)
    return float(match[1]) * _UNITS[match[2]] if match else math.nan


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        sys.exit(f"wrk printed something unexpected:\n{text}")
    return match.group(1)
