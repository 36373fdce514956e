"""What the content of a request says that it is (RFC 9110, section 8.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Final

__all__ = ["JSON", "WASM", "is_of", "is_utf_8"]

JSON: Final = b"application/json"
WASM: Final = b"application/wasm"

_UTF_8: Final = frozenset((b"charset=utf-8", b'charset="utf-8'))
"""What its charset may be; a quotation mark at the end of the parameter does not count."""


def is_utf_8(lines: Mapping[bytes, Sequence[bytes]], media_types: Set[bytes]) -> bool:
    """Whether a request says, once, that its content is text of one of some media types, in UTF-8 and not encoded.

    Other parameters than the charset mean nothing.

    Args:
        lines: the values of its fields, by their names in lower case.
        media_types: in lower case.
    """
    given = lines.get(b"content-type", ())
    if len(given) != 1 or b"content-encoding" in lines:
        return False
    if given[0] in media_types:
        return True
    media_type, *parameters = (part.strip(b" \t").lower() for part in given[0].split(b";"))
    return media_type in media_types and all(
        parameter.strip(b'"') in _UTF_8
        for parameter in parameters
        if parameter.startswith(b"charset=")
    )


def is_of(lines: Mapping[bytes, Sequence[bytes]], media_type: bytes) -> bool:
    """Whether a request says, once, that its content is of a media type without parameters, and not encoded.

    Args:
        lines: the values of its fields, by their names in lower case.
        media_type: in lower case.
    """
    given = lines.get(b"content-type", ())
    return len(given) == 1 and given[0].lower() == media_type and b"content-encoding" not in lines
