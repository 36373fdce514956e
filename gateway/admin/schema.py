"""JSON Schemas of what the admin API takes and gives, made from the models.

pydantic writes them, but it cannot look into the functions that check a value: what they ask for is said here,
key by key, in the terms of JSON Schema 2020-12. Some of it no schema can say: that a file exists, that two
entries differ, that "3.5B" is no whole number of bytes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from pydantic import TypeAdapter

from gateway.config.component import (
    MAX_CONCURRENCY,
    MAX_LOG_BYTES,
    MAX_LOG_LINES,
    MAX_MEMORY,
    MIN_MEMORY,
    ComponentConfig,
    MountConfig,
)
from gateway.config.route import Route
from gateway.units import MAX_DURATION, MAX_SIZE

__all__ = ["COMPONENT_NAME", "Schema", "component_schemas", "described", "schemas_of"]

Schema: TypeAlias = dict[str, Any]

REFERENCE: Final = "#/components/schemas/{model}"

COMPONENT_NAME: Final[Schema] = {
    "type": "string",
    "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
}

_NUMBER: Final = r"[0-9]+(\.[0-9]+)?"
_DURATION: Final[Schema] = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_DURATION},
        {
            "type": "string",
            "pattern": rf"^\s*({_NUMBER}|(?=[0-9])({_NUMBER}d\s*)?({_NUMBER}h\s*)?({_NUMBER}m(?!s)\s*)?"
            rf"({_NUMBER}s\s*)?({_NUMBER}ms)?)\s*$",
        },
    ],
    "examples": ["30s", "1m30s", "500ms", 0.5],
}


def _size(least: int, most: int) -> list[Schema]:
    return [
        {"type": "integer", "minimum": least, "maximum": most},
        {"type": "string", "pattern": rf"^\s*{_NUMBER}\s*([Bb]|[KkMmGgTt][Ii]?[Bb])?\s*$"},
    ]


# One segment of a path, not "." or ".." however it is spelled (RFC 3986, section 3.3). The gateway escapes what is
# beyond ASCII.
_SEGMENT: Final = (
    r"/(?!(\.|%2[Ee]){1,2}(/|$))([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2}|[^\x00-\x7F])+"
)
_LABEL: Final = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NO_NUL: Final[Schema] = {"type": "string", "pattern": r"^[^\x00]*$"}
_PATH: Final[Schema] = {"type": "string", "pattern": r"^[^\x00]+$"}

_ROUTE: Final[Mapping[str, Schema]] = {
    "host": {
        "anyOf": [
            {"type": "string", "maxLength": 253, "pattern": rf"^(\*\.)?{_LABEL}(\.{_LABEL})*\.?$"},
            {"type": "string", "format": "ipv6"},
            {"type": "string", "pattern": r"^\[[0-9A-Fa-f:.]{2,45}\]$"},
            {"type": "null"},
        ],
        "examples": ["example.com", "*.example.com"],
    },
    "path": {"type": "string", "pattern": rf"^/$|^({_SEGMENT})+/?$", "examples": ["/api"]},
}
_MOUNT: Final[Mapping[str, Schema]] = {
    "host": _NO_NUL,
    "guest": {
        "type": "string",
        "pattern": r"^/+$|^(/(?!\.{1,2}(/|$))[^/\x00]+)+/*$",
        "examples": ["/data"],
    },
}
_COMPONENT: Final[Mapping[str, Schema]] = {
    "source": _PATH,
    "max_execution_time": _DURATION,
    "max_memory": {"anyOf": _size(MIN_MEMORY, MAX_MEMORY), "examples": ["256MiB"]},
    "max_body": {
        "anyOf": [*_size(0, MAX_SIZE), {"const": "unlimited"}, {"type": "null"}],
        "examples": ["1MiB"],
    },
    "max_concurrency": {"type": "integer", "minimum": 1, "maximum": MAX_CONCURRENCY},
    "max_queue": {"type": "integer", "minimum": 0, "maximum": MAX_CONCURRENCY},
    "max_queue_time": _DURATION,
    "log_max_lines": {"type": "integer", "minimum": 0, "maximum": MAX_LOG_LINES},
    "log_max_bytes": {"anyOf": _size(1, MAX_LOG_BYTES), "examples": ["1MiB"]},
    "log_max_rate": {"type": "integer", "minimum": 1, "maximum": MAX_LOG_LINES},
    "sha256": {
        "anyOf": [
            {"type": "string", "pattern": "^([Ss][Hh][Aa]256:)?[0-9A-Fa-f]{64}$"},
            {"type": "null"},
        ],
    },
    "trusted_issuers": {
        "type": "array",
        "items": {"type": "string", "pattern": "^[ACMNOUV][A-Z2-7]{55}$"},
    },
    "environment": {
        "type": "object",
        "propertyNames": {"pattern": r"^[^=\x00]+$"},
        "additionalProperties": _NO_NUL,
    },
    "arguments": {"type": "array", "items": _NO_NUL},
    "allowed_outbound_hosts": {
        "type": "array",
        "items": {
            "type": "string",
            "pattern": r"^(\*|[A-Za-z][A-Za-z0-9+.-]*)://(\[[^\[\]@]*\]|[^:/\[\]@]*(/[0-9]+)?)(:[^:/@]*)?/?$",
        },
        "examples": [["https://api.example.com"]],
    },
}


def component_schemas() -> dict[str, Schema]:
    """The schema `Component`, of what describes one in a request, and those that it refers to."""
    schema = ComponentConfig.model_json_schema(ref_template=REFERENCE)
    # The parts of other types are left behind: those are strings in JSON, as the refinements say.
    parts = schema.pop("$defs")
    del schema["properties"]["name"]
    schema["required"].remove("name")
    # None, if it exports nothing that answers HTTP requests: nothing that a schema could have as default.
    schema["properties"]["routes"].pop("default")
    return {
        "Component": _refined(schema, _COMPONENT, ComponentConfig),
        "Route": _refined(parts["Route"], _ROUTE, Route),
        "MountConfig": _refined(parts["MountConfig"], _MOUNT, MountConfig),
    }


def schemas_of(**types: type) -> dict[str, Schema]:
    """The schemas of dataclasses that responses have, by the names given here, and those that they refer to."""
    schemas: dict[str, Schema] = {}
    for name, kind in types.items():
        schema = TypeAdapter(kind).json_schema(mode="serialization", ref_template=REFERENCE)
        for part, found in schema.pop("$defs", {}).items():
            summary = found.get("description", "").partition("\n")[0]
            schemas.setdefault(part, _plain({**found, "description": summary}))
        schemas[name] = described(_plain(schema), kind)
    return schemas


def described(schema: Schema, kind: type) -> Schema:
    """A schema of a class, with the words that the class has for itself and its attributes."""
    summary, words = _words(kind)
    properties = {
        name: {"description": words[name], **value} if name in words else value
        for name, value in schema["properties"].items()
    }
    return {**schema, "description": summary, "properties": properties}


def _refined(schema: Schema, refinements: Mapping[str, Schema], kind: type) -> Schema:
    properties = schema["properties"]
    for name, refinement in refinements.items():
        kept = {key: value for key, value in properties[name].items() if key == "default"}
        properties[name] = kept | refinement
    return described(_plain(schema), kind)


def _plain(value: Any) -> Any:
    """A schema without pydantic's titles, which repeat the names, and without its format for paths."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _plain(item)
        for key, item in value.items()
        if not (key == "title" and isinstance(item, str)) and (key, item) != ("format", "path")
    }


_ATTRIBUTE: Final = re.compile(r"^(\w+): (.*(?:\n    .*)*)", re.MULTILINE)


def _words(kind: type) -> tuple[str, dict[str, str]]:
    """The first line of a class's docstring, and what it and its bases say of each attribute."""
    words: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        attributes = (base.__doc__ or "").partition("Attributes:\n")[2]
        for name, text in _ATTRIBUTE.findall(inspect.cleandoc("x\n" + attributes)):
            words[name] = " ".join(text.split())
    return (inspect.getdoc(kind) or "").partition("\n")[0], words
