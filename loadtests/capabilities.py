"""What a store costs a component, against the same client library called from plain asyncio.

    python -m loadtests.capabilities
    python -m loadtests.capabilities redis nats

The guest is tests/guests/c/keyvalue.c, which does one thing many times in an invocation; there is no HTTP server.
The other side calls the client of the store as its documentation has it. Both are in this process, on one event
loop, in alternation, one operation after the other; the servers are started here and listen on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import nats
import redis.asyncio

from gateway.bindings.context import Caller, WasiCtx
from gateway.bindings.http.body import IncomingContent
from gateway.bindings.http.types import IncomingRequest, OutgoingResponse, ResponseOutparam
from gateway.bindings.keyvalue import GrantedBucket, KeyValueCtx
from gateway.capabilities.keyvalue import OPENERS, Quota
from gateway.capabilities.operations import Operations
from gateway.config.backend_url import BackendURL
from gateway.host.engine import Engine, PoolSize
from gateway.host.invocation import Invocation
from gateway.host.linker import Export
from loadtests.host import load
from tests.capabilities.servers import Nats, Redis
from tests.guests import build

ROUNDS = 9
MEMORY = 1 << 30
KINDS = {
    "1 KiB": (bytes(range(256)) * 4, 300),
    "1 MiB": (bytes(range(256)) * 4096, 12),
}
"""Values, and how many operations a round has."""

Get = Callable[[], Awaitable[Any]]
Set = Callable[[bytes], Awaitable[Any]]


@contextlib.asynccontextmanager
async def by_redis(folder: Path) -> AsyncIterator[tuple[str, Get, Set]]:
    """A server, and what its client does there."""
    with Redis(folder) as server:
        client = redis.asyncio.Redis(port=server.port)
        yield server.url, lambda: client.get("plain"), lambda value: client.set("plain", value)
        await client.aclose()


@contextlib.asynccontextmanager
async def by_nats(folder: Path) -> AsyncIterator[tuple[str, Get, Set]]:
    """The same of NATS."""
    with Nats(folder) as server:
        client = await nats.connect(server.url)
        stream = client.jetstream()
        store = await stream.create_key_value(bucket="bucket", direct=True)
        yield server.url, lambda: store.get("plain"), lambda value: store.put("plain", value)
        await client.close()


PLAIN = {"redis": by_redis, "nats": by_nats}


class Guest:
    """The component, with a store of its own.

    Args:
        handler: what it exports.
        url: the store.
    """

    def __init__(self, handler: Export, url: str) -> None:
        parsed = BackendURL.parse(url)
        self._handler = handler
        self._store = OPENERS[parsed.scheme](parsed)
        bucket = self._store.bucket("", Quota(1 << 20))
        operations = Operations("guest", self._store.kind, timeout=30.0)
        self._granted = {"default": GrantedBucket(bucket, operations)}

    async def do(self, path: str, body: bytes = b"") -> None:
        """Have it answer a request."""
        content = IncomingContent()
        for at in range(0, len(body), 1 << 16):
            content.feed(body[at : at + (1 << 16)])
        content.end()
        responses: list[Any] = []
        incoming = IncomingRequest(
            method="POST",
            path_with_query=path,
            scheme="http",
            authority="localhost",
            headers=[(b"host", b"localhost")],
            content=content,
        )
        await Invocation(
            self._handler,
            (incoming, ResponseOutparam(responses.append)),
            WasiCtx(KeyValueCtx(self._granted), caller=Caller("guest", "1")),
            max_memory=MEMORY,
            max_execution_time=60.0,
        ).call()
        response = responses[0]
        assert isinstance(response, OutgoingResponse)
        assert response.status == 200, response.content and response.content.take()

    async def aclose(self) -> None:
        """Close the store."""
        await self._store.aclose()


async def timed(work: Awaitable[Any]) -> float:
    """Seconds that something takes."""
    began = perf_counter()
    await work
    return perf_counter() - began


async def repeated(work: Callable[[], Awaitable[Any]], times: int) -> None:
    """Do something many times."""
    for _ in range(times):
        await work()


async def measure(name: str, handler: Export, folder: Path) -> None:
    """Measure one store and print."""
    async with PLAIN[name](folder) as (url, get, set_):
        guest = Guest(handler, url)
        for kind, (value, times) in KINDS.items():
            await guest.do("/set/default/key", value)
            await set_(value)
            for operation, body, plain in (
                ("get", b"", get),
                ("set", value, partial(set_, value)),
            ):
                path = f"/{operation}/default/key?times={times}"
                pairs = [
                    (await timed(guest.do(path, body)), await timed(repeated(plain, times)))
                    for _ in range(ROUNDS)
                ]
                ratio = statistics.median(a / b for a, b in pairs)
                each = [statistics.median(side) / times * 1e6 for side in zip(*pairs, strict=True)]
                print(
                    f"{name:6} {operation} {kind}: guest {each[0]:8.0f} us, plain {each[1]:8.0f} us, "
                    f"guest / plain {ratio:.2f}"
                )
        await guest.aclose()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stores", nargs="*", metavar="STORE", help="redis or nats; both by default")
    arguments = parser.parse_args()
    engine = Engine(PoolSize(1000, 4000, 1000, 4000, MEMORY, 200, 10, 200))
    component = load(engine, build.ALL["c/keyvalue"].build())
    interface = component.component.find_export("wasi:http/incoming-handler")
    handler = component.export("handle", interface=interface)
    for name in arguments.stores or PLAIN:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure(name, handler, Path(folder)))


if __name__ == "__main__":
    main()
