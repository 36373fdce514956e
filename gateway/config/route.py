"""A route: which requests a component answers."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import StrictBool, ValidationInfo, WithJsonSchema, field_validator

from gateway.config.values import Table
from gateway.host.errors import ComponentError
from gateway.http.canonical import canonical_host, canonical_path

__all__ = ["HOST_NAME", "SEGMENTS", "Route", "RouteConflict", "RouteMatch"]

_NOT_A_PATH: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~%!$&'()*+,;=:@/]")

# No segment of a path is "." or "..", however it is spelled (RFC 3986, section 3.3). The gateway escapes what is
# beyond ASCII.
SEGMENTS: Final = (
    r"(/(?!(\.|%2[Ee]){1,2}(/|$))([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2}|[^\x00-\x7F])+)+/?"
)
"""One segment of a path or more, as a JSON Schema has it."""

_LABEL: Final = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
HOST_NAME: Final = rf"{_LABEL}(\.{_LABEL})*\.?"
"""The name of a host, as a JSON Schema has it."""

_HOST: Final = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string", "maxLength": 253, "pattern": rf"^(\*\.)?{HOST_NAME}$"},
            {"type": "string", "format": "ipv6"},
            {"type": "string", "pattern": r"^\[[0-9A-Fa-f:.]{2,45}\]$"},
        ],
        "examples": ["example.com", "*.example.com"],
    }
)
_PATH: Final = WithJsonSchema(
    {"type": "string", "pattern": rf"^/$|^{SEGMENTS}$", "examples": ["/api"]}
)


class RouteConflict(ComponentError):
    """A component was refused because another one answers a route that it would answer."""


class RouteMatch(Table):
    """Which requests something is for.

    Attributes:
        host: an exact name or address; "*.example.com" for every name below that one, at any depth;
            None for every host. Compared without case, port and final dot.
        path: where the route begins ("prefix") or all that it is ("exact"), in canonical spelling.
        match: "prefix" compares whole segments: "/a" holds "/a" and "/a/b", not "/ab".
    """

    host: Annotated[str, _HOST] | None = None
    match: Literal["prefix", "exact"] = "prefix"
    path: Annotated[str, _PATH] = "/"

    @property
    def key(self) -> tuple[str | None, str, str]:
        """The requests that it is for: no other route may be for the same."""
        return self.host, self.match, self.path

    @field_validator("host")
    @classmethod
    def _check_host(cls, host: str | None) -> str | None:
        if host is None:
            return None
        if host == "*":
            raise ValueError('must be left out where every host is meant, instead of "*"')
        if host.startswith("*."):
            return f"*.{canonical_host(host[2:])}"
        return canonical_host(host)

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str, info: ValidationInfo) -> str:
        if not path.startswith("/"):
            raise ValueError('must start with "/"')
        if "?" in path or "#" in path:
            raise ValueError("must not have a query or a fragment: routes match the path alone")
        path = canonical_path(path)
        if (wrong := _NOT_A_PATH.search(path)) is not None:
            raise ValueError(
                f'must be a URL path: percent-encode "{wrong[0]}" (RFC 3986, section 3.3)'
            )
        if "//" in path:
            raise ValueError('must not have an empty segment ("//")')
        if not {".", ".."}.isdisjoint(path.split("/")):
            raise ValueError(
                'must not have a segment "." or "..": clients resolve these themselves'
            )
        if info.data.get("match") == "prefix":
            path = path.rstrip("/") or "/"
        return path

    def __str__(self) -> str:
        suffix = " (exact)" if self.match == "exact" else ""
        return f"{self.host or '*'}{self.path}{suffix}"


class Route(RouteMatch):
    """Which requests a component answers.

    Attributes:
        strip_prefix: whether the component sees paths without `path`, which `gateway-prefix` tells it then.
    """

    strip_prefix: StrictBool = False
