"""What the gateway's own server and an exchange tell each other of a client, besides what ASGI has."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.types import Scope

__all__ = ["EXTENSION", "client_left", "reads_on"]

EXTENSION: Final = "component_gateway.client"
"""The key under `extensions` of an ASGI scope whose value has, from the gateway's own server alone,

- under `left` a future that is done when the connection has ended. ASGI tells of that behind the body, so that an
  application which does not take the body does not hear of it. Under another server, a client that leaves is
  noticed when the body is read;
- under `reads_on` what an application calls that begins its response and goes on taking the body. The response
  need not be the last of its connection then, as one must be that comes before a large body which nobody takes."""


def client_left(scope: Scope) -> asyncio.Future[None] | None:
    """What is done when the client has gone away; None where nobody tells."""
    left: asyncio.Future[None] | None = _client(scope).get("left")
    return left


def reads_on(scope: Scope) -> None:
    """Tell the server that the body of the request is taken beside the response, which is about to begin."""
    tell = _client(scope).get("reads_on")
    if tell is not None:
        tell()


def _client(scope: Scope) -> dict[str, Any]:
    client: dict[str, Any] = (scope.get("extensions") or {}).get(EXTENSION) or {}
    return client
