"""Uploads: a web service that keeps what it is sent, in a store of objects that its operator has chosen.

    PUT or POST /NAME   stores the body of the request
    GET /NAME           sends it back
    DELETE /NAME        removes it
    GET /               lists the names

The gateway calls `IncomingHandler.handle` once for each request, in a fresh instance of the component: what should
be there for the next request is in the store. Bodies go from one stream to another, piece by piece, however large
they are.

`wit_world` and `componentize_py_types` are made from `wit/` while the component is built. To have
them on disk too, for an editor or a type checker:

    componentize-py -d wit -w uploads bindings .
"""

from urllib.parse import unquote

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports import blobstore
from wit_world.imports.container import Container
from wit_world.imports.streams import (
    InputStream,
    OutputStream,
    StreamError_Closed,
    StreamError_LastOperationFailed,
)
from wit_world.imports.wasi_blobstore_types import IncomingValue, OutgoingValue
from wit_world.imports.wasi_http_types import (
    Fields,
    IncomingRequest,
    Method_Delete,
    Method_Get,
    Method_Post,
    Method_Put,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)

# What the component calls its container. The operator's configuration says where that is.
CONTAINER = "uploads"

# How much is moved from one stream to another in one call, at most.
PIECE = 1 << 20

# How many names are listed in one call.
NAMES = 100

# The most that `blocking_write_and_flush` accepts in one call.
CHUNK = 4096

LAST = (1 << 64) - 1


class IncomingHandler(exports.IncomingHandler):
    """The export `wasi:http/incoming-handler` of the world in `wit/uploads.wit`."""

    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        """Answers one request."""
        path, _, _ = (request.path_with_query() or "/").partition("?")
        name = unquote(path.rpartition("/")[2])
        try:
            with opened() as container:
                answer(container, name, request, response_out)
        except Err as error:
            # An error of the store is its text.
            if not isinstance(error.value, str):
                raise
            missing = error.value == "object does not exist"
            text(response_out, 404 if missing else 502, f"{error.value}\n")


def opened() -> Container:
    """The container, which the first request makes."""
    if not blobstore.container_exists(CONTAINER):
        try:
            return blobstore.create_container(CONTAINER)
        except Err:
            pass  # another request was first
    return blobstore.get_container(CONTAINER)


def answer(
    container: Container, name: str, request: IncomingRequest, response_out: ResponseOutparam
) -> None:
    """Answers one request, in the container."""
    match request.method():
        case Method_Get() if not name:
            listing(container, response_out)
        case Method_Get():
            download(container, name, response_out)
        case Method_Put() | Method_Post() if name:
            upload(container, name, request)
            text(response_out, 201, "stored\n")
        case Method_Delete() if name:
            container.delete_object(name)
            text(response_out, 200, "deleted\n")
        case _:
            text(response_out, 405, "PUT /NAME, GET /NAME, DELETE /NAME or GET /\n")


def upload(container: Container, name: str, request: IncomingRequest) -> None:
    """Stores the body of a request as it arrives. It is seen when all of it is there, and never in part."""
    value = OutgoingValue.new_outgoing_value()
    container.write_data(name, value)
    with (
        request.consume() as incoming,
        incoming.stream() as source,
        value.outgoing_value_write_body() as target,
    ):
        try:
            move(source, target)
        except Err as error:
            # The client broke off, or the store will not have it: then it is not finished, and so not kept.
            raise Err(reason(error)) from error
    OutgoingValue.finish(value)


def download(container: Container, name: str, response_out: ResponseOutparam) -> None:
    """Sends an object as it is read."""
    value = container.get_data(name, 0, LAST)
    size = str(value.size()).encode()
    with IncomingValue.incoming_value_consume_async(value) as source:
        body = start(response_out, 200, b"application/octet-stream", ("content-length", size))
        with body.write() as target:
            move(source, target)
    OutgoingBody.finish(body, None)


def listing(container: Container, response_out: ResponseOutparam) -> None:
    """Sends the names, one on a line."""
    with container.list_objects() as objects:
        body = start(response_out, 200, b"text/plain; charset=utf-8")
        with body.write() as output:
            end = False
            while not end:
                names, end = objects.read_stream_object_names(NAMES)
                write(output, "".join(f"{name}\n" for name in names).encode())
    OutgoingBody.finish(body, None)


def move(source: InputStream, target: OutputStream) -> None:
    """Moves all of a stream to another. None of it comes here: the host has both."""
    try:
        while True:
            target.blocking_splice(source, PIECE)
    except Err as error:
        # Which of the two has ended is seen by who finishes the target: it is not whole if that is the one.
        if not isinstance(error.value, StreamError_Closed):
            raise


def reason(error: Err) -> str:
    """Why a stream has failed, in words."""
    if isinstance(error.value, StreamError_LastOperationFailed):
        return error.value.value.to_debug_string()
    return "the stream was closed"


def text(response_out: ResponseOutparam, status: int, message: str) -> None:
    """Sends a short text."""
    body = start(response_out, status, b"text/plain; charset=utf-8")
    with body.write() as output:
        write(output, message.encode())
    OutgoingBody.finish(body, None)


def write(output: OutputStream, data: bytes) -> None:
    """Writes bytes, however many."""
    for at in range(0, len(data), CHUNK):
        output.blocking_write_and_flush(data[at : at + CHUNK])


def start(
    response_out: ResponseOutparam, status: int, content_type: bytes, *fields: tuple[str, bytes]
) -> OutgoingBody:
    """Sends status and headers at once, and returns the body that is to follow."""
    response = OutgoingResponse(Fields.from_list([("content-type", content_type), *fields]))
    response.set_status_code(status)
    body = response.body()
    ResponseOutparam.set(response_out, Ok(response))
    return body
