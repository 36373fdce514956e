"""The fields of a message that belong to the connection because its `Connection` says so.

What a connection's peer wrote for this connection alone must not travel on (RFC 9110 section 7.6.1). What it must
not name there, for it is meant for whoever reads the message in the end, stays all the same: a client could
otherwise take away what a proxy between it and the gateway has added, such as `X-Forwarded-For`, or the
`Content-Type` that a guest is about to rely on.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Final

__all__ = ["connection_options"]

_OWS: Final = b" \t"

_NONE: Final[frozenset[bytes]] = frozenset()

_USUAL: Final = frozenset((b"close", b"keep-alive"))
"""What most requests have, and what names no field that a guest would see."""

_END_TO_END: Final = frozenset(
    (
        b"authorization",
        b"cache-control",
        b"cookie",
        b"date",
        b"forwarded",
        b"set-cookie",
        b"traceparent",
        b"tracestate",
        b"via",
        b"x-real-ip",
        b"x-request-id",
    )
)
"""Fields for all recipients: who asks and on whose behalf, whether it may be stored, what it is part of."""

_END_TO_END_PREFIXES: Final = (b"content-", b"x-forwarded-")
"""What the content is, and what a proxy tells of the request as it received it."""


def connection_options(headers: Iterable[tuple[bytes, bytes]]) -> Set[bytes]:
    """The names that `Connection` gives, in lower case, without those that are none of its business.

    Args:
        headers: lower-case names, and values, of a message that was received.
    """
    lines = [value for name, value in headers if name == b"connection"]
    if not lines or (len(lines) == 1 and lines[0].lower() in _USUAL):
        return _NONE
    options = {option.strip(_OWS) for option in b",".join(lines).lower().split(b",")} - _END_TO_END
    return {option for option in options if not option.startswith(_END_TO_END_PREFIXES)}
