"""What a store or a broker costs a component, against the same client library called from plain asyncio.

    python -m loadtests.capabilities
    python -m loadtests.capabilities redis nats

Values: tests/guests/c/keyvalue.c, which does one thing many times in an invocation. Objects: blobs.c beside it, an
invocation for each. Messages: messages.c, an invocation for each, which answers a request with itself. There is no
HTTP server. The other side calls the client as its documentation has it. Both are in this process, on one event
loop, in alternation, one operation after the other; the servers are started here and listen on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import nats
import obstore
import redis.asyncio
from nats.aio.msg import Msg

from gateway.bindings.blobstore.grant import BlobstoreCtx, GrantedSpace
from gateway.bindings.context import Caller, WasiCtx
from gateway.bindings.http.body import IncomingContent
from gateway.bindings.http.types import IncomingRequest, OutgoingResponse, ResponseOutparam
from gateway.bindings.keyvalue import GrantedBucket, KeyValueCtx
from gateway.bindings.messaging import GrantedBroker, MessagingCtx, message_record
from gateway.capabilities import blobstore, keyvalue
from gateway.capabilities.blobstore.object_store import ObjectStore
from gateway.capabilities.messaging import Message
from gateway.capabilities.messaging.nats import NATSBroker
from gateway.capabilities.operations import Operations
from gateway.config.backend_url import BackendURL
from gateway.host.engine import Engine, PoolSize
from gateway.host.invocation import Invocation
from gateway.host.linker import Export
from gateway.policy.subject import SubjectPolicy
from loadtests.host import load
from tests.capabilities.servers import Moto, Nats, Redis
from tests.guests import build

ROUNDS = 9
MEMORY = 1 << 30
CALLER = Caller("guest", "1")
KINDS = {
    "1 KiB": (bytes(range(256)) * 4, 300),
    "1 MiB": (bytes(range(256)) * 4096, 12),
}
"""Values, and how many operations a round has."""

Once = Callable[[bytes], Awaitable[Any]]
"""Does something with a value."""
Work = Callable[[bytes, int], Awaitable[None]]
"""Does it so many times."""
Sides = dict[str, tuple[Work, Work]]
"""What is measured, by name: how the guest does it and how plain code does."""


def repeated(once: Once) -> Work:
    """Does it time after time."""

    async def work(value: bytes, times: int) -> None:
        for _ in range(times):
            await once(value)

    return work


class Guests:
    """The components, compiled and linked when they are first called."""

    def __init__(self) -> None:
        engine = Engine(PoolSize(1000, 4000, 1000, 4000, MEMORY, 200, 10, 200))
        self._load = cache(lambda name: load(engine, build.ALL[name].build()))

    def export(self, name: str, function: str, interface: str) -> Export:
        """An exported function."""
        component = self._load(name)
        return component.export(function, interface=component.component.find_export(interface))

    async def request(self, name: str, ctx: WasiCtx, path: str, body: bytes = b"") -> None:
        """Have one answer a request, and take its answer."""
        content = IncomingContent()
        for at in range(0, len(body), 1 << 16):
            content.feed(body[at : at + (1 << 16)])
        content.end()
        responded: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        incoming = IncomingRequest(
            method="POST",
            path_with_query=path,
            scheme="http",
            authority="localhost",
            headers=[(b"host", b"localhost")],
            content=content,
        )
        handler = self.export(name, "handle", "wasi:http/incoming-handler")
        args = incoming, ResponseOutparam(responded.set_result)
        async with asyncio.TaskGroup() as group:
            group.create_task(call(handler, args, ctx))
            response = await responded
            assert isinstance(response, OutgoingResponse)
            assert response.content is not None
            response.content.begin()
            received = b""
            while chunk := await response.content.chunk():
                received = chunk
        assert response.status < 300, received


async def call(export: Export, args: tuple[Any, ...], ctx: WasiCtx, **options: Any) -> None:
    """Call an exported function."""
    await Invocation(
        export, args, ctx, max_memory=MEMORY, max_execution_time=60.0, **options
    ).call()


def values(guests: Guests, url: str, set_: Once, get: Once) -> Sides:
    """Operations on a store of values; what plain code does is given."""
    parsed = BackendURL.parse(url)
    store = keyvalue.OPENERS[parsed.scheme](parsed)
    operations = Operations("guest", store.kind, timeout=30.0)
    bucket = GrantedBucket(store.bucket("", keyvalue.Quota(1 << 20)), operations)
    granted = {"default": {"default": bucket}}

    async def guest(operation: str, body: bytes, times: int) -> None:
        ctx = WasiCtx(KeyValueCtx(granted), caller=CALLER)
        await guests.request("c/keyvalue", ctx, f"/{operation}/default/key?times={times}", body)

    return {
        "set": (lambda value, times: guest("set", value, times), repeated(set_)),
        "get": (lambda _, times: guest("get", b"", times), repeated(get)),
    }


@contextlib.asynccontextmanager
async def by_redis(guests: Guests, folder: Path) -> AsyncIterator[Sides]:
    """Values in Redis."""
    with Redis(folder) as server:
        client = redis.asyncio.Redis(port=server.port)
        yield values(
            guests,
            server.url,
            lambda value: client.set("plain", value),
            lambda _: client.get("plain"),
        )
        await client.aclose()


@contextlib.asynccontextmanager
async def by_nats(guests: Guests, folder: Path) -> AsyncIterator[Sides]:
    """Values in NATS."""
    with Nats(folder) as server:
        client = await nats.connect(server.url)
        stream = client.jetstream()
        store = await stream.create_key_value(bucket="bucket", direct=True)
        yield values(
            guests,
            server.url,
            lambda value: store.put("plain", value),
            lambda _: store.get("plain"),
        )
        await client.close()


@contextlib.asynccontextmanager
async def by_s3(guests: Guests, folder: Path) -> AsyncIterator[Sides]:
    """Objects in the S3 of Moto."""
    with Moto(folder) as server:
        store = ObjectStore(BackendURL.parse(server.url))
        space = store.space("", None, blobstore.Quota())
        await space.create("uploads")
        operations = Operations("guest", store.kind, timeout=30.0)
        granted = {"default": {"uploads": GrantedSpace(space, operations)}}

        async def guest(path: str, body: bytes) -> None:
            ctx = WasiCtx(BlobstoreCtx(granted), caller=CALLER)
            await guests.request("c/blobs", ctx, path, body)

        async def get(_: bytes) -> None:
            await (await obstore.get_async(store.client, "plain")).bytes_async()

        yield {
            "put": (
                repeated(lambda value: guest("/put/key", value)),
                repeated(lambda value: obstore.put_async(store.client, "plain", value)),
            ),
            "get": (repeated(lambda _: guest("/get/key", b"")), repeated(get)),
        }
        await store.aclose()


@contextlib.asynccontextmanager
async def by_messages(guests: Guests, folder: Path) -> AsyncIterator[Sides]:
    """Messages of NATS."""
    with Nats(folder) as server:
        client = await nats.connect(server.url)
        broker = NATSBroker(BackendURL.parse(server.url))
        operations = Operations("guest", broker.kind, timeout=30.0)
        none = SubjectPolicy([])
        granted = GrantedBroker(
            broker, operations, operations, publish=none, hears=none, max_message=1 << 20
        )
        handler = guests.export("c/messages", "handle-message", "wasmcloud:messaging/handler")

        async def by_guest(asked: Msg) -> None:
            message = Message(asked.subject, asked.data, asked.reply)
            ctx = WasiCtx(MessagingCtx(granted, message.reply_to), caller=CALLER)
            await call(handler, (message_record(message),), ctx, in_pieces=True)

        async def by_plain(asked: Msg) -> None:
            await asked.respond(asked.data)

        def ask(subject: str) -> Work:
            return repeated(lambda value: client.request(subject, b"a" + value[1:], timeout=60))

        await client.subscribe("guest", cb=by_guest)
        await client.subscribe("plain", cb=by_plain)
        yield {"answer": (ask("guest"), ask("plain"))}
        await broker.aclose()
        await client.close()


SERVERS = {"redis": by_redis, "nats": by_nats, "s3": by_s3, "messages": by_messages}


async def timed(work: Awaitable[Any]) -> float:
    """Seconds that something takes."""
    began = perf_counter()
    await work
    return perf_counter() - began


async def measure(name: str, guests: Guests, folder: Path) -> None:
    """Measure one server and print."""
    async with SERVERS[name](guests, folder) as sides:
        for kind, (value, times) in KINDS.items():
            for operation, (guest, plain) in sides.items():
                await guest(value, 1)
                await plain(value, 1)
                pairs = [
                    (await timed(guest(value, times)), await timed(plain(value, times)))
                    for _ in range(ROUNDS)
                ]
                ratio = statistics.median(a / b for a, b in pairs)
                each = [statistics.median(side) / times * 1e6 for side in zip(*pairs, strict=True)]
                print(
                    f"{name:8} {operation:6} {kind}: guest {each[0]:8.0f} us, plain {each[1]:8.0f} us, "
                    f"guest / plain {ratio:.2f}"
                )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "servers", nargs="*", metavar="SERVER", help=f"{', '.join(SERVERS)}; all by default"
    )
    arguments = parser.parse_args()
    guests = Guests()
    for name in arguments.servers or SERVERS:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure(name, guests, Path(folder)))


if __name__ == "__main__":
    main()
