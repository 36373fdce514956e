"""What the content of a request says that it is (RFC 9110, section 8.3)."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Final

__all__ = ["JSON", "is_utf_8"]

JSON: Final = b"application/json"

_UTF_8: Final = frozenset((b"charset=utf-8", b'charset="utf-8'))
"""What its charset may be; a quotation mark at the end of the parameter does not count."""


def is_utf_8(headers: Iterable[tuple[bytes, bytes]], media_types: Set[bytes]) -> bool:
    """Whether a request says, once, that its content is text of one of some media types, in UTF-8 and not encoded.

    Other parameters than the charset mean nothing.

    Args:
        headers: its fields, their names in lower case.
        media_types: in lower case.
    """
    given: list[bytes] = []
    for name, value in headers:
        if name == b"content-encoding":
            return False
        if name == b"content-type":
            given.append(value)
    if len(given) != 1:
        return False
    media_type, *parameters = (part.strip(b" \t").lower() for part in given[0].split(b";"))
    return media_type in media_types and all(
        parameter.strip(b'"') in _UTF_8
        for parameter in parameters
        if parameter.startswith(b"charset=")
    )
