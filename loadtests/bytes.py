"""How fast bytes cross to a guest and back.

    python -m loadtests.bytes

The guest is tests/guests/c/echo.c, which sends back what it gets in pieces of 64 KiB; there is no server and no
socket, so this is what crossing costs. Random bytes and text are echoed in alternation, and what comes back is
compared with what was sent, once.
"""

from __future__ import annotations

import asyncio
import os
import statistics
from time import perf_counter, process_time
from typing import Any

from gateway.bindings.context import WasiCtx
from gateway.bindings.http.body import IncomingContent
from gateway.bindings.http.types import IncomingRequest, OutgoingResponse, ResponseOutparam
from gateway.host.engine import Engine, PoolSize
from gateway.host.invocation import Invocation
from gateway.host.linker import Export
from loadtests.host import load
from tests.guests import build

ROUNDS = 7
SIZE = 64 << 20
PIECE = 64 << 10
MEMORY = 1 << 30
KINDS = {"random": os.urandom(1 << 20), "text": b"The quick brown " * (1 << 16)}


async def feed(content: IncomingContent, data: bytes) -> None:
    """Send `SIZE` bytes made of `data` as the body."""
    pieces = [data[at : at + PIECE] for at in range(0, len(data) - PIECE + 1, PIECE)]
    for at in range(SIZE // PIECE):
        await content.room()
        content.feed(pieces[at % len(pieces)])
    content.end()


async def take(response: OutgoingResponse, data: bytes | None) -> None:
    """Receive the body, and see that it is the one that was sent if `data` is given."""
    content = response.content
    assert content is not None
    content.begin()
    received = 0
    while chunk := await content.chunk():
        if data is not None:
            at = received % len(data)
            assert (data * 2)[at : at + len(chunk)] == chunk
        received += len(chunk)
    assert received == SIZE


async def echo(handler: Export, data: bytes, *, compared: bool) -> None:
    """Have the guest echo a body."""
    content = IncomingContent()
    responded: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    incoming = IncomingRequest(
        method="POST",
        path_with_query="/",
        scheme="http",
        authority="localhost",
        headers=[(b"host", b"localhost")],
        content=content,
    )
    invocation = Invocation(
        handler,
        (incoming, ResponseOutparam(responded.set_result)),
        WasiCtx(),
        max_memory=MEMORY,
        max_execution_time=600.0,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(invocation.call())
        group.create_task(feed(content, data))
        await take(await responded, data if compared else None)


async def measure(handler: Export) -> None:
    """Echo in alternation and print each kind's throughput."""
    for data in KINDS.values():
        await echo(handler, data, compared=True)
    rates: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for _ in range(ROUNDS):
        for kind, data in KINDS.items():
            began, before = perf_counter(), process_time()
            await echo(handler, data, compared=False)
            took = perf_counter() - began, process_time() - before
            rates[kind].append((SIZE / took[0] / 1e6, SIZE / took[1] / 1e6))
    for kind in KINDS:
        wall, cpu = (statistics.median(side) for side in zip(*rates[kind], strict=True))
        print(f"{kind:8} {wall:6.0f} MB/s each way, {cpu:6.0f} MB for each second of CPU time")


def main() -> None:
    """Measure and print."""
    engine = Engine(PoolSize(100, 400, 100, 400, MEMORY, 200, 10, 200))
    component = load(engine, build.ALL["c/echo"].build())
    interface = component.component.find_export("wasi:http/incoming-handler")
    asyncio.run(measure(component.export("handle", interface=interface)))


if __name__ == "__main__":
    main()
