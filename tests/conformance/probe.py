"""Questions to the host, asked from inside: Python source that runs in the guest `python/probe`.

    assert probe('''
        fields = Fields.from_list([("X-Up", b"1")])
        result = [name for name, _ in fields.entries()]
    ''') == ["x-up"]

A source finds the names that the guest provides (`python/probe` lists them) and those of `PRELUDE`. It travels in
a header, so that method, target and body of the request are for the test to choose.
"""

import http.client
import json
import textwrap
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, TypedDict, Unpack

from tests.harness import PATIENCE, GatewayProcess, LogRecord, exchange, probe_headers, probe_result

PRELUDE: Final = """
import json
import weakref

from app import to_json

for module in (streams, types):
    globals().update({name: value for name, value in vars(module).items() if name[0] != "_"})


def attempt(call, *args):
    '''The `result` that a function returns, also where that is an error.'''
    try:
        return Ok(call(*args))
    except Err as error:
        return error


def drop(resource):
    '''Drops a handle, which the bindings else do when the object is out of reach.'''
    resource.__exit__(None, None, None)


def forge(resource):
    '''A second object with the same handle, as the bindings never make one.'''
    forged = object.__new__(type(resource))
    forged.handle = resource.handle
    forged.finalizer = weakref.finalize(forged, int)
    return forged


def fields(*pairs):
    '''The fields with these names and values.'''
    return Fields.from_list([(name, value.encode()) for name, value in pairs])


def outgoing(resource, *headers):
    '''An outgoing-request or -response with these headers, its body, and the stream of that.'''
    message = resource(fields(*headers))
    body = message.body()
    return message, body, body.write()


def respond(*headers, status=200):
    '''Answers; gives the body, and the stream of that.'''
    global response_set
    response, body, stream = outgoing(OutgoingResponse, *headers)
    response.set_status_code(status)
    ResponseOutparam.set(response_out, Ok(response))
    response_set = True
    return body, stream


def finish(body, stream, data=b""):
    '''Writes the rest of a body and ends it.'''
    for at in range(0, len(data), 4096):
        stream.blocking_write_and_flush(data[at : at + 4096])
    drop(stream)
    OutgoingBody.finish(body, None)


def incoming():
    '''The stream of the request's body.'''
    global incoming_body
    incoming_body = request.consume()
    return incoming_body.stream()


def say(line):
    '''Writes a line to the log.'''
    stdout.get_stdout().blocking_write_and_flush(line.encode() + bytes([10]))


def tell(*results):
    '''Writes results to the log, where there is a response already that cannot have them.'''
    say(json.dumps(to_json(results)))
"""
"""What every source may use: all of `wasi:http/types` and `wasi:io/streams`, and what is defined here."""

Headers = Iterable[tuple[str, str]]


class Request(TypedDict, total=False):
    """What a request is besides its source.

    Attributes:
        method: POST, if it is not given.
        target: the path of the probe's route, if it is not given; goes on the wire as it is.
        headers: more headers.
        body: the whole body.
        streaming: whether a body follows in chunks, from the test.
    """

    method: str
    target: str
    headers: Headers
    body: bytes
    streaming: bool


@dataclass(frozen=True)
class Response:
    """A response as it came.

    Attributes:
        status: its status code.
        headers: pairs of lower-case name and value, in order.
        body: its content, without the framing.
    """

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> list[str]:
        """The values of a header."""
        return [value for key, value in self.headers if key == name]

    @property
    def framing(self) -> dict[str, str]:
        """The headers that tell how long the content is."""
        names = ("content-length", "transfer-encoding")
        return {name: value for name, value in self.headers if name in names}

    @property
    def problem(self) -> str | None:
        """The kind of problem that it tells of, if it does."""
        kind: str | None = None
        if self.header("content-type") == ["application/problem+json"]:
            kind = json.loads(self.body)["type"].rpartition(":")[2]
        return kind


class Conversation:
    """A request under way, in which client and guest take turns. It hangs up when it is left."""

    def __init__(
        self, gateway: GatewayProcess, method: str, target: str, headers: Headers, body: bytes
    ) -> None:
        self._gateway = gateway
        self._id = uuid.uuid4().hex
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE)
        self._connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in (("x-request-id", self._id), *headers):
            self._connection.putheader(name, value)
        self._connection.endheaders(body)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()

    def send(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self._connection.send(data)

    def send_chunk(self, data: bytes) -> None:
        """Sends a chunk of the body; an empty one ends it."""
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def head(self) -> http.client.HTTPResponse:
        """Waits for the head of the response; the content can then be read as it comes."""
        return self._connection.getresponse()

    def response(self) -> Response:
        """Waits for the whole response.

        Raises:
            http.client.IncompleteRead: it had no proper end.
            ConnectionError: it had none at all, or not even a beginning.
        """
        head = self.head()
        headers = [(name.lower(), value) for name, value in head.getheaders()]
        return Response(head.status, headers, head.read())

    def hang_up(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def log(self, event: str, **fields: Any) -> LogRecord:
        """Waits for an event of this request in the gateway's log."""
        return self._gateway.wait_for_log(request_id=self._id, event=event, **fields)

    def said(self, line: str) -> None:
        """Waits until the guest says this."""
        self.log("guest output", stream="stdout", line=line)

    def logs(self) -> list[LogRecord]:
        """Waits until the request is over; all that the gateway has logged of it."""
        self.log("request")
        return [record for record in self._gateway.logs if record.get("request_id") == self._id]

    def lines(self) -> list[str]:
        """Waits until the request is over; all that the guest has said."""
        return [record["line"] for record in self.logs() if record.get("stream") == "stdout"]

    def told(self) -> Any:
        """Waits until the request is over; what the guest has told last."""
        lines = self.lines()
        assert lines, self.logs()
        return json.loads(lines[-1])


class Probe:
    """The guest `python/probe` behind one route of a running gateway."""

    def __init__(self, gateway: GatewayProcess, path: str) -> None:
        self._gateway = gateway
        self._path = path

    def __call__(self, source: str, **request: Unpack[Request]) -> Any:
        """What a source leaves in `result`.

        Raises:
            GuestError: it let an exception out.
        """
        response = self.response(source, **request)
        assert response.status == 200, response
        return probe_result(response.body)

    def response(self, source: str, **request: Unpack[Request]) -> Response:
        """The response to a request that carries a source."""
        with self.open(source, **request) as conversation:
            return conversation.response()

    def traps(self, source: str, **request: Unpack[Request]) -> str:
        """Why a source was stopped before it answered: the reason that is logged for the trap."""
        with self.open(source, **request) as conversation:
            response = conversation.response()
            assert (response.status, response.problem) == (500, "component-failed"), response
            reason: str = conversation.log("component trapped")["reason"]
            return reason

    def open(self, source: str, **request: Unpack[Request]) -> Conversation:
        """Begins a request that carries a source, which may be indented."""
        body = request.get("body", b"")
        headers = [("host", "probe.test"), *_carrier(source), *request.get("headers", ())]
        if request.get("streaming", False):
            headers.append(("transfer-encoding", "chunked"))
        elif body:
            headers.append(("content-length", str(len(body))))
        method, target = request.get("method", "POST"), request.get("target", self._path)
        return Conversation(self._gateway, method, target, headers, body)

    def wire(self, source: str, request_line: str, *headers: str) -> tuple[bytes, bytes]:
        """The exact bytes of a response: those of the head, and those after it.

        Args:
            source: it may be indented.
            request_line: the first line of the request, such as `GET / HTTP/1.1`.
            headers: header lines besides those that carry the source and close the connection.
        """
        carrier = [f"{name}: {value}" for name, value in _carrier(source)]
        lines = [request_line, *headers, *carrier, "connection: close", "", ""]
        answer = exchange(self._gateway.port, "\r\n".join(lines).encode(), step=65536)
        head, _, rest = answer.partition(b"\r\n\r\n")
        return head, rest


def _carrier(source: str) -> Headers:
    return probe_headers(PRELUDE + textwrap.dedent(source)).items()
