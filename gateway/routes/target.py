"""The target of a request, as the client sent it."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from starlette.types import Scope

__all__ = ["EXTENSION", "path_of", "target_of"]

EXTENSION: Final = "component_gateway.target"
"""The key under `extensions` of an ASGI scope whose value has the whole target, as bytes, under `target`.

ASGI splits a target at its question mark and does not tell an empty query from none. The gateway's own server sets
this; under another one, the target `/a?` reaches the guest as `/a`.
"""


def target_of(scope: Scope) -> str:
    """The path and query as sent."""
    extension = (scope.get("extensions") or {}).get(EXTENSION)
    if extension is not None:
        target: bytes = extension["target"]
        return target.decode("latin-1")
    query: bytes = scope["query_string"]
    path = _path(scope)
    return f"{path}?{query.decode('latin-1')}" if query else path


def path_of(scope: Scope) -> str:
    """The path as sent, below the path that the application is mounted at."""
    path = _path(scope)
    root: str = scope.get("root_path", "")
    return path.removeprefix(quote(root)) or "/" if root else path


def _path(scope: Scope) -> str:
    raw: bytes | None = scope.get("raw_path")
    return quote(scope["path"]) if raw is None else raw.decode("latin-1")
