"""Throughput of a hello-world component, against a bare ASGI application in the same server.

    python -m loadtests.hello

Guests: C (tests/guests/c/hello.c), JavaScript (tests/guests/js/echo.js), Python (examples/hello). All processes
run at the same time but are loaded in turns.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack

from loadtests import wrk
from tests.guests import build
from tests.harness import GatewayProcess

CONNECTIONS = 32
SECONDS = 4
ROUNDS = 5
GUESTS = ("c/hello", "js/echo", "examples/hello")


def start_bare(stack: ExitStack) -> str:
    """Start the bare application; returns its URL once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "loadtests.bare", str(port)])
    stack.callback(process.wait)
    stack.callback(process.terminate)
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            break
    return f"http://127.0.0.1:{port}/"


def main() -> None:
    """Measure and print."""
    with ExitStack() as stack:
        urls = {"bare ASGI": start_bare(stack)}
        for name in GUESTS:
            process = GatewayProcess(build.ALL[name].build(), "--no-access-log")
            urls[name] = stack.enter_context(process).url + "/"
        rates: dict[str, list[float]] = {name: [] for name in urls}
        for _ in range(ROUNDS):
            for name, url in urls.items():
                rates[name].append(wrk.run(url, connections=CONNECTIONS, seconds=SECONDS).rate)
    for name, samples in rates.items():
        ratio = statistics.median(
            rate / bare for rate, bare in zip(samples, rates["bare ASGI"], strict=True)
        )
        print(f"{name:16} {statistics.median(samples):8.0f} requests/s   {ratio:.3f} of bare ASGI")


if __name__ == "__main__":
    main()
