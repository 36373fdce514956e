"""What clients are told whose requests no application sees."""

from __future__ import annotations

from typing import Final

from gateway.http.problem import HEADERS_TOO_LARGE, REQUEST_TIMEOUT, Problem
from gateway.observe.connection_end import ConnectionEnd

__all__ = [
    "BODY_LATE",
    "HEADERS_TOO_LARGE",
    "HEAD_LATE",
    "MALFORMED",
    "NOT_IMPLEMENTED",
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


_ENDS: Final = {
    MALFORMED: ConnectionEnd.MALFORMED_REQUEST,
    HEADERS_TOO_LARGE: ConnectionEnd.HEADERS_TOO_LARGE,
    NOT_IMPLEMENTED: ConnectionEnd.NOT_IMPLEMENTED,
    HEAD_LATE: ConnectionEnd.HEADER_TIMEOUT,
    BODY_LATE: ConnectionEnd.BODY_TIMEOUT,
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
