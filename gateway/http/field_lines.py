"""The header fields of a request, by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["FieldLines"]

_OVERHEAD: Final = 4
"""Bytes of a header line besides name and value: a colon, a space, CR and LF."""


class FieldLines(dict[bytes, list[bytes]]):
    """The values of each field of a request, in order. So headers are gone through once, whoever looks for some.

    Args:
        headers: the `headers` of an ASGI scope: lower-case names, and values.

    Attributes:
        size: bytes of all of their lines.
    """

    __slots__ = ("size",)

    def __init__(self, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.size = 0
        for name, value in headers:
            self.size += len(name) + len(value) + _OVERHEAD
            if name in self:
                self[name].append(value)
            else:
                self[name] = [value]
