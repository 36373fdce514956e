"""A file of values that a component finds by `wasi:config`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from gateway.config.toml_file import read_toml
from gateway.config.values import MIB, AnyPath
from gateway.host.files import open_regular

__all__ = ["ValuesFile"]

MAX_SIZE: Final = 1 * MIB
"""Bytes of a file of values. Arbitrary: they are held in memory."""


@dataclass(frozen=True, slots=True)
class ValuesFile:
    """A file of values, and what was in it when the configuration was read.

    Attributes:
        path: the file.
        values: by key. Never printed.
    """

    path: Path
    values: Mapping[str, str] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> ValuesFile:
        """Read a file.

        Raises:
            ValueError: it cannot be read, or is no flat table of text.
        """
        try:
            values = read_toml(path, MAX_SIZE, open_regular)
        except ValueError as error:
            raise ValueError(f"{error}: {path}") from None
        for key, value in values.items():
            if not isinstance(value, str):
                reason = f'has "{key}", which must be text in quotes: {path}'
                raise ValueError(reason)  # noqa: TRY004 - as pydantic takes it
        return cls(path, values)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls.read, handler(AnyPath))
