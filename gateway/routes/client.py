"""Whether the client of a request is still there."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Scope

__all__ = ["EXTENSION", "client_left"]

EXTENSION: Final = "component_gateway.client"
"""The key under `extensions` of an ASGI scope whose value has a future under `left`, which is done when the
connection has ended.

ASGI tells of that behind the body, so that an application which does not take the body does not hear of it. The
gateway's own server sets this; under another one, a client that leaves is noticed when the body is read."""


def client_left(scope: Scope) -> asyncio.Future[None] | None:
    """What is done when the client has gone away; None where nobody tells."""
    extension = (scope.get("extensions") or {}).get(EXTENSION)
    return None if extension is None else extension["left"]
