"""Which component answers a request: the most specific route that holds its host and path.

A route for the request's own host goes before one for a wildcard, a longer wildcard before a shorter one,
and any host before none; within a host the longest path wins, and "exact" before "prefix" of the same
path. A host that has no route for the path leaves the request to the next less specific one.

Every step is a dictionary look-up: hosts from the whole name up through its parent domains, paths from
the whole path up through its parent segments. Neither walk is longer than the longest route, whatever
a client sends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Generic, TypeVar

from gateway.config import canonical_host, canonical_path
from gateway.config.route import RouteMatch

__all__ = ["Router"]

T = TypeVar("T")

_MAX_HOST: Final = 253 + len(".:65535")
"""Characters: the longest name that DNS carries, its final dot and a port. No route is longer."""


class Router(Generic[T]):
    """A fixed set of routes and what each leads to.

    Raises:
        ValueError: two of the routes are equal.
    """

    def __init__(self, routes: Iterable[tuple[RouteMatch, T]]) -> None:
        self._any_host: _Paths[T] = _Paths()
        self._hosts: dict[str, _Paths[T]] = {}
        self._wildcards: dict[str, _Paths[T]] = {}
        for route, target in routes:
            if route.host is None:
                paths = self._any_host
            elif route.host.startswith("*."):
                paths = self._wildcards.setdefault(route.host[2:], _Paths())
            else:
                paths = self._hosts.setdefault(route.host, _Paths())
            paths.add(route, target)

    def match(self, host: str | None, path: str) -> T | None:
        """Find the target of a request.

        Args:
            host: the request's authority or `Host` header as sent; None or nonsense match only routes
                for every host.
            path: the request's path as sent (ASGI's `raw_path`), without the query; one that does not
                start with "/" (`OPTIONS *`) matches nothing.

        Returns:
            The target of the most specific route, None if there is none.
        """
        path = canonical_path(path)
        if host is not None and (self._hosts or self._wildcards):
            for paths in self._candidates(host):
                target = paths.match(path)
                if target is not None:
                    return target
        return self._any_host.match(path)

    def _candidates(self, authority: str) -> Iterator[_Paths[T]]:
        host = _host_of(authority)
        if host is None:
            return
        if (paths := self._hosts.get(host)) is not None:
            yield paths
        while self._wildcards and (dot := host.find(".")) >= 0:
            host = host[dot + 1 :]
            if (paths := self._wildcards.get(host)) is not None:
                yield paths


class _Paths(Generic[T]):
    """The routes of one host."""

    def __init__(self) -> None:
        self._exact: dict[str, T] = {}
        self._prefix: dict[str, T] = {}
        self._longest = 0

    def add(self, route: RouteMatch, target: T) -> None:
        paths = self._exact if route.match == "exact" else self._prefix
        if route.path in paths:
            raise ValueError(f"the route {route} is there twice")
        paths[route.path] = target
        if route.match == "prefix":
            self._longest = max(self._longest, len(route.path))

    def match(self, path: str) -> T | None:
        if (target := self._exact.get(path)) is not None:
            return target
        if not self._prefix or not path.startswith("/"):
            return None
        if len(path) > self._longest:
            # Cut at the last segment that ends within reach of a route: a path of 60,000 slashes is one
            # step, not 60,000.
            path = path[: path.rfind("/", 0, self._longest + 1)]
        while path:
            if (target := self._prefix.get(path)) is not None:
                return target
            path = path[: path.rfind("/")]
        return self._prefix.get("/")


def _host_of(authority: str) -> str | None:
    """Take the host out of `host[:port]`, in the spelling of routes; None where there is none."""
    if len(authority) > _MAX_HOST:
        return None
    if authority.startswith("["):
        host, bracket, _port = authority.partition("]")
        host += bracket
    else:
        host, _colon, _port = authority.partition(":")
    try:
        return canonical_host(host)
    except ValueError:
        return None
