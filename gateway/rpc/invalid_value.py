"""What a client is told about JSON that is no value of the type that a function takes.

It goes to clients in error responses, so it is bounded and made of printable ASCII, whatever the client sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

__all__ = ["InvalidValue", "keys_of", "names_of"]

# The two are arbitrary. Threat: an object of many long keys, none of which is known, must not be sent back.
_MOST_NAMES: Final = 10
_LONGEST_NAME: Final = 40
"""Characters, the quotation marks included."""


class InvalidValue(ValueError):
    """JSON is not what was expected somewhere in it.

    Args:
        expected: what was expected there, in words for whoever writes the client.
        *path: where, if not at the value itself: a key or the index of an item.

    Attributes:
        expected: as above.
    """

    def __init__(self, expected: str, *path: str | int) -> None:
        super().__init__(expected)
        self.expected = expected
        # Innermost first: every level that the exception passes through adds its own at the end.
        self._path: list[str | int] = [*path]

    @property
    def pointer(self) -> str:
        """The JSON Pointer to what is wrong, from the value that was decoded: "" for itself (RFC 6901)."""
        return "".join(f"/{_escaped(segment)}" for segment in reversed(self._path))

    def enter(self, segment: str | int) -> None:
        """Tell that the value stands under a key or index of another, from which the pointer now begins."""
        self._path.append(segment)

    def allow_null(self) -> None:
        """Tell that `null` was possible where the value stands, if it is the value itself that is wrong."""
        if not self._path:
            self.expected = f"null or {self.expected}"

    def __str__(self) -> str:
        return f"{self.pointer or 'the value'}: expected {self.expected}"


def _escaped(segment: str | int) -> str:
    """One reference token (RFC 6901, section 3)."""
    return str(segment).replace("~", "~0").replace("/", "~1")


def names_of(names: Iterable[str]) -> str:
    """Write names as JSON does, the first of them if they are many."""
    names = list(names)
    shown = [_quoted(name) for name in names[:_MOST_NAMES]]
    if len(names) > _MOST_NAMES:
        shown.append(f"and {len(names) - _MOST_NAMES} more")
    return ", ".join(shown)


def _quoted(name: str) -> str:
    quoted = json.dumps(name[:_LONGEST_NAME])
    if len(quoted) > _LONGEST_NAME:
        return quoted[: _LONGEST_NAME - 4] + '..."'
    return quoted


def keys_of(names: Iterable[str], value: object) -> str:
    """Say which keys an object must have, and where this one differs if it is one.

    Args:
        names: the keys, in the order of declaration.
        value: what is there instead of such an object, as `json.loads` gives it.
    """
    names = list(names)
    match len(names):
        case 0:
            expected = "an object without keys"
        case 1:
            expected = f"an object with exactly one key, {names_of(names)}"
        case _:
            expected = f"an object with exactly the keys {names_of(names)}"
    if not isinstance(value, dict):
        return expected
    missing = [name for name in names if name not in value]
    known = set(names)
    unknown = [key for key in value if key not in known]
    differences = [
        f"{names_of(keys)} {'is' if len(keys) == 1 else 'are'} {what}"
        for keys, what in ((missing, "missing"), (unknown, "unknown"))
        if keys
    ]
    return f"{expected}: {', '.join(differences)}"
