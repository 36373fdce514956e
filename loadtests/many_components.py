"""What 1, 100 and 1,000 components cost: of one file, and of 50 files.

    python -m loadtests.many_components
    python -m loadtests.many_components --guest js/echo

Each gateway is in a process of its own, without sockets, and what its components are compiled to is in the cache.
Times are CPU time, of all threads of that process, so they do not depend on what else the machine does; the first
request of each component is compared with its later ones in the same process. A file becomes another one by a
custom section that nobody reads.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time
from typing import Any, Final

from gateway.app import Gateway
from gateway.config import ComponentConfig, GatewayConfig, Route, ServerConfig
from tests.guests import build

FILES: Final = 50
SCENARIOS: Final = ((1, 1), (100, 1), (1000, 1), (100, FILES), (1000, FILES))
"""How many components there are, and of how many files."""
ASKED: Final = 100
"""Components that are sent requests."""
LATER: Final = 20
"""Requests of each of them, after its first."""
ROUTED: Final = 20000
"""Look-ups of a route in a round."""
ROUNDS: Final = 5


def variants(guest: Path, folder: Path, count: int) -> list[Path]:
    """Copies of a component that differ in a custom section."""
    files = []
    for number in range(count):
        name = f"variant-{number}".encode()
        section = bytes([0, len(name) + 1, len(name)]) + name
        files.append(folder / f"{number}.wasm")
        files[-1].write_bytes(guest.read_bytes() + section)
    return files


def configuration(files: list[Path], count: int, **changed: Any) -> GatewayConfig:
    """Components with default keys, and a path for each."""
    components = [
        ComponentConfig(
            name=f"c{number}",
            source=files[number % len(files)],
            routes=(Route(path=f"/c{number}"),),
        )
        for number in range(count)
    ]
    if changed:
        components[-1] = components[-1].model_copy(update=changed)
    return GatewayConfig(server=ServerConfig(access_log=False), components=tuple(components))


def resident() -> int:
    """Bytes of memory that the process has."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def get(gateway: Gateway, path: str) -> float:
    """Answer a request; returns its CPU time in seconds."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    told: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        return told.pop() if told else await asyncio.Future()

    status = 0

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    began = process_time()
    await gateway(scope, receive, send)
    took = process_time() - began
    assert status == 200, status
    return took


def route_time(gateway: Gateway, path: str) -> float:
    """CPU time in seconds of finding the component of a path, the best of some rounds."""
    find = gateway._deployment.generation._dispatcher._router.match
    rounds = []
    for _ in range(ROUNDS):
        began = process_time()
        for _ in range(ROUTED):
            find("localhost", path)
        rounds.append((process_time() - began) / ROUTED)
    return min(rounds)


async def observe(files: list[Path], count: int) -> dict[str, float | bool]:
    """What so many components cost, in this process."""
    # What the first of all costs is not the others': modules, the engine, the pools.
    warm = Gateway(configuration(files[:1], 1))
    await get(warm, "/c0")
    await warm.aclose()
    before = resident()
    began = process_time()
    gateway = Gateway(configuration(files, count))
    start = process_time() - began
    idle = (resident() - before) / count
    asked = [f"/c{number}" for number in range(min(count, ASKED))]
    first = [await get(gateway, path) for path in asked]
    later = [await get(gateway, path) for path in asked for _ in range(LATER)]
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for path in asked:
        await get(gateway, path)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    began = process_time()
    await gateway.reload(configuration(files, count, environment={"CHANGED": "1"}))
    reload = process_time() - began
    began = process_time()
    added = ComponentConfig(name="added", source=files[0], routes=(Route(path="/added"),))
    await gateway._deployment.put_component(added)
    put = process_time() - began
    await get(gateway, "/added")
    route = route_time(gateway, f"/c{count - 1}")
    linked = gateway.services[0].linked.component
    await gateway.aclose()
    return {
        "start": start,
        "idle": idle,
        "first": statistics.median(first),
        "later": statistics.median(later),
        "faults": faults / len(asked),
        "reload": reload,
        "put": put,
        "route": route,
        "pooled": linked.engine.pooled,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--guest", default="c/hello", help="one of tests/guests")
    parser.add_argument("--observe", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.observe:
        folder, files, count = arguments.observe
        paths = [Path(folder, f"{number}.wasm") for number in range(int(files))]
        print(json.dumps(asyncio.run(observe(paths, int(count)))))
        return
    told = (
        "start",
        "each, idle",
        "first",
        "first/later",
        "faults",
        "route/1",
        "reload",
        "PUT",
        "pools",
    )
    print(f"{arguments.guest:24}", *(f"{word:>12}" for word in told), sep="")
    with tempfile.TemporaryDirectory() as folder:
        variants(build.ALL[arguments.guest].build(), Path(folder), FILES)
        command = [sys.executable, "-m", "loadtests.many_components", "--observe", folder]
        subprocess.run([*command, str(FILES), str(FILES)], check=True, stdout=subprocess.DEVNULL)
        alone = 0.0
        for count, files in SCENARIOS:
            process = [*command, str(files), str(count)]
            output = subprocess.run(process, check=True, stdout=subprocess.PIPE, text=True).stdout
            seen = json.loads(output.splitlines()[-1])
            alone = alone or seen["route"]
            figures = (
                f"{seen['start']:.2f} s",
                f"{seen['idle'] / 1024:.0f} KiB",
                f"{seen['first'] * 1e3:.2f} ms",
                f"{seen['first'] / seen['later']:.2f}",
                f"{seen['faults']:.0f}",
                f"{seen['route'] / alone:.2f}",
                f"{seen['reload'] * 1e3:.0f} ms",
                f"{seen['put'] * 1e3:.0f} ms",
                "yes" if seen["pooled"] else "no",
            )
            print(f"{f'{count} of {files} files':24}", *(f"{it:>12}" for it in figures), sep="")


if __name__ == "__main__":
    main()
