"""Several components in one gateway: which of them answers."""

from collections.abc import Iterator

import pytest

from tests.harness import GuestPath
from tests.routes.site import Site

CONFIG = """
[server]
port = 0

[defaults]
max_concurrency = 8

[[components]]
name = "hello"
source = "{hello}"
routes = [
    {{ path = "/exact", match = "exact" }},
    {{ host = "hello.test" }},
    {{ path = "/a/b" }},
    {{ host = "*.wild.test", path = "/w" }},
]

[[components]]
name = "fail"
source = "{fail}"
routes = [{{ path = "/a" }}, {{ host = "hello.test", path = "/a" }}]

[[components]]
name = "echo"
source = "{echo}"
routes = [{{ host = "echo.test", path = "/e" }}, {{ host = "[::1]" }}]
"""


@pytest.fixture(scope="module")
def routed(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway that serves by hosts and paths."""
    path = tmp_path_factory.mktemp("routed") / "gateway.toml"
    path.write_text(
        CONFIG.format(hello=guest("c/hello"), fail=guest("c/fail"), echo=guest("c/echo"))
    )
    with Site(path) as site:
        yield site


@pytest.mark.parametrize(
    ("host", "target", "component"),
    [
        ("any.test", "/exact", "hello"),
        ("any.test", "/exact?a=b", "hello"),
        ("any.test", "/a", "fail"),
        ("any.test", "/a/", "fail"),
        ("any.test", "/a/x", "fail"),
        ("any.test", "/a/b", "hello"),
        ("any.test", "/a/b/c", "hello"),
        ("any.test", "/a/bc", "fail"),
        ("any.test", "/%61/%62", "hello"),
        ("any.test", "/a%2Fb", None),
        ("any.test", "/exact/", None),
        ("any.test", "/ab", None),
        ("any.test", "/A", None),
        ("any.test", "//a", None),
        ("any.test", "/", None),
        ("hello.test", "/", "hello"),
        ("hello.test", "/x/y", "hello"),
        ("hello.test", "/a/b", "fail"),
        ("HELLO.test.:8080", "/", "hello"),
        ("www.hello.test", "/", None),
        ("echo.test", "/e", "echo"),
        ("echo.test", "/a", "fail"),
        ("echo.test", "/", None),
        ("[::1]:8080", "/", "echo"),
        ("[0:0::1]", "/", "echo"),
        ("x.wild.test", "/w", "hello"),
        ("x.y.wild.test", "/w/z", "hello"),
        ("wild.test", "/w", None),
        ("x.wild.test", "/", None),
    ],
)
def test_the_most_specific_route_wins(
    routed: Site, host: str, target: str, component: str | None, request_id: str
) -> None:
    response = routed.get(target, f"X-Request-Id: {request_id}", host=host)
    ended = routed.ended(request_id)
    assert ended["component"] == component
    assert ended["status"] == response.status
    # `fail` has no such route either, in words of its own.
    if component is None:
        assert response.status == 404
        assert response["content-type"] == "application/problem+json"
        assert response.json["type"].endswith(":no-route")
        assert ended["outcome"] is None
    else:
        bodies = {"hello": b"Hello, World!\n", "echo": b"", "fail": b"no such route\n"}
        assert response.body == bodies[component]


def test_a_request_without_host_finds_the_routes_of_every_host(routed: Site) -> None:
    with routed.connect() as client:
        client.request("/exact", host=None, version="1.0")
        assert client.read_head().status == 200


def test_a_refusal_reads_the_rest_of_the_request(routed: Site) -> None:
    with routed.connect() as client:
        for _ in range(2):
            assert client.post("/none", b"x" * 100_000).status == 404
        client.request("/none", "Transfer-Encoding: chunked", method="POST")
        assert client.response().status == 404
        client.send_chunk(b"x" * 100_000)
        client.send_chunk(b"")
        assert client.get("/exact").status == 200


def test_asterisk_is_no_path_of_any_component(routed: Site) -> None:
    with routed.connect() as client:
        client.request("*", method="OPTIONS", host="hello.test")
        assert client.response().status == 404
