"""The OpenAPI document of the admin API.

Source: OpenAPI 3.1, https://spec.openapis.org/oas/v3.1.1
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from gateway import __version__
from gateway.admin.endpoints import ENDPOINTS, AdminEndpoint, Returns
from gateway.admin.problems import ErrorDetail, ProblemDocument
from gateway.admin.schema import component_schemas, schemas_of
from gateway.config.component import COMPONENT_NAME
from gateway.config.schema import Schema
from gateway.lifecycle.status import ComponentStatus, ServerStatus

__all__ = ["document"]

_SCHEME: Final = "bearer"

_COMMON: Final = {
    401: "No token was sent, or none that is valid.",
    403: "The token is not for this: `scope` in `WWW-Authenticate` says what it would have to be for.",
    500: "The gateway failed. Its log says more, under the request id.",
}

_CHALLENGE: Final = {
    "WWW-Authenticate": {
        "description": "What is asked for (RFC 6750, section 3).",
        "required": True,
        "schema": {"type": "string", "pattern": "^Bearer "},
    }
}
_REQUEST_ID: Final = {
    "X-Request-ID": {
        "description": "The id of the request, as in the gateway's log: the one that was sent, or a new one.",
        "required": True,
        "schema": {"type": "string", "pattern": r"^[A-Za-z0-9._:/+=@-]{1,128}$"},
    }
}


def document() -> dict[str, Any]:
    """The document, in JSON's types."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        item = paths.setdefault(endpoint.path, _parameters(endpoint))
        item[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Admin API of component-gateway",
            "version": __version__,
            "description": "See what a gateway serves, and change it. Every GET has a HEAD.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                _SCHEME: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _schemas() -> dict[str, Schema]:
    given = schemas_of(
        ComponentStatus=ComponentStatus,
        ServerStatus=ServerStatus,
        ErrorDetail=ErrorDetail,
        Problem=ProblemDocument,
    )
    given["ComponentStatus"]["properties"]["name"] |= COMPONENT_NAME
    given["Components"] = {
        "type": "object",
        "description": "A list of components.",
        "properties": {"components": {"type": "array", "items": _reference("ComponentStatus")}},
        "required": ["components"],
    }
    given["OpenApi"] = {
        "type": "object",
        "description": "An OpenAPI document.",
        "required": ["openapi", "info", "paths"],
    }
    given["Content"] = {
        "type": "string",
        "format": "binary",
        "description": "A component, in binary or text form, or a core module that is one.",
    }
    return given | component_schemas()


def _parameters(endpoint: AdminEndpoint) -> dict[str, Any]:
    if "{name}" not in endpoint.path:
        return {}
    name = {
        "name": "name",
        "in": "path",
        "required": True,
        "description": "The name of a component.",
        "schema": COMPONENT_NAME,
        "example": "image-resizer",
    }
    return {"parameters": [name]}


def _operation(endpoint: AdminEndpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": endpoint.id, "summary": endpoint.summary}
    if endpoint.description:
        operation["description"] = endpoint.description
    # Roles of a scheme that is not OAuth2 are allowed since 3.1.
    operation["security"] = [] if endpoint.scope is None else [{_SCHEME: [endpoint.scope.value]}]
    if endpoint.takes:
        content = {kind: {"schema": _reference(name)} for kind, name in endpoint.takes.items()}
        operation["requestBody"] = {"required": True, "content": content}
    operation["responses"] = dict(sorted(_responses(endpoint)))
    return operation


def _responses(endpoint: AdminEndpoint) -> Iterator[tuple[str, dict[str, Any]]]:
    for status, returns in endpoint.returns.items():
        yield str(status), _response(returns, _REQUEST_ID)
    for status, description in _COMMON.items():
        if status >= 500 or endpoint.scope is not None:
            returns = Returns(description, "Problem", "application/problem+json")
            headers = _REQUEST_ID if status >= 500 else _CHALLENGE | _REQUEST_ID
            yield str(status), _response(returns, headers)


def _response(returns: Returns, headers: dict[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": returns.description, "headers": headers}
    if returns.schema is not None:
        response["content"] = {returns.media_type: {"schema": _reference(returns.schema)}}
    return response


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
