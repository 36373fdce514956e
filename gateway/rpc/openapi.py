"""The methods of a component in an OpenAPI document, for those who read one of the application around it.

JSON-RPC has one URL for all methods of a component, and OpenAPI describes what a URL takes: so each component is
one operation, whose request is one of those of its methods.

Source: OpenAPI 3.1.1; JSON-RPC 2.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["operation", "schemas"]

_SCHEMAS: Final = "#/components/schemas/"


def operation(document: Mapping[str, Any]) -> dict[str, Any]:
    """The path item of a component.

    Args:
        document: its OpenRPC document, of `gateway.rpc.openrpc.document`.
    """
    name = document["info"]["title"]
    methods = [each for each in document["methods"] if not each["name"].startswith("rpc.")]
    described = [f"- {_line(each)}" for each in methods]
    return {
        "post": {
            "operationId": f"rpc-{name}",
            "summary": f"Call a method of the component {name} by JSON-RPC 2.0",
            "description": "\n".join((document["info"]["description"], "", *described)),
            "tags": [name],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"oneOf": [_request(name, each) for each in methods]},
                    }
                },
            },
            "responses": {
                "200": {
                    "description": "What the method has returned, or why it has not.",
                    "content": {
                        "application/json": {
                            "schema": {
                                "anyOf": [*(_response(name, each) for each in methods), _ERROR]
                            }
                        }
                    },
                },
                "204": {"description": "The request has no id: there is nothing to answer."},
                "503": {"description": "There is no room for one more call."},
            },
        }
    }


def schemas(document: Mapping[str, Any]) -> dict[str, Any]:
    """The named schemas that `operation` refers to, under names that no other component has."""
    name = document["info"]["title"]
    found = document["components"]["schemas"]
    return {f"{name}.{key}": _renamed(name, schema) for key, schema in found.items()}


_ERROR: Final = {
    "title": "error",
    "type": "object",
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": {"type": ["string", "number", "null"]},
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "integer"},
                "message": {"type": "string"},
                "data": {},
            },
            "required": ["code", "message"],
        },
    },
    "required": ["jsonrpc", "id", "error"],
}


def _line(method: Mapping[str, Any]) -> str:
    summary = method.get("summary")
    called = method.get("x-short-name", method["name"])
    return f"`{called}`: {summary}" if summary else f"`{called}`"


def _request(name: str, method: Mapping[str, Any]) -> dict[str, Any]:
    params = method["params"]
    names = [method["name"], *filter(None, [method.get("x-short-name")])]
    properties: dict[str, Any] = {
        "jsonrpc": {"const": "2.0"},
        "id": {"type": ["string", "number", "null"]},
        "method": {"enum": names},
        "params": {
            "type": "object",
            "properties": {each["name"]: _renamed(name, each["schema"]) for each in params},
            "required": [each["name"] for each in params],
            "additionalProperties": False,
        },
    }
    required = ["jsonrpc", "method", *(["params"] if params else [])]
    return {
        "title": names[-1],
        "type": "object",
        "properties": properties,
        "required": required,
    }


def _response(name: str, method: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "title": method.get("x-short-name", method["name"]),
        "type": "object",
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "id": {"type": ["string", "number", "null"]},
            "result": _renamed(name, method["result"]["schema"]),
        },
        "required": ["jsonrpc", "id", "result"],
    }


def _renamed(name: str, schema: Any) -> Any:
    """A schema of draft 07, as OpenRPC has it, in the dialect of OpenAPI; references are to `schemas`."""
    if isinstance(schema, list):
        return [_renamed(name, each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    renamed: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "$ref":
            renamed[key] = f"{_SCHEMAS}{name}.{value.removeprefix(_SCHEMAS)}"
        elif key == "items" and isinstance(
            value, list
        ):  # of a tuple (JSON Schema 2020-12, 10.3.1.1)
            renamed["prefixItems"] = _renamed(name, value)
        elif key == "additionalItems":
            renamed["items"] = _renamed(name, value)
        elif key == "properties":  # whose names are no keywords
            renamed[key] = {each: _renamed(name, part) for each, part in value.items()}
        else:
            renamed[key] = _renamed(name, value)
    return renamed
