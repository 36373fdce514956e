"""What the gateway tells a component of a request: its route, its client, and what was taken off its path."""

import json
from collections.abc import Iterator

import pytest

from gateway.http.gateway_fields import RESERVED
from gateway.http.target import split_target
from tests.harness import GuestPath
from tests.routes.asked import ask
from tests.routes.site import Site

CONFIG = """
[server]
port = 0
trusted_proxies = ["127.0.0.1"]

[[components]]
name = "probe"
source = {source}
routes = [
    {{ path = "/" }},
    {{ path = "/api", strip_prefix = true }},
    {{ path = "/api/v1", strip_prefix = true }},
    {{ path = "/one", match = "exact", strip_prefix = true }},
]
"""

STACKS = {
    "httptools-uvloop": ("--http", "httptools", "--loop", "uvloop"),
    "h11-asyncio": ("--http", "h11", "--loop", "asyncio"),
}


@pytest.fixture(scope="module", params=STACKS)
def stripping(
    request: pytest.FixtureRequest, guest: GuestPath, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    path = tmp_path_factory.mktemp("stripping") / "gateway.toml"
    path.write_text(CONFIG.format(source=json.dumps(str(guest("python/probe")))))
    with Site(path, *STACKS[request.param]) as site:
        yield site


@pytest.mark.parametrize(
    ("sent", "seen", "prefix", "route"),
    [
        ("/api/users?a=b", "/users?a=b", "/api", "/api"),
        ("/api/", "/", "/api", "/api"),
        ("/api", "/", "/api", "/api"),
        ("/api?", "/?", "/api", "/api"),
        ("/api//x/../%2F", "//x/../%2F", "/api", "/api"),
        ("/%61pi/a%20b", "/a%20b", "/%61pi", "/api"),
        ("/api/v1/x", "/x", "/api/v1", "/api/v1"),
        ("/api/v2/x", "/v2/x", "/api", "/api"),
        ("/one?x", "/?x", "/one", "/one"),
        ("/apis", "/apis", None, "/"),
        ("/", "/", None, "/"),
    ],
)
def test_a_route_takes_its_path_off(
    stripping: Site, sent: str, seen: str, prefix: str | None, route: str
) -> None:
    asked = ask(stripping, sent)
    assert asked.target == seen
    assert asked.told.get("gateway-prefix") == prefix
    assert asked.told["gateway-route"] == route


def test_the_client_is_who_a_trusted_proxy_says(stripping: Site) -> None:
    assert ask(stripping).told["gateway-client-addr"] == "127.0.0.1"
    asked = ask(stripping, "/", "X-Forwarded-For: 192.0.2.1")
    assert asked.told["gateway-client-addr"] == "192.0.2.1"
    # A proxy that does not know is not believed to be the client.
    assert "gateway-client-addr" not in ask(stripping, "/", "Forwarded: for=unknown").told


def test_nobody_else_tells_it(stripping: Site) -> None:
    forged = [f"{name.decode().title()}: 6.6.6.6" for name in RESERVED]
    asked = ask(stripping, "/", *forged, "Gateway-Other: kept", "Connection: gateway-route")
    assert asked.told == {"gateway-route": "/", "gateway-client-addr": "127.0.0.1"}
    assert asked.headers == [("gateway-other", "kept")]


def test_where_the_application_is_mounted_counts_too() -> None:
    assert split_target("/app/api/x?y", "/api/x", 1) == ("/app/api", "/x", "?y")
    assert split_target("/app/api", "/api", 1) == ("/app/api", "", "")
