"""The target of a request, as the client sent it, and where it was sent to if it does not say."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from starlette.types import Scope

from gateway.http.syntax import is_authority

__all__ = ["EXTENSION", "path_of", "server_authority", "split_target", "target_of"]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

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
    path = path_of(scope, below="")
    return f"{path}?{query.decode('latin-1')}" if query else path


def path_of(scope: Scope, below: str | None = None) -> str:
    """The path as sent.

    Args:
        scope: the ASGI scope of the request.
        below: what it is to begin behind; None for the path that the application is mounted at.
    """
    raw: bytes | None = scope.get("raw_path")
    path = quote(scope["path"]) if raw is None else raw.decode("latin-1")
    root: str = scope.get("root_path", "") if below is None else below
    return path.removeprefix(quote(root)) or "/" if root else path


def split_target(target: str, path: str, segments: int) -> tuple[str, str, str]:
    """Split a request target behind the beginning of its path.

    Args:
        target: the target.
        path: the end of its path from which the segments count: that below where the application is mounted.
        segments: how many, each with the slash before it. The path has them.

    Returns:
        The beginning, the rest of the path, which is empty or begins with a slash, and the query with its question
        mark, if there is one.
    """
    end = 0
    for _ in range(segments):
        end = path.find("/", end + 1)
        if end < 0:
            end = len(path)
            break
    rest = path[end:]
    whole, mark, query = target.partition("?")
    return whole[: len(whole) - len(rest)], rest, mark + query


def server_authority(scope: Scope) -> str:
    """The address that the client connected to, as an authority: for a request of HTTP/1.0, which need name none.

    The port is left out where it is the scheme's own. `localhost` stands for what is no address of the internet,
    such as a Unix domain socket.
    """
    host, port = scope.get("server") or ("", None)
    host = host.partition("%")[0]  # a zone means something to this machine alone (RFC 6874)
    if port is None or not host:
        return "localhost"
    authority = f"[{host}]" if ":" in host else host
    if port != _DEFAULT_PORTS.get(scope["scheme"]):
        authority = f"{authority}:{port}"
    return authority if is_authority(authority) else "localhost"
