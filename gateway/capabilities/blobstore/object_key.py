"""Names of objects and containers as keys of object stores: any name, whatever is in it, and back.

Most names are keys as they are. What keys may not have is written otherwise: control characters and `%` as `%` and
two digits in hexadecimal, a part between slashes that is `.` or `..` likewise, and one that is empty as `%`.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["container_key", "object_key", "original_name"]

_NOT_PLAIN: Final = re.compile(r"[\x00-\x1f\x7f%]")
_ESCAPE: Final = re.compile("%([0-9A-F]{2})")
_SPECIAL: Final = {"": "%", ".": "%2E", "..": "%2E."}


def object_key(name: str) -> str:
    """The key of an object, within its container."""
    return "/".join(map(_part, name.split("/")))


def container_key(name: str) -> str:
    """The first part of the keys of a container."""
    return _part(name).replace("/", "%2F")


def original_name(key: str) -> str | None:
    """The name that the key of an object was made of; None if it was made of none."""
    name = "/".join(
        "" if part == "%" else _ESCAPE.sub(lambda match: chr(int(match[1], 16)), part)
        for part in key.split("/")
    )
    return name if object_key(name) == key else None


def _part(text: str) -> str:
    special = _SPECIAL.get(text)
    if special is not None:
        return special
    return _NOT_PLAIN.sub(lambda match: f"%{ord(match[0]):02X}", text)
