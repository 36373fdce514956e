"""The id that joins a request, its log lines and its problem document."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["HEADER", "request_id"]

HEADER: Final = b"x-request-id"
"""The field that carries the id, in requests and in responses."""

# The id is written to logs and sent back, so it must not be able to forge a line or a field, nor to
# fill them: printable characters that need no quoting, as UUIDs, ULIDs, trace ids and base64 have.
# The length is arbitrary: over twice that of a `traceparent` of W3C, the longest in common use.
_WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9._:/+=@\-]{1,128}")


def request_id(lines: Mapping[bytes, Sequence[bytes]]) -> str:
    """Give the id of a request: the one it came with, if that is well-formed, or a new one.

    A well-formed id has 1 to 128 letters, digits and characters of `._:/+=@-`, and is the only one.
    A new id is 128 random bits in hexadecimal. They come from the operating system each time (about
    half a microsecond), so there is no state that a forked worker could share with its parent.

    Args:
        lines: the values of its fields, by their names in lower case.
    """
    incoming = lines.get(HEADER, ())
    if len(incoming) == 1 and _WELL_FORMED.fullmatch(incoming[0]) is not None:
        return incoming[0].decode("ascii")
    return os.urandom(16).hex()
