"""What the gateway answers itself as the operator says: redirects, pages, and who may call from other sites."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from gateway.app import Gateway, create_app
from gateway.config import ComponentConfig, GatewayConfig, ServerConfig
from gateway.host.errors import ComponentError
from tests.harness import GuestPath

pytestmark = pytest.mark.anyio

CALL = {"jsonrpc": "2.0", "id": 1, "method": "add", "params": [1, 2]}
HTML = {"accept": "text/html,*/*;q=0.8"}


def application(
    guest: GuestPath, keys: Mapping[str, Any], *, routes: Any = ({"path": "/hello"},)
) -> Gateway:
    components = [
        ComponentConfig.model_validate(
            {"name": "hello", "source": guest("c/hello"), "routes": routes, "max_concurrency": 1}
        ),
        ComponentConfig(name="rpc", source=guest("c/rpc"), max_concurrency=1),
    ]
    server = ServerConfig.model_validate(keys, context={"base": Path()})
    return create_app(GatewayConfig(server=server, components=tuple(components)))


@asynccontextmanager
async def asking(app: Any, gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        yield client
    await gateway.aclose()


@pytest.fixture
async def serve(guest: GuestPath) -> Any:
    @asynccontextmanager
    async def serve(**keys: Any) -> AsyncIterator[httpx.AsyncClient]:
        gateway = application(guest, keys)
        async with asking(gateway, gateway) as client:
            client.gateway = gateway  # type: ignore[attr-defined]
            yield client

    return serve


# --- redirects -----------------------------------------------------------------------------------

REDIRECTS = [
    {"path": "/old", "to": "/new"},
    {"path": "/root", "to": "/"},
    {"path": "/away", "to": "https://www.example.com"},
    {"path": "/away/deep", "to": "https://www.example.com/a/", "status": 302},
    {"path": "/login", "to": "/enter?from=login", "status": 303},
    {"path": "/one", "match": "exact", "to": "http://[::1]:8080/1", "status": 307},
    {"host": "old.test", "path": "/", "to": "https://new.test", "status": 301},
]


@pytest.mark.parametrize(
    ("url", "status", "location"),
    [
        ("/old", 308, "/new"),
        ("/old/", 308, "/new/"),
        ("/old/a%20b/c?d=e&f", 308, "/new/a%20b/c?d=e&f"),
        ("/old//evil.test/", 308, "/new//evil.test/"),
        ("/root", 308, "/"),
        # What begins with two slashes would be another host, and so what begins with a slash and a backslash.
        ("/root//evil.test/", 308, "/evil.test/"),
        ("/root/\\evil.test", 308, "/%5Cevil.test"),
        ("/away", 308, "https://www.example.com"),
        ("/away/x?y", 308, "https://www.example.com/x?y"),
        ("/away//evil.test", 308, "https://www.example.com//evil.test"),
        ("/away/deep/x", 302, "https://www.example.com/a/x"),
        ("/away/deep", 302, "https://www.example.com/a/"),
        ("/login/x?y=z", 303, "/enter?from=login"),
        ("/one?a", 307, "http://[::1]:8080/1?a"),
        ("http://old.test/a/b?c", 301, "https://new.test/a/b?c"),
        ("http://old.test/", 301, "https://new.test/"),
    ],
)
async def test_a_redirect_leads_to_the_rest_of_the_path(
    serve: Any, url: str, status: int, location: str
) -> None:
    async with serve(redirects=REDIRECTS) as client:
        scope_url = httpx.URL(url)
        if "\\" in url:  # which httpx would escape
            scope_url = httpx.URL("/root/", raw_path=url.encode())
        response = await client.post(scope_url, content=b"x")
        assert (response.status_code, response.headers["location"]) == (status, location)
        assert response.content == b""
        assert response.headers["x-request-id"]


async def test_components_answer_beside_them(serve: Any) -> None:
    async with serve(redirects=REDIRECTS) as client:
        assert (await client.get("/hello")).status_code == 200
        assert (await client.get("/one/more")).status_code == 404


async def test_where_it_is_mounted_is_left_out(guest: GuestPath) -> None:
    gateway = application(guest, {"redirects": REDIRECTS})
    async with asking(Starlette(routes=[Mount("/app", gateway)]), gateway) as client:
        response = await client.get("/app/old/x?y")
        assert response.headers["location"] == "/new/x?y"


def test_a_component_cannot_have_its_route(guest: GuestPath) -> None:
    with pytest.raises(ComponentError, match="its route \\*/old is where requests are redirected"):
        application(guest, {"redirects": REDIRECTS}, routes=({"path": "/old"},))


@pytest.mark.parametrize(
    ("redirects", "way"),
    [
        ([{"path": "/old", "to": "/old/new"}], "/old/new"),
        (
            [
                {"path": "/a", "to": "/b"},
                {"path": "/b", "to": "/c/x?y"},
                {"path": "/c", "to": "/a"},
            ],
            "/b to /c/x?y to /a",
        ),
        ([{"host": "*.a.test", "path": "/", "to": "/hi"}], "/hi"),
    ],
)
def test_one_that_leads_to_itself_is_refused(
    guest: GuestPath, redirects: list[dict[str, str]], way: str
) -> None:
    with pytest.raises(ComponentError, match=f"leads to {re.escape(way)}, and so to itself"):
        application(guest, {"redirects": redirects})


def test_one_may_lead_to_a_component_below_its_path(guest: GuestPath) -> None:
    application(guest, {"redirects": [{"path": "/", "to": "/hello/"}, {"path": "/hi", "to": "/"}]})


# --- pages ---------------------------------------------------------------------------------------


async def test_browsers_are_shown_the_operators_pages(serve: Any, tmp_path: Path) -> None:
    (lost := tmp_path / "lost.html").write_text("<h1>Lost \N{SNOWMAN}</h1>")
    (busy := tmp_path / "busy.html").write_text("<h1>Busy</h1>")
    async with serve(not_found_page=lost, unavailable_page=busy) as client:
        response = await client.get("/nowhere", headers=HTML)
        assert (response.status_code, response.text) == (404, "<h1>Lost \N{SNOWMAN}</h1>")
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["vary"] == "accept"
        assert response.headers["x-request-id"]
        head = await client.head("/nowhere", headers=HTML)
        assert (head.headers["content-length"], head.content) == ("17", b"")
        (hello, _) = client.gateway.services
        with hello.gate.try_enter() or pytest.fail("no place"):
            response = await client.get("/hello", headers=HTML)
        assert (response.status_code, response.text) == (503, "<h1>Busy</h1>")
        assert response.headers["retry-after"] == "1"
        # What a component answers itself is its own.
        assert (await client.get("/hello", headers=HTML)).text == "Hello, World!\n"


async def test_programs_get_a_problem_document(serve: Any, tmp_path: Path) -> None:
    (lost := tmp_path / "lost.html").write_text("<h1>Lost</h1>")
    async with serve(not_found_page=lost) as client:
        for url, headers in (
            ("/nowhere", {"accept": "*/*"}),
            ("/nowhere", {"accept": "application/problem+json"}),
            ("/rpc/nobody", HTML),
        ):
            response = await client.get(url, headers=headers)
            assert response.status_code == 404
            assert response.headers["content-type"] == "application/problem+json"


# --- other sites ---------------------------------------------------------------------------------

SITE = "https://app.example.com"


def preflight(origin: str, *names: str) -> dict[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": ", ".join(("content-type", *names)),
    }


async def test_no_other_site_may_call_by_default(serve: Any) -> None:
    async with serve() as client:
        asked = await client.options("/rpc/rpc", headers=preflight(SITE))
        assert asked.status_code == 405
        answered = await client.post("/rpc/rpc", json=CALL, headers={"origin": SITE})
        for response in (asked, answered):
            assert not [name for name in response.headers if name.startswith("access-control-")]


async def test_a_site_that_is_named_may(serve: Any) -> None:
    keys = {"rpc_cors_origins": [SITE], "rpc_cors_headers": ["Authorization"]}
    async with serve(**keys, rpc_cors_credentials=True) as client:
        asked = await client.options("/rpc/rpc", headers=preflight(SITE, "authorization"))
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == SITE
        assert asked.headers["access-control-allow-credentials"] == "true"
        assert "POST" in asked.headers["access-control-allow-methods"]
        assert "authorization" in asked.headers["access-control-allow-headers"].lower()
        assert asked.headers["x-request-id"]
        answered = await client.post("/rpc/rpc", json=CALL, headers={"origin": SITE})
        assert answered.json()["result"] == 3
        assert answered.headers["access-control-allow-origin"] == SITE
        assert "origin" in answered.headers["vary"].lower()
        assert "x-request-id" in answered.headers["access-control-expose-headers"].lower()
        # Refusals can be read there too.
        refused = await client.post("/rpc/nobody", json=CALL, headers={"origin": SITE})
        assert refused.status_code == 404
        assert refused.headers["access-control-allow-origin"] == SITE


@pytest.mark.parametrize(
    "asked",
    [
        preflight("https://other.example.com"),
        preflight("http://app.example.com"),
        preflight("null"),
        preflight(SITE, "x-secret"),
    ],
)
async def test_nobody_and_nothing_else_may(serve: Any, asked: dict[str, str]) -> None:
    async with serve(rpc_cors_origins=[SITE]) as client:
        response = await client.options("/rpc/rpc", headers=asked)
        assert response.status_code == 400
        origin = asked["origin"]
        assert response.headers.get("access-control-allow-origin") == (
            SITE if origin == SITE else None
        )
        if origin != SITE:
            answered = await client.post("/rpc/rpc", json=CALL, headers={"origin": origin})
            assert "access-control-allow-origin" not in answered.headers


async def test_components_answer_for_their_own_routes(serve: Any) -> None:
    async with serve(rpc_cors_origins=["*"]) as client:
        answered = await client.post("/rpc/rpc", json=CALL, headers={"origin": SITE})
        assert answered.headers["access-control-allow-origin"] == "*"
        own = await client.get("/hello", headers={"origin": SITE})
        assert "access-control-allow-origin" not in own.headers
