"""Names of objects and containers as keys of object stores: any name, whatever is in it, and back.

Most names are keys as they are. What keys may not have is written otherwise: control characters and `%` as `%` and
two digits in hexadecimal, a part between slashes that is `.` or `..` likewise, and one that is empty as `%`.

Azure has fewer keys than the others: to its server a backslash is a slash, and a part ends before the dots at its
end. Those are written otherwise there, and only there: elsewhere others may have given objects such keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["AZURE_KEYS", "PLAIN_KEYS", "Keys"]

_ESCAPE: Final = re.compile("%([0-9A-F]{2})")


class Keys:
    """The keys that a store may have.

    Args:
        escaped: the characters that it may not have.
        special: how a part is written which it may not have as a whole.
    """

    def __init__(self, escaped: re.Pattern[str], special: Mapping[str, str]) -> None:
        self._escaped = escaped
        self._special = special

    def of_object(self, name: str) -> str:
        """The key of an object, within its container."""
        return "/".join(map(self._part, name.split("/")))

    def of_container(self, name: str) -> str:
        """The first part of the keys of a container."""
        return self._part(name).replace("/", "%2F")

    def original(self, key: str) -> str | None:
        """The name that the key of an object was made of; None if it was made of none."""
        name = "/".join(
            "" if part == "%" else _ESCAPE.sub(lambda match: chr(int(match[1], 16)), part)
            for part in key.split("/")
        )
        return name if self.of_object(name) == key else None

    def _part(self, text: str) -> str:
        special = self._special.get(text)
        if special is not None:
            return special
        return self._escaped.sub(lambda match: f"%{ord(match[0]):02X}", text)


PLAIN_KEYS: Final = Keys(re.compile(r"[\x00-\x1f\x7f%]"), {"": "%", ".": "%2E", "..": "%2E."})
"""Those of S3 and Google Cloud Storage."""

AZURE_KEYS: Final = Keys(re.compile(r"[\x00-\x1f\x7f%\\]|\.\Z"), {"": "%"})
"""Those of Azure Blob Storage."""
