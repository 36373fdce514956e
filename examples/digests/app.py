"""Digests: asks several servers at once and answers with the SHA-256 of what each has.

This is WASI 0.3: what waits is awaited, and Python's own `asyncio` has several wait at once. The gateway calls
`Handler.handle` once for each request, in a fresh instance of the component.

`wit_world`, `componentize_py_types` and `componentize_py_async_support` are made from `wit/` while the component
is built. To have them on disk too, for an editor or a type checker:

    componentize-py -d wit -w digests bindings .
"""

import asyncio
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import componentize_py_async_support
import wit_world
from componentize_py_async_support.futures import FutureReader
from componentize_py_async_support.streams import ByteStreamWriter
from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports import client
from wit_world.imports.wasi_http_types import (
    Fields,
    Request,
    Response,
    Scheme_Http,
    Scheme_Https,
)

TEXT = [("content-type", b"text/plain; charset=utf-8")]


class Handler(exports.Handler):
    """The export `wasi:http/handler` of the world in `wit/digests.wit`."""

    async def handle(self, request: Request) -> Response:
        """Answers one request."""
        _, _, query = (request.get_path_with_query() or "/").partition("?")
        urls = parse_qs(query).get("url", [])
        if not urls:
            return respond(400, "Ask for /?url=http://...&url=...\n")
        lines = await asyncio.gather(*map(digest, urls))
        return respond(200, "".join(lines))


async def digest(url: str) -> str:
    """A line for one URL: the digest of what is there, or why there is none."""
    target = urlsplit(url)
    request, _ = Request.new(Fields(), None, no_trailers(), None)
    try:
        request.set_scheme(Scheme_Https() if target.scheme == "https" else Scheme_Http())
        request.set_authority(target.netloc)
        request.set_path_with_query(target._replace(scheme="", netloc="", fragment="").geturl())
        response = await client.send(request)
    except Err as error:
        return f"{url}: {type(error.value).__name__.removeprefix('ErrorCode_')}\n"
    body, trailers = Response.consume_body(response, nothing_to_say())
    found = hashlib.sha256()
    with body:
        while not body.writer_dropped:
            found.update(await body.read(65536))
    end = await trailers.read()
    return f"{url}: {'broken off' if isinstance(end, Err) else found.hexdigest()}\n"


def respond(status: int, text: str) -> Response:
    """A response with a short text, which is written while the response is on its way."""
    writer, reader = wit_world.byte_stream()
    response, _ = Response.new(Fields.from_list(TEXT), reader, no_trailers())
    response.set_status_code(status)
    componentize_py_async_support.spawn(write(writer, text.encode()))
    return response


async def write(writer: ByteStreamWriter, data: bytes) -> None:
    """Writes all of a body."""
    with writer:
        await writer.write_all(data)


def no_trailers() -> FutureReader[Any]:
    """The trailers of a message that has none: what `wasi:http` has for them is a future."""
    return wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future(
        lambda: Ok(None)
    )[1]


def nothing_to_say() -> FutureReader[Any]:
    """What whoever has sent a message is told of it: that all is well."""
    return wit_world.result_unit_wasi_http_types_error_code_future(lambda: Ok(None))[1]
