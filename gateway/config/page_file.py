"""A page of the operator's own, in the place of a problem document."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from gateway.config.values import KIB, AnyPath
from gateway.host.files import open_regular
from gateway.units import format_size

__all__ = ["PageFile"]

MAX_SIZE: Final = 256 * KIB
"""Bytes of a page. It is held in memory, and sent to whoever asks for what is not there."""

_MEDIA_TYPES: Final = {
    ".htm": b"text/html",
    ".html": b"text/html",
    ".json": b"application/json",
    ".txt": b"text/plain",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """A page, and what was in its file when the configuration was read.

    Attributes:
        path: the file.
        media_type: what it has, by its name; text is UTF-8.
        content: the page.
    """

    path: Path
    media_type: bytes
    content: bytes = field(repr=False)

    @property
    def content_type(self) -> bytes:
        """Its `Content-Type`."""
        charset = b"; charset=utf-8" if self.media_type.startswith(b"text/") else b""
        return self.media_type + charset

    @classmethod
    def read(cls, path: Path) -> PageFile:
        """Read a page.

        Raises:
            ValueError: it cannot be read, is too large, or its name does not tell what it has.
        """
        media_type = _MEDIA_TYPES.get(path.suffix.lower())
        if media_type is None:
            raise ValueError(f"must have a name that ends in .html, .txt or .json: {path}")
        try:
            with open_regular(path) as file:
                content = file.read(MAX_SIZE + 1)
        except OSError as error:
            raise ValueError(f"{error.strerror}: {path}") from None
        if len(content) > MAX_SIZE:
            raise ValueError(f"has more than {format_size(MAX_SIZE)}: {path}")
        return cls(path, media_type, content)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls.read, handler(AnyPath))
