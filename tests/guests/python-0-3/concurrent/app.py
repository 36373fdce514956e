"""Answers requests of WASI 0.3, each path in a way of its own; and the functions of `api`."""

# ruff: noqa: T201 - some of it is to print

import asyncio
import hashlib
from typing import Any

import componentize_py_async_support
import wit_world
from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.exports.api import Point
from wit_world.imports import monotonic_clock
from wit_world.imports.wasi_http_types import (
    ErrorCode_InternalError,
    Fields,
    Request,
    Response,
)


class Handler(exports.Handler):
    async def handle(self, request: Any) -> Any:
        path = request.get_path_with_query() or "/"
        name = path.strip("/").partition("?")[0] or "hello"
        return await globals()[f"answer_{name}"](request)


def respond(
    contents: Any = None, headers: Any = (), status: int = 200, trailers: Any = None
) -> Any:
    writer, reader = (
        wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future(
            lambda: Ok(None)
        )
    )
    componentize_py_async_support.spawn(writer.write(Ok(trailers)))
    response, sent = Response.new(Fields.from_list(list(headers)), contents, reader)
    response.set_status_code(status)
    return response, sent


def consume(request: Any) -> Any:
    _, reader = wit_world.result_unit_wasi_http_types_error_code_future(lambda: Ok(None))
    return Request.consume_body(request, reader)


async def write(writer: Any, *pieces: bytes) -> Any:
    with writer:
        for piece in pieces:
            await writer.write_all(piece)


async def answer_hello(request: Any) -> Any:
    writer, reader = wit_world.byte_stream()
    componentize_py_async_support.spawn(write(writer, b"Hello, 0.3!\n"))
    return respond(reader, [("content-type", b"text/plain")])[0]


async def answer_empty(request: Any) -> Any:
    return respond(status=204)[0]


async def answer_sleep(request: Any) -> Any:
    await monotonic_clock.wait_for(50_000_000)
    return await answer_hello(request)


async def answer_gather(request: Any) -> Any:
    await asyncio.gather(*(monotonic_clock.wait_for(50_000_000) for _ in range(20)))
    return await answer_hello(request)


async def echo(stream: Any, writer: Any) -> Any:
    with writer:
        while not stream.writer_dropped:
            await writer.write_all(await stream.read(65536))


async def answer_echo(request: Any) -> Any:
    stream, _ = consume(request)
    writer, reader = wit_world.byte_stream()
    componentize_py_async_support.spawn(echo(stream, writer))
    return respond(reader)[0]


async def answer_hash(request: Any) -> Any:
    stream, _ = consume(request)
    digest = hashlib.sha256()
    while not stream.writer_dropped:
        digest.update(await stream.read(65536))
    writer, reader = wit_world.byte_stream()
    componentize_py_async_support.spawn(write(writer, digest.hexdigest().encode()))
    return respond(reader)[0]


async def answer_print(request: Any) -> Any:
    print("a line of 0.3", flush=True)
    return await answer_hello(request)


async def answer_raise(request: Any) -> Any:
    raise Err(ErrorCode_InternalError("on purpose"))


async def later() -> Any:
    await monotonic_clock.wait_for(50_000_000)
    print("after the response", flush=True)


async def answer_later(request: Any) -> Any:
    componentize_py_async_support.spawn(later())
    return await answer_hello(request)


async def answer_pass(request: Any) -> Any:
    stream, trailers = consume(request)
    return Response.new(Fields.from_list([]), stream, trailers)[0]


async def answer_body(request: Any) -> Any:
    stream, _ = consume(request)
    return respond(stream)[0]


async def answer_own(request: Any) -> Any:
    """Takes its own response's body back and sends it in another."""
    response = await answer_hello(request)
    _, reader = wit_world.result_unit_wasi_http_types_error_code_future(lambda: Ok(None))
    stream, trailers = Response.consume_body(response, reader)
    return Response.new(Fields.from_list([]), stream, trailers)[0]


async def answer_trailers(request: Any) -> Any:
    writer, reader = wit_world.byte_stream()
    componentize_py_async_support.spawn(write(writer, b"with trailers\n"))
    return respond(reader, trailers=Fields.from_list([("x-sum", b"1")]))[0]


async def answer_sent(request: Any) -> Any:
    writer, reader = wit_world.byte_stream()
    response, sent = respond(reader)

    async def tell() -> Any:
        await write(writer, b"sent\n")
        print("sent:", await sent.read(), flush=True)

    componentize_py_async_support.spawn(tell())
    return response


async def answer_endless(request: Any) -> Any:
    writer, reader = wit_world.byte_stream()

    async def forever() -> Any:
        with writer:
            while not writer.reader_dropped:
                await writer.write_all(b"x" * 65536)

    componentize_py_async_support.spawn(forever())
    return respond(reader)[0]


async def answer_day(request: Any) -> Any:
    await monotonic_clock.wait_for(86_400_000_000_000)


async def answer_stuck(request: Any) -> Any:
    await asyncio.Event().wait()


class WitWorld(wit_world.WitWorld):
    async def add_later(self, a: Any, b: Any) -> Any:
        await monotonic_clock.wait_for(10_000_000)
        return a + b


def byte_stream(*pieces: bytes) -> Any:
    writer, reader = wit_world.byte_stream()
    componentize_py_async_support.spawn(write(writer, *pieces))
    return reader


async def write_items(writer: Any, items: Any) -> Any:
    with writer:
        await writer.write_all(items)


async def read_all(stream: Any) -> Any:
    """All that a stream carries."""
    items = None
    while not stream.writer_dropped:
        some = await stream.read(65536)
        items = some if items is None else items + some
    return items or b""


class Api(exports.Api):
    def greet(self, name: Any) -> Any:
        return f"Hello, {name}!"

    async def add(self, a: Any, b: Any) -> Any:
        return a + b

    async def sleep(self, milliseconds: Any) -> Any:
        await monotonic_clock.wait_for(milliseconds * 1_000_000)

    async def fail(self, reason: Any) -> Any:
        await asyncio.sleep(0)
        raise Err(reason)

    async def traps(self) -> Any:
        raise RuntimeError("on purpose")

    async def prints(self, line: Any) -> Any:
        print(line, flush=True)

    async def stuck(self) -> Any:
        await asyncio.Event().wait()

    async def digest(self, data: Any) -> Any:
        digest = hashlib.sha256()
        while not data.writer_dropped:
            digest.update(await data.read(65536))
        return digest.hexdigest()

    async def echo(self, data: Any) -> Any:
        writer, reader = wit_world.byte_stream()
        componentize_py_async_support.spawn(echo(data, writer))
        return reader

    async def pass_(self, texts: Any) -> Any:
        return texts

    async def points(self, count: Any) -> Any:
        writer, reader = wit_world.api_point_stream()
        points = [Point(-at, f"point {at}") for at in range(count)]
        componentize_py_async_support.spawn(write_items(writer, points))
        return reader

    async def later(self, value: Any) -> Any:
        writer, reader = wit_world.result_u32_string_future(lambda: Ok(0))

        async def give() -> Any:
            await monotonic_clock.wait_for(10_000_000)
            await writer.write(Ok(value) if value else Err("nothing"))

        componentize_py_async_support.spawn(give())
        return reader

    async def settle(self, value: Any) -> Any:
        return await value.read()

    async def several(self, data: Any) -> Any:
        streams = []
        size = 0
        for each in data:
            read = await read_all(each)
            size += len(read)
            streams.append(byte_stream(read[::-1]))
        writer, reader = wit_world.u64_future(lambda: 0)
        componentize_py_async_support.spawn(writer.write(size))
        return streams, reader

    async def maybe(self, data: Any) -> Any:
        if data is None:
            raise Err("no stream")
        return data

    async def nested(self, count: Any) -> Any:
        writer, reader = wit_world.stream_u8_stream()
        streams = [byte_stream(bytes(range(at))) for at in range(count)]
        componentize_py_async_support.spawn(write_items(writer, streams))
        return reader

    async def endless(self) -> Any:
        writer, reader = wit_world.byte_stream()

        async def forever() -> Any:
            with writer:
                while not writer.reader_dropped:
                    await writer.write_all(bytes(65536))

        componentize_py_async_support.spawn(forever())
        return reader

    async def leaves(self, data: Any) -> Any:
        componentize_py_async_support.spawn(later())
        return 7

    async def many(self, a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
        return f"{a} {b} {c} {d} {[(it.x, it.name) for it in e]}"
