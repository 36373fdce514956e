"""The target of a request, in the one form that applications know."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gateway.server.http1.refusal import MALFORMED, NOT_IMPLEMENTED, Refusal

__all__ = ["Target", "absolute_form"]

Headers = list[tuple[bytes, bytes]]

_ABSOLUTE_FORM: Final = re.compile(rb"(https?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


class Target(NamedTuple):
    """What a request asks for, whose target had all of it.

    Attributes:
        path: path and query; it starts with "/".
        headers: the headers; the target's authority stands in the place of the received `Host` (RFC 9112, section
            3.2.2).
        scheme: the scheme that the target had, in lower case.
    """

    path: bytes
    headers: Headers
    scheme: str


def absolute_form(method: bytes, target: bytes, version: str, headers: Headers) -> Target | None:
    """Take a request target apart that is not in the usual form: RFC 9112, section 3.2.

    Args:
        method: of the request.
        target: as received.
        version: of HTTP, such as "1.1".
        headers: their names in lower case.

    Returns:
        What it asks for; None of one that begins with "/", or is "*".

    Raises:
        Refusal: the target is none that an origin server answers; or `Host` is missing or repeated beside it,
            which nobody sees once the target's authority stands in its place.
    """
    if method == b"CONNECT":
        raise Refusal(NOT_IMPLEMENTED)
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return None
    absolute = _ABSOLUTE_FORM.fullmatch(target)
    if absolute is None or not absolute[2] or b"@" in absolute[2]:
        raise Refusal(MALFORMED)
    scheme, authority, path = absolute.groups()
    others = [(name, value) for name, value in headers if name != b"host"]
    hosts = len(headers) - len(others)
    if hosts > 1 or (hosts == 0 and version != "1.0"):
        raise Refusal(MALFORMED)
    return Target(
        path if path.startswith(b"/") else b"/" + path,
        [(b"host", authority), *others],
        scheme.decode().lower(),
    )
