"""What the tables of a configuration share: their base, and the rules for single values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

__all__ = [
    "GIB",
    "KIB",
    "MIB",
    "SOME_TEXT",
    "AnyPath",
    "Between",
    "LogFormat",
    "LogLevel",
    "OrText",
    "Table",
    "Text",
    "anchored",
    "table_of",
    "text",
]

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

LogFormat = Literal["auto", "json", "console"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]


class Table(BaseModel):
    """A table of the configuration: unknown keys are refused, and nothing can be changed afterwards."""

    # Values of `environment` are secrets: pydantic must not quote them in its errors.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def table_of(annotation: Any) -> type[Table] | None:
    """The table that a field of this type is, or has some of; None where it is none."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    return next(filter(None, map(table_of, get_args(annotation))), None)


@dataclass(
    frozen=True, slots=True, eq=False
)  # by identity: a schema has no hash, and types of fields have
class OrText:
    """Lets a table be written as the text of one of its keys, where nothing else is said; for a field's type.

    Attributes:
        key: which.
        schema: the JSON Schema of that text.
    """

    key: str
    schema: dict[str, Any]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return handler.generate_schema(Annotated[source, BeforeValidator(self._table)])

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [self.schema, handler(schema)]}

    def _table(self, value: object) -> object:
        return {self.key: value} if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Between:
    """Refuses numbers out of a range; for the type of a field.

    Attributes:
        low: the least.
        high: the most.
        write: writes a number as people write it in this place.
    """

    low: float
    high: float
    write: Callable[[Any], str]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        described = handler(schema)
        for form in described.get("anyOf", (described,)):
            if form.get("type") in {"integer", "number"}:
                form |= {"minimum": self.low, "maximum": self.high}
        return described

    def _check(self, value: float) -> float:
        if not self.low <= value <= self.high:
            low, high, found = map(self.write, (self.low, self.high, value))
            raise ValueError(f"must be between {low} and {high}, not {found}")
        return value


def text(value: str) -> str:
    """Refuse what no environment or argument of a component can hold.

    Raises:
        ValueError: a NUL, or half of a surrogate pair.
    """
    if "\0" in value:
        raise ValueError("must not contain a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode text") from None
    return value


def anchored(path: Path, info: ValidationInfo) -> Path:
    """The absolute form of a path, which counts from the configuration file if there is one.

    Raises:
        ValueError: it starts at a home directory, and there is none.
    """
    try:
        path = path.expanduser()
    except RuntimeError:
        raise ValueError(f'"{path}" starts at a home directory, and there is none') from None
    base = info.context["base"] if info.context else Path()
    return Path(base, path).absolute()


_NO_NUL: Final = WithJsonSchema({"type": "string", "pattern": r"^[^\x00]*$"})
SOME_TEXT: Final = WithJsonSchema({"type": "string", "pattern": r"^[^\x00]+$"})
"""How a schema describes a `Text` or `AnyPath` that must not be empty."""

Text = Annotated[str, AfterValidator(text), _NO_NUL]

AnyPath = Annotated[Path, AfterValidator(anchored), _NO_NUL]
"""An absolute path; relative ones count from the configuration file, if there is one."""
