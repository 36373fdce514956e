"""The methods of components in the OpenAPI document of the FastAPI application that the gateway is mounted in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from gateway.app import Gateway
from gateway.rpc.openapi import operation, schemas

__all__ = ["describe_methods"]


class _FastAPI(Protocol):
    openapi: Callable[[], dict[str, Any]]


def describe_methods(app: _FastAPI, gateway: Gateway, path: str) -> None:
    """Have the OpenAPI document of an application, and so its `/docs`, tell of the methods of components.

    It has what is served when the document is asked for. Components whose methods are not served are left out.

    Args:
        app: the application, a `fastapi.FastAPI`.
        gateway: what is mounted in it.
        path: where.
    """
    own = app.openapi

    def openapi() -> dict[str, Any]:
        document = own()
        described = gateway.openrpc()
        paths = {
            f"{path.rstrip('/')}{each['servers'][0]['url']}": operation(each) for each in described
        }
        components = document.get("components", {})
        named = dict(components.get("schemas", {}))
        for each in described:
            named |= schemas(each)
        return {
            **document,
            "paths": {**document["paths"], **paths},
            "components": {**components, "schemas": named},
        }

    app.openapi = openapi
