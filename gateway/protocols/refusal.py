"""What clients are told whose requests no application sees."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from gateway.routes.problem import HEADERS_TOO_LARGE, REQUEST_TIMEOUT, Problem

__all__ = [
    "BODY_LATE",
    "HEADERS_TOO_LARGE",
    "HEAD_LATE",
    "MALFORMED",
    "NOT_IMPLEMENTED",
    "End",
    "Refusal",
]

MALFORMED: Final = Problem(
    kind="malformed-request",
    status=400,
    title="The request is not valid HTTP",
    detail="The server could not read it as a message of HTTP/1.1.",
)

HEAD_LATE: Final = Problem(
    kind="request-timeout",
    status=408,
    title="The request took too long to arrive",
    detail="Its headers were not complete in time. Send it again.",
)

BODY_LATE: Final = REQUEST_TIMEOUT

NOT_IMPLEMENTED: Final = Problem(
    kind="not-implemented",
    status=501,
    title="The server cannot do this",
    detail="It supports neither CONNECT nor transfer codings other than chunked.",
)


class End(StrEnum):
    """Why the server ended a connection that its client had not finished with."""

    MALFORMED_REQUEST = "malformed_request"
    HEADERS_TOO_LARGE = "headers_too_large"
    NOT_IMPLEMENTED = "not_implemented"
    HEADER_TIMEOUT = "header_timeout"
    BODY_TIMEOUT = "body_timeout"
    WRITE_TIMEOUT = "write_timeout"
    UNREAD_BODY = "unread_body"
    """The response was complete, and too much of the request's body was not."""
    MAX_CONNECTIONS = "max_connections"
    """It was idle, and its place was needed."""


_ENDS: Final = {
    MALFORMED: End.MALFORMED_REQUEST,
    HEADERS_TOO_LARGE: End.HEADERS_TOO_LARGE,
    NOT_IMPLEMENTED: End.NOT_IMPLEMENTED,
    HEAD_LATE: End.HEADER_TIMEOUT,
    BODY_LATE: End.BODY_TIMEOUT,
}


class Refusal(Exception):
    """What was received is no request that an application could answer.

    Attributes:
        problem: what the client is told.
        end: what is counted.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.end = _ENDS[problem]
