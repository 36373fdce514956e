"""What a client of the server sends and sees."""

from __future__ import annotations

import json
import select
from typing import Any

from tests.harness import RawConnection


class Response:
    """A response as it came."""

    def __init__(self, head: bytes) -> None:
        status_line, *lines = head.decode().rstrip("\r\n").split("\r\n")
        self.status = int(status_line.split(" ")[1])
        self.headers = dict(line.lower().split(": ", 1) for line in lines)
        self.body = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection(RawConnection):
    """A connection whose responses are read one by one."""

    def response(self) -> Response:
        """Read a response of known length, and no byte more."""
        begun = self.head()
        begun.body = self.read_exactly(int(begun.headers["content-length"]))
        return begun

    def framed_response(self) -> Response:
        """Read a response of known length or in chunks, and no byte more."""
        begun = self.head()
        if "content-length" in begun.headers:
            begun.body = self.read_exactly(int(begun.headers["content-length"]))
            return begun
        while size := int(self.read_until(b"\r\n"), 16):
            begun.body += self.read_exactly(size)
            self.read_exactly(2)
        self.read_exactly(2)
        return begun

    def final_response(self) -> Response:
        """Read a response of known length, after any that are interim."""
        while (begun := self.head()).status < 200:
            pass
        begun.body = self.read_exactly(int(begun.headers["content-length"]))
        return begun

    def head(self) -> Response:
        """Read the head of a response, and no byte more."""
        return Response(self.read_until(b"\r\n\r\n"))

    def refusal(self, status: int, kind: str) -> None:
        """Read a problem document after which the connection ends, and nothing else."""
        response = self.response()
        assert response.status == status
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["connection"] == "close"
        assert "date" in response.headers
        assert response.json["status"] == status
        assert response.json["type"].endswith(f":{kind}")
        assert response.json["request_id"] == response.headers["x-request-id"] != ""
        assert self.read_to_end() == b""

    def is_answered(self, seconds: float) -> bool:
        """Whether something can be read before the time is up."""
        return bool(select.select([self._socket], [], [], seconds)[0])


def head(path: str = "/", *lines: str, method: str = "GET", version: str = "1.1") -> bytes:
    """The head of a request."""
    first = f"{method} {path} HTTP/{version}"
    return "\r\n".join((first, "Host: example.com", *lines, "", "")).encode()
