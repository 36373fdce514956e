"""wasi:http/outgoing-handler as a guest of a real toolchain uses it: Python, by componentize-py."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from gateway.host.errors import DeadlineExceeded
from gateway.host.linker import Export
from tests.bindings.outbound.component import component
from tests.bindings.outbound.peer import Wire, peer
from tests.bindings.outbound.probe import ask
from tests.bindings.outbound.test_streaming import echo, flat_memory, pattern

pytestmark = pytest.mark.anyio

MIB = 1 << 20


async def test_a_get(probe: Export) -> None:
    async def script(wire: Wire) -> None:
        assert (await wire.head()).startswith(b"GET /a?b HTTP/1.1\r\n")
        await wire.send(b"HTTP/1.1 201 Created\r\nx-a: 1\r\ncontent-length: 7\r\n\r\ncontent")

    async with component() as client, peer(script) as server:
        source = f"""
            response = response_of(
                outgoing_handler.handle(outgoing_request("{server.authority}", "/a?b"), None)
            )
            result = [response.status(), response.headers().get("x-a"), content_of(response)]
        """
        assert await ask(probe, client, source) == [201, ["1"], "content"]


async def test_a_post_of_more_than_a_body_holds(probe: Export) -> None:
    async with component() as client, peer(echo) as server:
        source = f"""
            sent = bytes(range(256)) * 8192
            made = outgoing_request("{server.authority}", method=Method_Post())
            body = made.body()
            stream = body.write()
            response = response_of(outgoing_handler.handle(made, None))
            received = b""
            incoming_body = response.consume()
            input = incoming_body.stream()
            for at in range(0, len(sent), 65536):
                left = sent[at : at + 65536]
                while left:
                    writable = stream.subscribe()
                    writable.block()
                    drop(writable)
                    permit = stream.check_write()
                    stream.write(left[:permit])
                    left = left[permit:]
                while len(received) < at:
                    received += input.blocking_read(65536)
            drop(stream)
            OutgoingBody.finish(body, None)
            try:
                while True:
                    received += input.blocking_read(65536)
            except Err as end:
                ended = end.value
            result = [received == sent, isinstance(ended, StreamError_Closed)]
        """
        assert await ask(probe, client, source) == [True, True]


async def test_several_at_once_with_a_poll_loop(probe: Export) -> None:
    """The servers answer when all requests have arrived, in the reverse of their order."""
    count = 16
    arrived = asyncio.Barrier(count)
    answered = [asyncio.Event() for _ in range(count + 1)]
    answered[count].set()

    async def script(wire: Wire) -> None:
        number = int((await wire.head()).split()[1][1:])
        await arrived.wait()
        await answered[number + 1].wait()
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n%02d" % number)
        answered[number].set()

    async with component() as client, peer(script) as server:
        source = f"""
            waiting = {{
                number: outgoing_handler.handle(outgoing_request("{server.authority}", f"/{{number}}"), None)
                for number in range({count})
            }}
            result = []
            while waiting:
                numbers = list(waiting)
                pollables = [waiting[number].subscribe() for number in numbers]
                ready = poll.poll(pollables)
                for pollable in pollables:
                    drop(pollable)
                for index in ready:
                    future = waiting.pop(numbers[index])
                    response = future.get().value.value
                    result.append(content_of(response))
        """
        result = await ask(probe, client, source)
    assert sorted(result) == [f"{number:02}" for number in range(count)]


async def test_asyncio_style_tasks(probe: Export) -> None:
    """Requests as awaitables of an event loop that the guest runs over `wasi:io/poll`."""
    arrived = asyncio.Barrier(4)

    async def script(wire: Wire) -> None:
        target = (await wire.head()).split()[1]
        await arrived.wait()
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(target) + target)

    async with component() as client, peer(script) as server:
        source = f"""
            import asyncio

            class PollLoop(asyncio.AbstractEventLoop):
                "As much of a loop as tasks need."

                def __init__(self):
                    self.wakers, self.ready, self.running = [], [], False

                def get_debug(self):
                    return False

                def create_future(self):
                    return asyncio.Future(loop=self)

                def create_task(self, coroutine, **options):
                    return asyncio.Task(coroutine, loop=self)

                def call_soon(self, callback, *args, context=None):
                    handle = asyncio.Handle(callback, args, self, context)
                    self.ready.append(handle)
                    return handle

                def call_exception_handler(self, context):
                    raise context.get("exception") or RuntimeError(context["message"])

                def is_running(self):
                    return self.running

                def run_until_complete(self, coroutine):
                    asyncio.events._set_running_loop(self)
                    self.running = True
                    task = self.create_task(coroutine)
                    while not task.done():
                        handles, self.ready = self.ready, []
                        for handle in handles:
                            handle._run()
                        if not self.ready and self.wakers:
                            wakers, self.wakers = self.wakers, []
                            ready = set(poll.poll([pollable for pollable, _ in wakers]))
                            for index, (pollable, waker) in enumerate(wakers):
                                if index in ready:
                                    drop(pollable)
                                    waker.set_result(None)
                                else:
                                    self.wakers.append((pollable, waker))
                    asyncio.events._set_running_loop(None)
                    return task.result()

            loop = PollLoop()

            async def ready(pollable):
                waker = loop.create_future()
                loop.wakers.append((pollable, waker))
                await waker

            async def fetch(path):
                future = outgoing_handler.handle(outgoing_request("{server.authority}", path), None)
                await ready(future.subscribe())
                return content_of(future.get().value.value)

            async def main():
                return await asyncio.gather(*[fetch(f"/{{number}}") for number in range(4)])

            result = loop.run_until_complete(main())
        """
        assert await ask(probe, client, source) == ["/0", "/1", "/2", "/3"]


async def test_an_error_is_a_variant_with_its_payload(probe: Export) -> None:
    async with component(["http://*"]) as client:
        source = """
            future = outgoing_handler.handle(outgoing_request("a..b"), None)
            pollable = future.subscribe()
            pollable.block()
            drop(pollable)
            result = [future.get(), attempt(outgoing_handler.handle, outgoing_request("a:81"), None)]
        """
        name = {"rcode": "invalid dns name", "info_code": None}
        assert await ask(probe, client, source) == [
            {"Ok": {"Err": {"ErrorCode_DnsError": name}}},
            {"Err": "ErrorCode_HttpRequestDenied"},
        ]


async def test_options_are_those_of_the_request(probe: Export) -> None:
    async def script(wire: Wire) -> None:
        await wire.hung_up()

    async with component() as client, peer(script) as server:
        source = f"""
            options = RequestOptions()
            options.set_first_byte_timeout(1_000_000)
            future = outgoing_handler.handle(outgoing_request("{server.authority}"), options)
            pollable = future.subscribe()
            pollable.block()
            drop(pollable)
            result = future.get()
        """
        assert await ask(probe, client, source) == {
            "Ok": {"Err": "ErrorCode_ConnectionReadTimeout"}
        }


async def test_the_deadline_of_the_invocation_bounds_its_requests(probe: Export) -> None:
    async def script(wire: Wire) -> None:
        await wire.hung_up()

    async with component() as client, peer(script) as server:
        source = f"""
            response_of(outgoing_handler.handle(outgoing_request("{server.authority}"), None))
        """
        with pytest.raises(DeadlineExceeded):
            await ask(probe, client, source, seconds=0.2)
        await server.finished()


async def test_a_proxy_loses_no_byte_and_keeps_nothing(probe: Export) -> None:
    """64 MiB from one server to another: what the guest splices is in no one's memory as a whole."""
    size = 64 * MIB
    digest = hashlib.blake2b()

    async def source(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        for block in pattern(size):
            await wire.send(block)

    async def sink(wire: Wire) -> None:
        await wire.head()
        async for chunk in wire.chunks():
            digest.update(chunk)
        await wire.trailers()
        await wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with component() as client, peer(source) as first, peer(sink) as second:
        proxy = f"""
            made = outgoing_request("{second.authority}", method=Method_Put())
            body = made.body()
            output = body.write()
            sending = outgoing_handler.handle(made, None)
            response = response_of(
                outgoing_handler.handle(outgoing_request("{first.authority}"), None)
            )
            incoming_body = response.consume()
            input = incoming_body.stream()
            try:
                while True:
                    output.blocking_splice(input, 65536)
            except Err as end:
                assert isinstance(end.value, StreamError_Closed), end.value
            drop(output)
            OutgoingBody.finish(body, None)
            result = response_of(sending).status()
        """
        with flat_memory():
            assert await ask(probe, client, proxy) == 204
    expected = hashlib.blake2b()
    for block in pattern(size):
        expected.update(block)
    assert digest.digest() == expected.digest()
