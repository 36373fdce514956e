"""URLs of backends: where a store is, with what is needed to be let in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

__all__ = ["BackendURL"]

_URL: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*):(?P<rest>.*)", re.DOTALL)
_QUERY: Final = re.compile(r"[?#].*", re.DOTALL)
_CREDENTIALS: Final = re.compile(r"^//.*@", re.DOTALL)
"""Up to the last `@`: a password that was not escaped may have slashes, and each of several servers has some."""


@dataclass(frozen=True, slots=True)
class BackendURL:
    """The URL of a backend.

    Attributes:
        scheme: what kind of backend it is, in lower case.
        rest: all that follows the colon. It may have a password in it.
    """

    scheme: str
    rest: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one.

        Raises:
            ValueError: it has no scheme. The message does not quote it.
        """
        match = _URL.fullmatch(text)
        if match is None or "\0" in text:
            raise ValueError('must be a URL, such as "memory:", "file:PATH" or "env:VARIABLE"')
        return cls(match["scheme"], match["rest"])

    def __str__(self) -> str:
        """All of it, credentials too."""
        return f"{self.scheme}:{self.rest}"

    def __repr__(self) -> str:
        """What may be shown: without credentials, and without a query or fragment, which may have some too."""
        head = _QUERY.sub("", self.rest)
        shown = _CREDENTIALS.sub("//", head)
        if shown == head and head.startswith("//") and "@" in self.rest:
            shown = "//..."  # of a password that has a "?" nobody knows where it ends
        return f"{self.scheme}:{shown}"
