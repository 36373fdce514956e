"""Failures as clients see them: problem details, RFC 9457.

A problem says what happened and what the client may do, in words that are fixed here. Nothing of a
component or of the gateway (message, path, limit, name) gets into one; the log has that, under the
request id that the problem carries.

The `type` of a problem is its identity, for programs to compare; titles and details may be reworded.
It is a URN, because nothing is promised to stand at a URL for as long as clients compare it, and
never `about:blank`, because one status has several problems. The namespace `component-gateway` is
not registered with IANA.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from starlette.types import Send

from gateway.http.request_id import HEADER as REQUEST_ID_HEADER

__all__ = [
    "CLOSED",
    "COMPONENT_FAILED",
    "CONTENT_TOO_LARGE",
    "CPU_TIME",
    "DEADLINE",
    "GATEWAY_FAILED",
    "HEADERS_TOO_LARGE",
    "MEDIA_TYPE",
    "METHOD_NOT_ALLOWED",
    "NO_AUTHORITY",
    "NO_FUNCTION",
    "NO_INVOCATION",
    "NO_RESPONSE",
    "NO_ROUTE",
    "OTHER_SITE",
    "OVERLOADED",
    "REQUEST_TIMEOUT",
    "STOPPING",
    "UNSUPPORTED_MEDIA_TYPE",
    "Problem",
    "component_error",
    "send_problem",
]

MEDIA_TYPE: Final = b"application/problem+json"

_TYPE_PREFIX: Final = "urn:component-gateway:problem:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One kind of failure.

    Attributes:
        kind: the last part of `type`: lower-case words joined by hyphens.
        status: the HTTP status code.
        title: a summary of the kind, the same in every occurrence.
        detail: what happened, and what the client may do about it.
        retry_after: seconds after which a new attempt may succeed, where that can be said.
    """

    kind: str
    status: int
    title: str
    detail: str
    retry_after: int | None = None

    @property
    def type(self) -> str:
        """The URI that identifies this kind of problem."""
        return _TYPE_PREFIX + self.kind

    def body(self, request_id: str) -> bytes:
        """Give the problem details object, with the extension member `request_id`."""
        return json.dumps(
            {
                "type": self.type,
                "title": self.title,
                "status": self.status,
                "detail": self.detail,
                "request_id": request_id,
            }
        ).encode()

    def headers(self, request_id: str, content_length: int) -> list[tuple[bytes, bytes]]:
        """Give the fields of a response of `content_length` bytes, as ASGI has them."""
        return [
            (b"content-type", MEDIA_TYPE),
            (b"content-length", b"%d" % content_length),
            (REQUEST_ID_HEADER, request_id.encode("ascii")),
            *self.fields(),
        ]

    def fields(self) -> list[tuple[bytes, bytes]]:
        """Give those of them that are of no content: what may be done with the response."""
        # Else 404, 414 and others may be cached by heuristics: RFC 9110 section 15.1.
        fields = [(b"cache-control", b"no-store")]
        if self.retry_after is not None:
            fields.append((b"retry-after", b"%d" % self.retry_after))
        return fields


async def send_problem(
    send: Send,
    problem: Problem,
    request_id: str,
    *headers: tuple[bytes, bytes],
    head_only: bool,
) -> int:
    """Answer a request with a problem.

    Args:
        send: the `send` of the ASGI application. Nothing has been sent on it yet.
        problem: what happened.
        request_id: the id of the request, as `request_id.request_id` gives it.
        headers: more fields of the response.
        head_only: whether the method is HEAD. Its response has the fields of the one to GET, the
            length included, and no content (RFC 9110 section 9.3.2).

    Returns:
        How many bytes of content were sent.
    """
    body = problem.body(request_id)
    fields = [*problem.headers(request_id, len(body)), *headers]
    await send({"type": "http.response.start", "status": problem.status, "headers": fields})
    content = b"" if head_only else body
    await send({"type": "http.response.body", "body": content})
    return len(content)


NO_AUTHORITY: Final = Problem(
    kind="no-authority",
    status=400,
    title="The request has no valid host",
    detail="Send one Host header field with the host, and the port if it is not the default.",
)

NO_INVOCATION: Final = Problem(
    kind="no-invocation",
    status=400,
    title="The request has no valid invocation",
    detail="Send the stream of one, as wRPC has it, with arguments of the types that the function has.",
)

OTHER_SITE: Final = Problem(
    kind="other-site",
    status=403,
    title="Pages of other sites may not ask for this",
    detail="A browser sent this for a page of another site. Serve the page from the same host.",
)

NO_FUNCTION: Final = Problem(
    kind="no-function",
    status=404,
    title="There is no such function",
    detail="The component exports no function of this name that is served here.",
)

NO_ROUTE: Final = Problem(
    kind="no-route",
    status=404,
    title="Nothing is served here",
    detail="No component is routed at this host and path.",
)

METHOD_NOT_ALLOWED: Final = Problem(
    kind="method-not-allowed",
    status=405,
    title="The method is not allowed here",
    detail="Use one of the methods in the Allow header field.",
)

REQUEST_TIMEOUT: Final = Problem(
    kind="request-timeout",
    status=408,
    title="The request took too long to arrive",
    detail="The body was not complete in the time it is given. Send it without pauses.",
)

CONTENT_TOO_LARGE: Final = Problem(
    kind="content-too-large",
    status=413,
    title="The request body is too large",
    detail="The body is larger than this component accepts. Send a smaller one.",
)

UNSUPPORTED_MEDIA_TYPE: Final = Problem(
    kind="unsupported-media-type",
    status=415,
    title="The request body is of another type than is read here",
    detail="Send JSON in UTF-8, uncompressed, with the header field Content-Type: application/json.",
)

HEADERS_TOO_LARGE: Final = Problem(
    kind="headers-too-large",
    status=431,
    title="The request headers are too large",
    detail="The header fields are larger than this server accepts. Send fewer or shorter ones.",
)

COMPONENT_FAILED: Final = Problem(
    kind="component-failed",
    status=500,
    title="The component failed",
    detail="The component stopped before it had answered the request.",
)

NO_RESPONSE: Final = Problem(
    kind="no-response",
    status=500,
    title="The component gave no response",
    detail="The component finished without setting a response.",
)

GATEWAY_FAILED: Final = Problem(
    kind="gateway-failed",
    status=500,
    title="The gateway failed",
    detail="The gateway could not process the request. This is not the component's fault.",
)

CLOSED: Final = Problem(
    kind="closed",
    status=503,
    title="The gateway is closed",
    detail="Its application has been shut down. It serves again once its lifespan begins again.",
)

OVERLOADED: Final = Problem(
    kind="overloaded",
    status=503,
    title="Too many requests are in progress",
    detail="The component is processing as many requests as it may. Try again later.",
    # Arbitrary, the shortest there is: places are freed as soon as requests end.
    retry_after=1,
)

STOPPING: Final = Problem(
    kind="stopping",
    status=503,
    title="The server is stopping",
    detail="The request was stopped because the server is going out of service. It may have had effects already.",
    retry_after=1,
)

DEADLINE: Final = Problem(
    kind="deadline",
    status=504,
    title="The component took too long",
    detail="The component was stopped because it had not answered in the time it is given.",
)

CPU_TIME: Final = Problem(
    kind="cpu-time",
    status=504,
    title="The component computed for too long",
    detail="The component was stopped because it had not answered in the time it is given to compute.",
)

_COMPONENT_ERROR_DETAILS: Final = {
    400: "It refused the request as invalid.",
    403: "It denied the request.",
    411: "It requires the length of the request body in advance.",
    413: "It refused the request body as too large.",
    414: "It refused the request URI as too long.",
    431: "It refused the request headers as too large.",
    500: "It gave no reason that could be told.",
    502: "It got no usable response from another server.",
    503: "Another server that it needs is not available now.",
    504: "It waited too long for another server.",
}

_COMPONENT_ERRORS: Final = {
    status: Problem(
        kind="component-error",
        status=status,
        title="The component answered with an error",
        detail=detail,
    )
    for status, detail in _COMPONENT_ERROR_DETAILS.items()
}


def component_error(status: int) -> Problem:
    """Give the problem of a component that set an `error-code` instead of a response.

    It tells no more of the error code than the status does: which server a component could not
    reach, and how, is not for clients.

    Args:
        status: the `status_code` of a case in `gateway.bindings.http.error_code.CASES`.
    """
    return _COMPONENT_ERRORS[status]
