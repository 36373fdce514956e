"""What a component may use that stands behind a capability: a backend by its URL, and how much of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from gateway.config.backend_url import BackendURL
from gateway.config.delivery import DeliveryLimits
from gateway.config.values import GIB, KIB, MIB, SOME_TEXT, Between, OrText, Table, Text, anchored
from gateway.units import ByteSize, Duration, format_size

__all__ = [
    "BackendGrant",
    "BlobstoreGrant",
    "KeyValueGrant",
    "OrURL",
    "SecretGrant",
    "URLOfBackend",
]

MAX_VALUE: Final = 2 * MIB
"""Bytes: what an argument of a host function may have (`gateway.host.values.MAX_ARGUMENT`)."""

_FILES: Final = frozenset(("sqlite", "file"))
"""Schemes of URLs that name a file or folder."""


def _url(value: object, info: ValidationInfo) -> BackendURL:
    if isinstance(value, BackendURL):
        return value
    if not isinstance(value, str):
        raise ValueError("must be text in quotes")  # noqa: TRY004 - as pydantic takes it
    url = BackendURL.parse(value)
    if url.scheme in _FILES and (path := url.rest.removeprefix("//")):
        return BackendURL(url.scheme, str(anchored(Path(path), info)))
    return url


def _named(name: str) -> str:
    if not name:
        raise ValueError("must not be empty")
    return name


_Name = Annotated[Text, AfterValidator(_named), SOME_TEXT]


_URL_SCHEMA: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": r"^[a-z][a-z0-9+.-]*:[^\x00]*$",
    "examples": ["memory:"],
}


def OrURL() -> OrText:  # noqa: N802 - a part of a type, as a class would be
    """Lets the table of a backend be written as its URL alone, where nothing else is said; for a field's type."""
    return OrText("url", _URL_SCHEMA)


def _either(schema: dict[str, Any]) -> None:
    """Have a schema ask for the URL or its variable."""
    schema["required"].remove("url")
    schema["properties"]["url_env"] = schema["properties"]["url_env"]["anyOf"][0]  # not null
    schema["oneOf"] = [{"required": ["url"]}, {"required": ["url_env"]}]


URLOfBackend = Annotated[BackendURL, BeforeValidator(_url), WithJsonSchema(_URL_SCHEMA)]
"""Where a backend is; relative files count from the configuration file."""


class BackendGrant(Table):
    """A backend that a component may use.

    Attributes:
        url: where it is, with what is needed to be let in; relative files count from the configuration file. Never
            printed.
        url_env: the variable of the gateway's environment that has the URL, in the place of `url`.
        timeout: seconds that one operation may take.
    """

    model_config = ConfigDict(json_schema_extra=_either)

    url: URLOfBackend = Field(repr=False)
    url_env: _Name | None = None
    timeout: Duration = 5.0

    @model_validator(mode="before")
    @classmethod
    def _from_environment(cls, table: object, info: ValidationInfo) -> object:
        """Look the URL up here, where a change of it is a change of the configuration."""
        if not isinstance(table, dict):
            return table
        if ("url" in table) is ("url_env" in table):
            raise ValueError("must have either url or url_env")
        if "url" in table:
            return table
        if not isinstance(name := table["url_env"], str):
            raise ValueError("has url_env, which must be text in quotes")  # noqa: TRY004 - for pydantic
        if (url := os.environ.get(name)) is None:
            raise ValueError(
                f"has url_env = {json.dumps(name)}, which is not set in the environment"
            )
        try:
            return {**table, "url": _url(url, info)}
        except ValueError as error:
            raise ValueError(f"has url_env = {json.dumps(name)}, whose value {error}") from None


class SecretGrant(BackendGrant):
    """A secret that a component may have.

    Attributes:
        name: what it is called where it is kept; what the component calls it by default.
    """

    name: _Name | None = None


class KeyValueGrant(BackendGrant, DeliveryLimits):
    """A key-value store that a component may open.

    Attributes:
        read_only: whether the component may change nothing there.
        prefix: what its keys begin with in there, where it shares the store with others; it is not told.
        max_value: bytes of a value.
        max_keys: how many keys it may have there, for stores that count them; None for no bound.
        max_bytes: bytes of its keys and values together, for stores that count them; None for no bound.
        watch: whether the component is told of what others change there, by its `wasi:keyvalue/watcher`; what
            `DeliveryLimits` has bounds that.
    """

    read_only: StrictBool = False
    prefix: Text = ""
    max_value: Annotated[ByteSize, Between(1, MAX_VALUE, format_size)] = 1 * MIB
    max_keys: Annotated[StrictInt, Between(1, 1_000_000_000, str)] | None = None
    max_bytes: Annotated[ByteSize, Between(KIB, 1024 * GIB, format_size)] | None = None
    watch: StrictBool = False

    @model_validator(mode="after")
    def _check_watch(self) -> Self:
        told = sorted(self.model_fields_set & DeliveryLimits.model_fields.keys())
        if told and not self.watch:
            raise ValueError(f"must have watch = true for {told[0]}, which bounds what is watched")
        return self


class BlobstoreGrant(BackendGrant):
    """A container that a component may use, or all of a store.

    Attributes:
        timeout: seconds that one operation may take: to open an object, read or write a block of it, copy it.
        read_only: whether the component may change nothing there.
        prefix: what the names of containers begin with in there, where it shares the store with others; it is not
            told.
        max_object: bytes of an object; None for no bound.
        max_objects: how many objects it may have there, for stores that count them; None for no bound.
        max_bytes: bytes of its objects and their names together, for stores that count them; None for no bound.
    """

    timeout: Duration = 10.0
    read_only: StrictBool = False
    prefix: Text = ""
    max_object: Annotated[ByteSize, Between(1, 1024 * GIB, format_size)] | None = None
    max_objects: Annotated[StrictInt, Between(1, 1_000_000_000, str)] | None = None
    max_bytes: Annotated[ByteSize, Between(KIB, 1024 * 1024 * GIB, format_size)] | None = None
