"""base64url without padding (RFC 4648, section 5; RFC 7515, section 2), of which no bits have two forms."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_canonical"]

# The unused bits of the last character are zero (RFC 4648, section 3.5).
_CANONICAL: Final = re.compile(
    rb"(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?"
)


def is_canonical(data: bytes) -> bool:
    """Whether this is the one way to write some bytes.

    Python's decoder, and so PyJWT's, takes more: padding, characters of other alphabets, which it leaves out, and
    bits that mean nothing. So one signature would be good for many tokens, and who compares tokens, to revoke one
    or to notice that one comes again, would be deceived.
    """
    return _CANONICAL.fullmatch(data) is not None
