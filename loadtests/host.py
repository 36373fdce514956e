"""The host's part of a hello-world request: store, instance, call, its host calls, release.

    python -m loadtests.host
    python -m loadtests.host --baseline FOLDER

The guest is tests/guests/c/hello.c; there is no server and no socket. It is compared with an invocation that
makes no host call at all, in the same run: the rest is what host calls cost.

With --baseline, another implementation is measured in alternation with this one: FOLDER holds modules `fibers`
(`Engine_`, `Comp`, `Inv`) and `wasi` (`b`, `Obj`, `Fields`) that run the same component.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import shutil
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from gateway.bindings import provided
from gateway.bindings.context import WasiCtx
from gateway.bindings.http.body import IncomingContent
from gateway.bindings.http.types import (
    IncomingRequest,
    OutgoingResponse,
    ResponseOutparam,
)
from gateway.host.component import Component, Source
from gateway.host.engine import Engine, PoolSize
from gateway.host.invocation import Invocation
from gateway.host.linker import Export, LinkedComponent, link
from tests.guests import build

ROUNDS = 9
REQUESTS = 2000
HEADERS = [(b"host", b"localhost"), (b"user-agent", b"curl/8"), (b"accept", b"*/*")]
MEMORY = 1 << 30

NOTHING = """(component
  (core module $m (func (export "run")))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))"""

Request = Callable[[], Awaitable[Any]]


def load(engine: Engine, path: Path) -> LinkedComponent:
    """Compile and link a component."""
    source = Source(path, bridge=provided().carries_bytes)
    return link(Component(engine, source, name=path.stem), provided())


def hello(handler: Export) -> Request:
    """A request to the component's handler."""

    async def request() -> tuple[int, bytes]:
        content = IncomingContent()
        content.end()
        responses: list[Any] = []
        incoming = IncomingRequest(
            method="GET",
            path_with_query="/",
            scheme="http",
            authority="localhost",
            headers=HEADERS,
            content=content,
        )
        await Invocation(
            handler,
            (incoming, ResponseOutparam(responses.append)),
            WasiCtx(),
            max_memory=MEMORY,
            max_execution_time=30.0,
        ).call()
        response = responses[0]
        assert isinstance(response, OutgoingResponse)
        assert response.content is not None
        return response.status, response.content.take()

    return request


def nothing(run: Export) -> Request:
    """A call that makes no host call."""
    return lambda: Invocation(run, (), WasiCtx(), max_memory=MEMORY, max_execution_time=30.0).call()


def baseline(folder: Path, path: Path) -> Request:
    """The same request, by the implementation in a folder."""
    sys.path.insert(0, str(folder))
    fibers: Any = importlib.import_module("fibers")
    wasi: Any = importlib.import_module("wasi")
    # It keeps what it compiled beside the component.
    copy = Path(tempfile.mkdtemp()) / path.name
    shutil.copy(path, copy)
    engine = fibers.Engine_(True)
    component = fibers.Comp(engine, str(copy), wasi.b)
    names = component.c.type.exports(engine.e)
    handler = component.export(
        next(name for name in names if name.startswith("wasi:http/incoming-handler@")), "handle"
    )

    async def request() -> tuple[int, bytes]:
        invocation = fibers.Inv()
        incoming = wasi.Obj()
        incoming.method, incoming.path, incoming.body = "GET", "/", b""
        incoming.headers = wasi.Fields((name.decode(), value) for name, value in HEADERS)
        await component.call(
            invocation,
            handler,
            [
                (component.rnames["incoming-request"], incoming),
                (component.rnames["response-outparam"], None),
            ],
        )
        return invocation.response.status, b"".join(invocation.response.out)

    return request


async def measure(requests: dict[str, Request]) -> None:
    """Run all of them in alternation and print each one's time, and its ratio to the first."""
    for request in requests.values():
        await request()
    times: dict[str, list[float]] = {name: [] for name in requests}
    for _ in range(ROUNDS):
        for name, request in requests.items():
            began = perf_counter()
            for _ in range(REQUESTS):
                await request()
            times[name].append((perf_counter() - began) / REQUESTS * 1e6)
    first = next(iter(times))
    for name, samples in times.items():
        ratio = statistics.median(a / b for a, b in zip(times[first], samples, strict=True))
        print(f"{name:12} {statistics.median(samples):8.1f} us   {first} / {name}: {ratio:.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baseline", type=Path, help="folder of another implementation")
    arguments = parser.parse_args()

    path = build.ALL["c/hello"].build()
    engine = Engine(PoolSize(1000, 4000, 1000, 4000, MEMORY, 200, 10, 200))
    with tempfile.NamedTemporaryFile("w", suffix=".wat") as text:
        text.write(NOTHING)
        text.flush()
        empty = load(engine, Path(text.name))
    component = load(engine, path)
    interface = component.component.find_export("wasi:http/incoming-handler")
    requests = {
        "hello": hello(component.export("handle", interface=interface)),
        "nothing": nothing(empty.export("run")),
    }
    if arguments.baseline is not None:
        requests["baseline"] = baseline(arguments.baseline, path)
    asyncio.run(measure(requests))


if __name__ == "__main__":
    main()
