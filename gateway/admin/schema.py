"""JSON Schemas 2020-12 of what the admin API takes and gives, made from the models and dataclasses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydantic import TypeAdapter

from gateway.config.build import BuildConfig
from gateway.config.component import ComponentConfig
from gateway.config.schema import Schema, described, plain
from gateway.config.values import Table, table_of

__all__ = ["component_schemas", "schemas_of"]

REFERENCE: Final = "#/components/schemas/{model}"


def component_schemas() -> dict[str, Schema]:
    """The schema `Component`, of what describes one in a request, and those that it refers to."""
    schema = ComponentConfig.model_json_schema(ref_template=REFERENCE)
    parts = schema.pop("$defs")
    del schema["properties"]["name"], schema["properties"]["build"]
    schema["required"].remove("name")
    # None, if it exports nothing that answers HTTP requests: nothing that a schema could have as default.
    schema["properties"]["routes"].pop("default")
    return {
        "Component": described(plain(schema), ComponentConfig),
        **{
            each.__name__: described(plain(parts[each.__name__]), each)
            for each in _within(ComponentConfig)
            if each is not BuildConfig
        },
    }


def _within(table: type[Table]) -> Iterator[type[Table]]:
    """The tables that a table has, and those that they have."""
    for field in table.model_fields.values():
        if (inner := table_of(field.annotation)) is not None:
            yield inner
            yield from _within(inner)


def schemas_of(**types: type) -> dict[str, Schema]:
    """The schemas of dataclasses that responses have, by the names given here, and those that they refer to."""
    schemas: dict[str, Schema] = {}
    for name, kind in types.items():
        schema = TypeAdapter(kind).json_schema(mode="serialization", ref_template=REFERENCE)
        for part, found in schema.pop("$defs", {}).items():
            summary = found.get("description", "").partition("\n")[0]
            schemas.setdefault(part, plain({**found, "description": summary}))
        schemas[name] = described(plain(schema), kind)
    return schemas
