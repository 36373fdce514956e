"""Routing: by example, against a naive oracle, and with what only an attacker would send."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Route
from gateway.routes.router import Router


def route(pattern: str) -> Route:
    """Read "host/path" (prefix), "=host/path" (exact); an empty host stands for every host."""
    host, _slash, path = pattern.lstrip("=").partition("/")
    match: Literal["prefix", "exact"] = "exact" if pattern.startswith("=") else "prefix"
    return Route(host=host or None, path=f"/{path}", match=match)


def router(*patterns: str) -> Router[str]:
    return Router((route(pattern), pattern) for pattern in patterns)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/", "/"),
        ("/x", "/"),
        ("/a", "=/a"),
        ("/a/", "/a"),
        ("/a/x", "/a"),
        ("/ab", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/c", "/a/b"),
        ("/a/bc", "/a"),
        ("/a//b", "/a"),
        ("//a", "/"),
        ("/exact/", "=/exact/"),
        ("/exact", "/"),
        ("/exact/x", "/"),
        ("/%61", "=/a"),
        ("/%61/x", "/a"),
        ("/a%2Fb", "/"),
        ("/a%2fb", "/"),
        ("/caf%C3%A9/x", "/caf%C3%A9"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/caf\u00e9", "/caf%C3%A9"),
        ("/a/../b", "/a"),
        ("/%zz", "/"),
    ],
)
def test_the_longest_path_wins(path: str, target: str) -> None:
    routes = router("/", "/a", "=/a", "/a/b", "=/exact/", "/caf%C3%A9")
    assert routes.match("example.com", path) == target
    assert routes.match(None, path) == target


@pytest.mark.parametrize("path", ["", "*", "a", "example.com:443", "?x"])
def test_what_is_no_path_matches_nothing(path: str) -> None:
    assert router("/", "/a").match("example.com", path) is None


def test_no_route_is_no_target() -> None:
    assert Router[str]([]).match("example.com", "/") is None
    assert router("/a", "=/").match(None, "/b") is None
    assert router("=/a").match(None, "/a/b") is None
    assert router("example.com/").match("example.org", "/") is None
    assert router("example.com/").match(None, "/") is None


@pytest.mark.parametrize(
    ("host", "path", "target"),
    [
        ("example.com", "/", "example.com/"),
        ("EXAMPLE.COM", "/", "example.com/"),
        ("example.com.", "/", "example.com/"),
        ("example.com:8080", "/", "example.com/"),
        ("Example.Com.:8080", "/", "example.com/"),
        ("example.com:", "/", "example.com/"),
        ("a.example.com", "/", "*.example.com/"),
        ("a.b.example.com", "/", "*.b.example.com/"),
        ("a.c.example.com", "/", "*.example.com/"),
        ("b.example.com", "/", "*.example.com/"),
        ("aexample.com", "/", "/"),
        ("[::1]", "/", "[::1]/"),
        ("[::1]:8080", "/", "[::1]/"),
        ("[0:0::0001]", "/", "[::1]/"),
        ("[::2]", "/", "/"),
        ("[::1", "/", "/"),
        ("::1", "/", "/"),
        ("127.0.0.1:80", "/", "127.0.0.1/"),
        ("", "/", "/"),
        (":80", "/", "/"),
        ("exam ple.com", "/", "/"),
        ("ex\u00e4mple.com", "/", "/"),
        ("*.example.com", "/", "/"),
        # A less specific host answers the paths that the more specific one does not have.
        ("sub.test", "/deep/er", "sub.test/deep"),
        ("sub.test", "/other", "*.test/other"),
        ("sub.test", "/elsewhere", "/"),
        # Even where its path is longer, it does not go before.
        ("sub.test", "/deep/est", "sub.test/deep"),
    ],
)
def test_the_most_specific_host_wins(host: str, path: str, target: str) -> None:
    routes = Router(
        (Route(host=host, path=path), pattern)
        for pattern, host, path in [
            ("/", None, "/"),
            ("example.com/", "example.com", "/"),
            ("*.example.com/", "*.example.com", "/"),
            ("*.b.example.com/", "*.b.example.com", "/"),
            ("[::1]/", "::1", "/"),
            ("127.0.0.1/", "127.0.0.1", "/"),
            ("sub.test/deep", "sub.test", "/deep"),
            ("*.test/deep/est", "*.test", "/deep/est"),
            ("*.test/other", "*.test", "/other"),
        ]
    )
    assert routes.match(host, path) == target


def test_equal_routes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the route example.com/a is there twice"):
        router("example.com/a", "EXAMPLE.com/a/")


def test_prefix_and_exact_of_one_path_are_two_routes() -> None:
    routes = router("/a", "=/a")
    assert (routes.match(None, "/a"), routes.match(None, "/a/b")) == ("=/a", "/a")


class Counted(dict[str, str]):
    """A dictionary that counts what it is asked for."""

    asked = 0

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.asked += 1
        return super().get(key, default)


@pytest.mark.parametrize(
    "path", ["/" * 60_000, "/a" * 30_000, "/a/b/c" + "/" * 60_000, "/" + "x" * 60_000]
)
def test_a_walk_is_no_longer_than_the_longest_route(path: str) -> None:
    routes = router("/", "/a/b/c/d")
    paths = routes._any_host
    paths._prefix = counted = Counted(paths._prefix)
    assert routes.match("example.com", path) == "/"
    assert counted.asked <= len("/a/b/c/d") + 1


def test_a_host_longer_than_dns_has_none() -> None:
    assert router("*.a/", "/").match("a." * 30_000 + "a", "/") == "/"
    longest = ".".join(["a" * 62] * 3 + ["b" * 61 + ".a"])
    assert len(longest) == 252
    assert router("*.a/", "/").match(f"{longest}.:65535", "/") == "*.a/"


# --- against an oracle --------------------------------------------------------------------------

labels = st.sampled_from(["a", "b", "c"])
names = st.lists(labels, min_size=1, max_size=3).map(".".join)
paths = st.lists(labels, max_size=3).map(lambda segments: "/" + "/".join(segments))
routes = st.builds(
    Route,
    host=st.none() | names | names.map("*.{}".format),
    path=paths | paths.map("{}/".format).filter(lambda path: "//" not in path),
    match=st.sampled_from(["prefix", "exact"]),
)


def naive(candidates: list[Route], host: str | None, path: str) -> Route | None:
    """The sentence of the module's docstring, written as a linear search."""

    def holds(route: Route) -> bool:
        if route.host is not None:
            if host is None:
                return False
            if route.host.startswith("*."):
                if not host.endswith(route.host[1:]):
                    return False
            elif host != route.host:
                return False
        if route.match == "exact":
            return path == route.path
        return path == route.path or path.startswith(route.path.rstrip("/") + "/")

    def specificity(route: Route) -> tuple[bool, int, int, bool]:
        exact_host = route.host is not None and not route.host.startswith("*.")
        return exact_host, len(route.host or ""), len(route.path), route.match == "exact"

    return max(filter(holds, candidates), key=specificity, default=None)


@given(
    st.lists(routes, unique=True, max_size=12),
    st.none() | names,
    paths | paths.map("{}/".format) | paths.map("/{}".format),
)
def test_the_router_agrees_with_a_linear_search(
    candidates: list[Route], host: str | None, path: str
) -> None:
    routes = Router((candidate, candidate) for candidate in candidates)
    assert routes.match(host, path) == naive(candidates, host, path)
    if host is not None:
        assert routes.match(f"{host.upper()}.:8080", path) == naive(candidates, host, path)


@given(
    st.text() | st.from_regex(r"\[?[a-z0-9.:*\]-]*"),
    st.text() | st.text("/.%a2fF").map("/{}".format),
)
def test_nothing_that_a_client_sends_is_an_error(host: str, path: str) -> None:
    everything = router("/", "a.b/a", "*.b/a", "=/a")
    assert (everything.match(host, path) is None) == (not path.startswith("/"))
