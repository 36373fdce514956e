"""One request to the admin API, and its response."""

from __future__ import annotations

from typing import Final

from starlette.types import Receive, Scope, Send

from gateway.http import problem
from gateway.http.problem import Problem, send_problem
from gateway.http.request_id import HEADER as REQUEST_ID
from gateway.http.request_id import request_id
from gateway.routes.request import ContentTooLarge, receive_content

__all__ = ["MAX_CONTENT", "Exchange", "Refused"]

MAX_CONTENT: Final = 64 << 10
"""Bytes of a request's content. Threat: memory for whoever has a token. A description of a component with some
hundred variables has ten KiB."""

_JSON: Final = b"application/json"
_PARAMETERS: Final = frozenset({b"charset=utf-8", b'charset="utf-8"'})


class Refused(Exception):
    """A request is answered with a problem.

    Attributes:
        problem: which.
        headers: more fields of the response.
    """

    def __init__(self, problem: Problem, *headers: tuple[bytes, bytes]) -> None:
        self.problem = problem
        self.headers = headers
        super().__init__(problem.title)


class Exchange:
    """One request and its response.

    Args:
        scope: the request's ASGI scope.
        receive: its messages.
        send: where the response goes.

    Attributes:
        scope: the request's ASGI scope.
        id: the id of the request.
        method: its method.
        status: the status code that was sent; 0 before.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.id = request_id(scope["headers"])
        self.method: str = scope["method"]
        self.status = 0
        self._receive = receive
        self._send = send

    async def json_content(self) -> bytes:
        """Receive the whole content, which must say that it is JSON.

        Raises:
            Refused: it says something else, or is too large or too slow.
            ClientDisconnected: it never came.
        """
        if not self._is_json():
            raise Refused(problem.UNSUPPORTED_MEDIA_TYPE)
        try:
            return await receive_content(self.scope["headers"], self._receive, MAX_CONTENT)
        except ContentTooLarge:
            raise Refused(_TOO_LARGE) from None
        except TimeoutError:
            raise Refused(problem.REQUEST_TIMEOUT) from None

    def _is_json(self) -> bool:
        headers = self.scope["headers"]
        given = [value for name, value in headers if name == b"content-type"]
        if len(given) != 1 or any(name == b"content-encoding" for name, _ in headers):
            return False
        media_type, *parameters = (part.strip(b" \t").lower() for part in given[0].split(b";"))
        return media_type == _JSON and _PARAMETERS.issuperset(parameters)

    async def respond(self, status: int, content: bytes, *headers: tuple[bytes, bytes]) -> None:
        """Answer with JSON.

        Args:
            status: the status code; 204 for no content.
            content: what a response to GET has; one to HEAD has its length alone (RFC 9110, section 9.3.2).
            headers: more fields.
        """
        self.status = status
        fields = [
            (b"cache-control", b"no-store"),
            (REQUEST_ID, self.id.encode("ascii")),
            *headers,
        ]
        if status != 204:  # has no fields that tell of content (RFC 9110, section 8.6)
            fields += [(b"content-type", _JSON), (b"content-length", b"%d" % len(content))]
        await self._send({"type": "http.response.start", "status": status, "headers": fields})
        body = b"" if self.method == "HEAD" else content
        await self._send({"type": "http.response.body", "body": body})

    async def refuse(self, what: Problem, *headers: tuple[bytes, bytes]) -> None:
        """Answer with a problem document, and more fields."""
        self.status = what.status
        await send_problem(self._send, what, self.id, *headers, head_only=self.method == "HEAD")


_TOO_LARGE: Final = Problem(
    kind="content-too-large",
    status=413,
    title="The request body is too large",
    detail="The description of a component may have 64 KiB.",
)
