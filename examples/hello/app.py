"""Hello: a web endpoint in Python, to be compiled to a WebAssembly component.

The gateway calls `IncomingHandler.handle` once for each request, in a fresh instance of the
component: nothing that one request stores in a variable can be seen by the next. `WitWorld` has the
functions that are called with JSON.

`wit_world` and `componentize_py_types` are made from `wit/` while the component is built. To have
them on disk too, for an editor or a type checker:

    componentize-py -d wit -w hello bindings .
"""

from urllib.parse import parse_qs

import wit_world
from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports.streams import StreamError_Closed
from wit_world.imports.types import (
    Fields,
    IncomingRequest,
    Method_Get,
    Method_Post,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)

# The most that `blocking_write_and_flush` accepts in one call.
CHUNK = 4096

TEXT = b"text/plain; charset=utf-8"


class IncomingHandler(exports.IncomingHandler):
    """The export `wasi:http/incoming-handler` of the world in `wit/hello.wit`."""

    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        """Answers one request."""
        target = request.path_with_query() or "/"
        path, _, query = target.partition("?")

        # Whatever stands before it: the path is as it was sent, where the component is mounted included.
        match request.method(), path:
            case Method_Get(), _ if path.endswith("/"):
                name = parse_qs(query).get("name", ["World"])[0]
                text(response_out, 200, f"Hello, {name}!\nYou asked for {target}\n")
            case Method_Post(), _ if path.endswith("/echo"):
                echo(request, response_out)
            case _:
                text(response_out, 404, f"There is nothing at {path}. Try GET / or POST /echo.\n")


class WitWorld(wit_world.WitWorld):
    """The exports that stand in the world itself."""

    def add(self, a: int, b: int) -> int:
        """The sum of two numbers."""
        return a + b


def text(response_out: ResponseOutparam, status: int, message: str) -> None:
    """Sends a short text."""
    body = start(response_out, status, TEXT)
    data = message.encode()
    with body.write() as output:
        for at in range(0, len(data), CHUNK):
            output.blocking_write_and_flush(data[at : at + CHUNK])
    OutgoingBody.finish(body, None)


def echo(request: IncomingRequest, response_out: ResponseOutparam) -> None:
    """Sends the body of the request back, piece by piece as it arrives, however large it is."""
    with request.headers() as headers:
        content_type = next(iter(headers.get("content-type")), b"application/octet-stream")

    body = start(response_out, 200, content_type)
    with request.consume() as incoming, incoming.stream() as source, body.write() as output:
        while True:
            try:
                piece = source.blocking_read(CHUNK)
            except Err as error:
                if isinstance(error.value, StreamError_Closed):
                    break
                raise
            output.blocking_write_and_flush(piece)
    OutgoingBody.finish(body, None)


def start(response_out: ResponseOutparam, status: int, content_type: bytes) -> OutgoingBody:
    """Sends status and headers at once, and returns the body that is to follow."""
    response = OutgoingResponse(Fields.from_list([("content-type", content_type)]))
    response.set_status_code(status)
    body = response.body()
    ResponseOutparam.set(response_out, Ok(response))
    return body
