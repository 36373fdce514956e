"""Requests that are answered with another place to ask."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, WithJsonSchema

from gateway.config.route import RouteMatch

__all__ = ["Redirect"]

_PATTERN: Final = r"([Hh][Tt][Tt][Pp][Ss]?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/{path}*)?|/(?!/){path}*)".replace(
    "{path}", r"[A-Za-z0-9._~!$&'()*+,;=:@%/?-]"
)
_TO: Final = re.compile(_PATTERN)
_FLAG: Final = re.compile(r"(?P<host>[^/=]*)(?P<path>/[^=]*)=(?P<to>.+)", re.DOTALL)


def _to(to: str) -> str:
    if _TO.fullmatch(to) is None:
        raise ValueError(
            'must be a URL of http or https, or a path, such as "https://www.example.com" or "/new"'
        )
    return to


class Redirect(RouteMatch):
    """Which requests are answered with another place to ask, and which.

    Attributes:
        to: a URL, or a path. What a request's path has below `path` follows, and its query, unless there is a
            query here.
        status: 308 and 307 keep the method, 301, 302 and 303 may make it GET; 308 and 301 are for good.
    """

    to: Annotated[
        str,
        AfterValidator(_to),
        WithJsonSchema(
            {
                "type": "string",
                "pattern": f"^{_PATTERN}$",
                "examples": ["https://www.example.com", "/new"],
            }
        ),
    ]
    status: Literal[301, 302, 303, 307, 308] = 308

    @staticmethod
    def parse(text: str) -> dict[str, Any]:
        """Read PATH=URL or HOST/PATH=URL, as keys of such a table.

        Raises:
            ValueError: it is neither.
        """
        match = _FLAG.fullmatch(text)
        if match is None:
            raise ValueError(
                f'must be PATH=URL or HOST/PATH=URL, such as "/old=/new", not "{text}"'
            )
        return {"host": match["host"] or None, "path": match["path"], "to": match["to"]}
