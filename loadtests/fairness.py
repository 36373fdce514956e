"""Whether equal requests are served alike: the slowest of those that come at once, against most of them.

    python -m loadtests.fairness
    python -m loadtests.fairness --wasmtime PATH

For guests that take a fraction of a tick, and about one, with as many connections as `loadtests.hello` has.
With --wasmtime, `wasmtime serve` (the program at PATH) serves the same components, loaded in turns with the
gateway. It uses all processors, the gateway one.

What held the loop of the gateway meanwhile is printed too, as its watchdog has counted it.
"""

from __future__ import annotations

import argparse
import re
import socket
import statistics
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from loadtests import wrk
from tests.guests import build
from tests.harness import GatewayProcess
from tests.stalls import stalls_of

CONNECTIONS = 32
SECONDS = 4
ROUNDS = 5
GUESTS = ("c/hello", "js/echo", "examples/hello")

_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def milliseconds(text: str) -> float:
    """A latency as wrk writes it."""
    match = re.fullmatch(r"([\d.]+)(us|ms|s)", text)
    assert match is not None, text
    return float(match[1]) * _UNITS[match[2]]


def start_wasmtime(stack: ExitStack, program: Path, component: Path) -> str:
    """Serve a component with `wasmtime serve`; returns its URL once it listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command: list[str | Path] = [
        program,
        "serve",
        "-Scli",
        "--addr",
        f"127.0.0.1:{port}",
        component,
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wasmtime", type=Path, help="the program to compare with")
    arguments = parser.parse_args()
    for name in GUESTS:
        component = build.ALL[name].build()
        with ExitStack() as stack:
            options = ("--no-access-log", "--admin-addr", "127.0.0.1:0")
            gateway = stack.enter_context(GatewayProcess(component, *options))
            urls = {"gateway": gateway.url + "/"}
            if arguments.wasmtime is not None:
                urls["wasmtime serve"] = start_wasmtime(stack, arguments.wasmtime, component)
            loads: dict[str, list[wrk.Load]] = {served_by: [] for served_by in urls}
            for _ in range(ROUNDS):
                for served_by, url in urls.items():
                    loads[served_by].append(wrk.run(url, connections=CONNECTIONS, seconds=SECONDS))
            admin = gateway.wait_for_log(event="listening")["admin_url"]
            stalls = stalls_of(admin, guests=True)
        for served_by, rounds in loads.items():
            p50 = statistics.median(milliseconds(load.p50) for load in rounds)
            p99 = statistics.median(milliseconds(load.p99) for load in rounds)
            rate = statistics.median(load.rate for load in rounds)
            print(
                f"{name:16} {served_by:16} {rate:8.0f} requests/s   p50 {p50:7.1f} ms   p99 {p99:7.1f} ms   "
                f"p99 / p50 {p99 / p50:5.1f}"
            )
        print(f"{'':16} held the loop for more than 50 ms of CPU time: {stalls or 'nothing'}")


if __name__ == "__main__":
    main()
