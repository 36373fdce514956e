"""The target of a request, in the one form that applications know."""

from __future__ import annotations

import re
from typing import Final

from gateway.protocols.limits import MALFORMED, NOT_IMPLEMENTED, Refusal

__all__ = ["origin_form"]

Headers = list[tuple[bytes, bytes]]

_ABSOLUTE_FORM: Final = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


def origin_form(method: bytes, target: bytes, headers: Headers) -> tuple[bytes, Headers]:
    """Take a request target apart that is not in the usual form: RFC 9112, section 3.2.

    Returns:
        A target that starts with "/" or is "*", and the headers; where the target had an authority, it
        stands in the place of the received `Host` (section 3.2.2).

    Raises:
        Refusal: the target is none that an origin server answers.
    """
    if method == b"CONNECT":
        raise Refusal(NOT_IMPLEMENTED)
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return target, headers
    absolute = _ABSOLUTE_FORM.fullmatch(target)
    if absolute is None or not absolute[1] or b"@" in absolute[1]:
        raise Refusal(MALFORMED)
    target = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
    others = [(name, value) for name, value in headers if name.lower() != b"host"]
    return target, [(b"host", absolute[1]), *others]
