"""JSON Schemas 2020-12 of what the admin API takes and gives, made from the models and dataclasses."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from gateway.config.component import ComponentConfig
from gateway.config.schema import Schema, described, plain
from gateway.config.values import table_of

__all__ = ["component_schemas", "schemas_of"]

REFERENCE: Final = "#/components/schemas/{model}"


def component_schemas() -> dict[str, Schema]:
    """The schema `Component`, of what describes one in a request, and those that it refers to."""
    schema = ComponentConfig.model_json_schema(ref_template=REFERENCE)
    parts = schema.pop("$defs")
    del schema["properties"]["name"]
    schema["required"].remove("name")
    # None, if it exports nothing that answers HTTP requests: nothing that a schema could have as default.
    schema["properties"]["routes"].pop("default")
    tables = {
        table.__name__: table
        for field in ComponentConfig.model_fields.values()
        if (table := table_of(field.annotation)) is not None
    }
    return {
        "Component": described(plain(schema), ComponentConfig),
        **{name: described(plain(parts[name]), table) for name, table in tables.items()},
    }


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
