"""A request as it goes out: decided in full before anything is sent.

Nothing here does I/O. A guest's mistakes are found here, and told by `outgoing-handler.handle` itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import h11

from gateway.bindings.http.body import OutgoingContent
from gateway.bindings.http.fields import Fields, HeaderError
from gateway.bindings.http.outbound.connector import Origin
from gateway.bindings.http.outbound.failure import OutboundFailure
from gateway.host.values import Variant
from gateway.http.syntax import is_authority
from gateway.http.trace_context import TRACEPARENT, TraceContext

__all__ = ["OutboundRequest", "Timeouts", "outbound_request", "sendable_trailers"]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# RFC 9110 section 9.2.2.
_IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))

# RFC 9110 section 9.3: content has no meaning in these, and servers may close the connection of one that has some;
# a body that does not announce its length is none.
_WITHOUT_CONTENT: Final = frozenset(("GET", "HEAD", "CONNECT"))

# RFC 9110 section 8.6: where the method gives content a meaning, its absence SHOULD be told.
_WITH_CONTENT: Final = frozenset(("POST", "PUT", "PATCH"))

# RFC 9110 section 6.5.1: fields that routing, framing, authentication and the like need before the content.
_NOT_IN_TRAILERS: Final = frozenset(
    (
        "authorization",
        "cache-control",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "expect",
        "max-forwards",
        "range",
        "set-cookie",
        "te",
        "trailer",
    )
)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The `request-options`, in seconds. The defaults are Wasmtime's.

    Attributes:
        connect: until there is a connection, the name's lookup and TLS included.
        first_byte: from then until the head of the response is there.
        between_bytes: between two parts of the response's content.
    """

    connect: float = 600.0
    first_byte: float = 600.0
    between_bytes: float = 600.0


@dataclass(frozen=True, slots=True)
class OutboundRequest:
    """A request to send.

    Attributes:
        origin: where to.
        head: its head, framing included.
        content: its body; None if the message has none.
        timeouts: how long to wait.
    """

    origin: Origin
    head: h11.Request
    content: OutgoingContent | None
    timeouts: Timeouts = field(default_factory=Timeouts)

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again where nobody knows if it arrived (RFC 9110 section 9.2.2)."""
        return self.content is None and self.head.method.decode() in _IDEMPOTENT

    def belonging_to(self, trace: TraceContext) -> OutboundRequest:
        """The same request as part of a trace, unless the guest has said itself what it is part of."""
        present = {name for name, _ in self.head.headers}
        if TRACEPARENT in present:
            return self
        added = [(name, value) for name, value in trace.fields() if name not in present]
        head = h11.Request(
            method=self.head.method,
            target=self.head.target,
            headers=[*self.head.headers.raw_items(), *added],
        )
        return replace(self, head=head)


def outbound_request(
    *,
    method: str,
    scheme: str,
    authority: str | None,
    path_with_query: str | None,
    headers: Fields,
    content: OutgoingContent | None,
    timeouts: Timeouts,
) -> OutboundRequest:
    """Make a request of the parts of an `outgoing-request`, which its setters have found well-formed.

    Args:
        method: the method.
        scheme: the scheme.
        authority: where it goes, and its `Host`.
        path_with_query: its target, which is sent as it is (RFC 9112 section 3.2).
        headers: its headers.
        content: its body. It is forsaken where the message cannot have one.
        timeouts: how long to wait.

    Raises:
        OutboundFailure: it cannot be sent.
    """
    if scheme not in _DEFAULT_PORTS:
        raise OutboundFailure(Variant("HTTP-protocol-error"), f"no client speaks {scheme}")
    if authority is None or not is_authority(authority):
        raise OutboundFailure(Variant("HTTP-request-URI-invalid"), "no authority")
    if path_with_query is None:
        raise OutboundFailure(Variant("HTTP-protocol-error"), "no path")
    origin = _origin(scheme, authority)
    framing = _framing(method, headers, content)
    if content is not None and framing is None:
        content.forsake()
        content = None
    # RFC 9110 section 10.1.4: a sender of TE names it in Connection, or it may be forwarded.
    options = [(b"connection", b"te")] if headers.has("te") else []
    head = h11.Request(
        method=method,
        target=_target(method, origin, path_with_query),
        headers=[(b"host", authority.encode()), *headers.asgi(), *options, *(framing or ())],
    )
    return OutboundRequest(origin, head, content, timeouts)


def _origin(scheme: str, authority: str) -> Origin:
    host, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):
        return Origin(scheme, authority, _DEFAULT_PORTS[scheme])
    if int(port) == 0:
        raise OutboundFailure(Variant("HTTP-request-URI-invalid"), "nobody listens on port 0")
    return Origin(scheme, host, int(port))


def _target(method: str, origin: Origin, path_with_query: str) -> bytes:
    if method == "CONNECT":
        return f"{origin.host}:{origin.port}".encode()
    if path_with_query == "*" and method != "OPTIONS":
        raise OutboundFailure(Variant("HTTP-request-URI-invalid"), f"{method} of *")
    # "If the target URI's path component is empty, the client MUST send '/' as the path".
    slash = "/" if path_with_query[:1] in {"", "?"} else ""
    return (slash + path_with_query).encode()


def _framing(
    method: str, headers: Fields, content: OutgoingContent | None
) -> list[tuple[bytes, bytes]] | None:
    """The headers to add; None if the message has no content (RFC 9112 section 6.3)."""
    try:
        announced = headers.content_length()
    except HeaderError:
        raise OutboundFailure(
            Variant("HTTP-protocol-error"), "its headers contradict each other about content-length"
        ) from None
    if content is None:
        if announced:
            raise OutboundFailure(
                Variant("HTTP-request-body-size", 0),
                f"its headers announce {announced} bytes of content, and it has none",
            )
        absent = announced is None and method in _WITH_CONTENT
        return [(b"content-length", b"0")] if absent else []
    if announced is not None:
        return []
    return None if method in _WITHOUT_CONTENT else [(b"transfer-encoding", b"chunked")]


def sendable_trailers(head: h11.Request, trailers: Fields | None) -> list[tuple[bytes, bytes]]:
    """The trailers that may go out: after chunks, and announced in `Trailer` (RFC 9110 section 6.6.2)."""
    if trailers is None or not any(name == b"transfer-encoding" for name, _ in head.headers):
        return []
    announced = {
        name.strip().lower()
        for key, value in head.headers
        if key == b"trailer"
        for name in value.decode("latin-1").split(",")
    } - _NOT_IN_TRAILERS
    return [
        (name.encode(), value.strip(b" \t"))
        for name, value in trailers.entries()
        if name in announced
    ]
