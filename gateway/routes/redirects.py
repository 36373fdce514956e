"""Redirects that the operator has configured."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from gateway.config.redirect import Redirect
from gateway.host.errors import ComponentError
from gateway.http.target import split_target, target_of
from gateway.routes.request import Request
from gateway.routes.router import Router

__all__ = ["RedirectEndpoint"]

_AS_IT_IS: Final = "/?%:@!$&'()*+,;=~"
"""What a target has that is the same in a URL (RFC 3986, sections 3.3 and 3.4), besides letters, digits, "-", "."
and "_". Not a backslash: to browsers it is a slash, and two in front lead to another host."""


class RedirectEndpoint:
    """Where the requests go that are redirected.

    Args:
        redirect: which, and where to.
    """

    def __init__(self, redirect: Redirect) -> None:
        self._redirect = redirect
        self._segments = 0 if redirect.path == "/" else redirect.path.count("/")

    def check(self, router: Router[Any]) -> None:
        """See that who follows it gets somewhere.

        Args:
            router: of all that answers here.

        Raises:
            ComponentError: it leads to itself, at once or by others.
        """
        passed: list[RedirectEndpoint] = []
        host = self._redirect.host
        endpoint: Any = self
        while isinstance(endpoint, RedirectEndpoint) and endpoint not in passed:
            passed.append(endpoint)
            # A path alone stays at the host; any below a wildcard is as good as another.
            to, host = endpoint._redirect.to.partition("?")[0], endpoint._redirect.host or host
            endpoint = router.match(host and host.replace("*", "any"), to)
        if endpoint is self:
            way = " to ".join(each._redirect.to for each in passed)
            raise ComponentError(
                f"the redirect {self._redirect}: it leads to {way}, and so to itself. Have it lead elsewhere."
            )

    async def answer(self, request: Request) -> None:
        """Tell where to ask."""
        request.route = self._redirect.path
        _, rest, query = split_target(target_of(request.scope), request.path, self._segments)
        location = quote(
            _joined(self._redirect.to, rest, query), safe=_AS_IT_IS + "[]", encoding="latin-1"
        )
        fields = (b"location", location.encode("ascii"))
        await request.respond(self._redirect.status, b"text/plain", b"", fields)


def _joined(to: str, rest: str, query: str) -> str:
    if "?" in to:
        return to
    if to == "/":  # what begins with two slashes is another host
        return f"/{rest.lstrip('/')}{query}"
    return f"{to.removesuffix('/') if rest else to}{rest}{query}"
