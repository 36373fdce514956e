"""JSON Schemas made from the models, with the words that their docstrings have for each key.

Some of what the models ask for no schema can say: that a file exists, that two entries differ, that "3.5B" is no
whole number of bytes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from pydantic.fields import FieldInfo

from gateway.config.gateway import TABLES
from gateway.config.key import RESTART, quantity_of, written_default
from gateway.config.values import Table, table_of

__all__ = ["Schema", "configuration_schema", "described", "plain", "without_none"]

Schema: TypeAlias = dict[str, Any]

_NULL: Final = {"type": "null"}


def configuration_schema() -> Schema:
    """The schema of a configuration file, for editors.

    It is of draft 7 and has no references, which every editor understands.

    Source: https://json-schema.org/draft-07
    """
    components = {
        "description": "What is served: a table for each component.",
        "type": "array",
        "items": _table("[[components]]", TABLES["components"]),
    }
    tables = {key: _table(f"[{key}]", table) for key, table in TABLES.items()}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "gateway.toml",
        "description": "A configuration of component-gateway.",
        "type": "object",
        "properties": {**tables, "components": components},
        "additionalProperties": False,
        "if": {"required": ["admin"]},
        "then": {"required": ["server"], "properties": {"server": {"required": ["admin_addr"]}}},
        "else": {"required": ["components"], "properties": {"components": {"minItems": 1}}},
    }


def _table(title: str, model: type[Table]) -> Schema:
    schema = described(plain(model.model_json_schema()), model)
    schema.pop("$defs", None)
    for key, field in model.model_fields.items():
        name = field.alias or key
        found = _key(schema["properties"][name], field)
        if (table := table_of(field.annotation)) is not None:
            found = _resolved(found, {f"#/$defs/{table.__name__}": _table(key, table)})
        schema["properties"][name] = found
    return {"title": title, **schema}


def _resolved(value: Any, tables: Mapping[str, Schema]) -> Any:
    """A schema with those of tables in the place of references to them."""
    if isinstance(value, list):
        return [_resolved(item, tables) for item in value]
    if not isinstance(value, dict):
        return value
    table = tables.get(value.get("$ref", ""))
    return table or {key: _resolved(item, tables) for key, item in value.items()}


def _key(schema: Schema, field: FieldInfo) -> Schema:
    """The schema of a key as TOML has it: without null, and with the default as people write it."""
    schema = dict(schema)
    if _NULL in (forms := schema.get("anyOf", ())):
        rest = [form for form in forms if form != _NULL]
        del schema["anyOf"]
        schema |= rest[0] if len(rest) == 1 else {"anyOf": rest}
    if quantity_of(field) is not None:
        schema["default"] = written_default(field)
    elif "default" in schema:
        default = _without_null(schema.pop("default"))
        schema |= {} if default is None else {"default": default}
    if "description" in schema:
        schema["description"] = without_none(schema["description"])
    if RESTART in field.metadata:
        schema["description"] += " A change takes a restart."
    return schema


def _without_null(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_null(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return value


def without_none(text: str) -> str:
    """What is said of a key, for who writes TOML: what is None in Python is left out there."""
    return text.replace(". None", ". Left out").replace(" None ", " left out ")


def described(schema: Schema, kind: type) -> Schema:
    """A schema of a class, with the words that the class has for itself and its attributes."""
    summary, words = _words(kind)
    properties = {
        name: {"description": words[name], **value} if name in words else value
        for name, value in schema["properties"].items()
    }
    return {**schema, "description": summary, "properties": properties}


def plain(value: Any) -> Any:
    """A schema without pydantic's titles, which repeat the names, and without its format for paths."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: plain(item)
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
            words[name.removesuffix("_")] = " ".join(text.split())
    return (inspect.getdoc(kind) or "").partition("\n")[0], words
