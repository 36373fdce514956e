"""A client that shows HTTP/1.1 as it is on the wire, and that sends what no library would."""

import fcntl
import json
import socket
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final, Self

from tests.harness import PATIENCE, GatewayProcess, RawConnection

HOST: Final = "gateway.test"
"""The host that requests are sent to unless a test says otherwise."""


class BrokenBody(Exception):
    """The connection ended in the midst of a response; the argument is the content until then."""


@dataclass(frozen=True)
class Head:
    """The head of a response.

    Attributes:
        version: `1.1`, from the status line.
        status: The status code.
        headers: Names in lower case, and values, in their order.
    """

    version: str
    status: int
    headers: list[tuple[str, str]]

    @classmethod
    def parse(cls, head: bytes) -> Self:
        status_line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        version, status, _phrase = status_line.split(" ", 2)
        fields = [line.partition(":") for line in lines]
        headers = [(name.lower(), value.strip()) for name, _, value in fields]
        return cls(version.removeprefix("HTTP/"), int(status), headers)

    def all(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for key, value in self.headers if key == name]

    def __getitem__(self, name: str) -> str:
        """The value of a header that is there once."""
        (value,) = self.all(name)
        return value

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))


@dataclass(frozen=True)
class Response(Head):
    """A whole response.

    Attributes:
        body: Its content.
    """

    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


WINDOW: Final = 4 << 10
"""Bytes of a small receive buffer, so that a server soon waits for its client."""


class Client(RawConnection):
    """One connection to a gateway; see `RawConnection`."""

    def __init__(self, port: int, step: int = 1 << 16, window: int | None = None) -> None:
        super().__init__(port, step, window)

    def request(
        self,
        target: str = "/",
        *headers: str,
        method: str = "GET",
        host: str | None = HOST,
        version: str = "1.1",
        body: bytes | None = None,
    ) -> None:
        """Sends a request, with `content-length` if there is a body, else its head alone."""
        lines = [f"{method} {target} HTTP/{version}"]
        lines += [] if host is None else [f"Host: {host}"]
        lines += headers
        lines += [] if body is None else [f"Content-Length: {len(body)}"]
        self.send("\r\n".join((*lines, "", "")).encode("latin-1") + (body or b""))

    def send_chunk(self, data: bytes) -> None:
        """Sends one chunk of a chunked body; the last is empty."""
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def until_taken(self) -> None:
        """Waits until the server has read all that was sent (Linux)."""
        deadline = monotonic() + PATIENCE
        while self._unsent() + self._unread_there():
            assert monotonic() < deadline

    def _unsent(self) -> int:
        return int.from_bytes(fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    def _unread_there(self) -> int:
        """How many bytes the kernel has received for the server."""
        here, there = self._socket.getsockname()[1], self._socket.getpeername()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, _, queues, *_ = line.split()
            if (local[-4:], remote[-4:]) == (f"{there:04X}", f"{here:04X}"):
                return int(queues.partition(":")[2], 16)
        return 0

    def read_head(self) -> Head:
        """Reads the head of a response."""
        return Head.parse(self.read_until(b"\r\n\r\n"))

    def read_chunk(self) -> bytes:
        """Reads one chunk of a chunked body; the last is empty, and has no trailers."""
        size = int(self.read_until(b"\r\n"), 16)
        data = self.read_exactly(size)
        assert self.read_exactly(2) == b"\r\n"
        return data

    def read_chunks(self) -> Iterator[bytes]:
        """Reads chunks up to the last."""
        while chunk := self.read_chunk():
            yield chunk

    def check_echo(self, *pieces: bytes) -> None:
        """Sends the chunks of a body, and sees each come back before the next is sent."""
        assert self.read_head().status == 200
        for piece in pieces:
            self.send_chunk(piece)
            assert self.read_chunk() == piece
        self.send_chunk(b"")
        assert self.read_chunk() == b""

    def read_content(self, head: Head, method: str = "GET") -> bytes:
        """Reads the content that follows a head (RFC 9112 section 6.3).

        Raises:
            BrokenBody: It is not whole.
        """
        if method == "HEAD" or head.status in {204, 304}:
            return b""
        content = b""
        try:
            if "transfer-encoding" in head:
                for chunk in self.read_chunks():
                    content += chunk
            elif "content-length" in head:
                content = self.read_exactly(int(head["content-length"]))
            else:
                content = self.read_to_end()
        except EOFError as end:
            raise BrokenBody(content + end.args[0]) from None
        return content

    def response(self, method: str = "GET") -> Response:
        """Reads a response, and no byte more."""
        head = self.read_head()
        return Response(
            head.version, head.status, head.headers, body=self.read_content(head, method)
        )

    def get(self, target: str, *headers: str, host: str | None = HOST) -> Response:
        """Sends a GET and reads the response."""
        self.request(target, *headers, host=host)
        return self.response()

    def post(self, target: str, body: bytes, *headers: str, host: str = HOST) -> Response:
        """Sends a POST and reads the response."""
        self.request(target, *headers, method="POST", body=body, host=host)
        return self.response()

    @property
    def socket(self) -> socket.socket:
        """What is beneath, for what a stream of bytes cannot tell."""
        return self._socket


def get(gateway: GatewayProcess, target: str, *headers: str, host: str = HOST) -> Response:
    """Sends a GET on a connection of its own, and reads the response."""
    with Client(gateway.port) as client:
        return client.get(target, *headers, host=host)


def post(
    gateway: GatewayProcess, target: str, body: bytes, *headers: str, host: str = HOST
) -> Response:
    """Sends a POST on a connection of its own, and reads the response."""
    with Client(gateway.port) as client:
        return client.post(target, body, *headers, host=host)
