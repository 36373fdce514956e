"""Health and metrics beside components: where they are, and what they tell."""

import asyncio
import json
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from gateway.app import Gateway, create_app
from gateway.config import ComponentConfig, GatewayConfig, Route, ServerConfig
from tests.harness import GuestPath
from tests.routes.test_asgi import Server

pytestmark = pytest.mark.anyio

ROUTES = ("/healthz", "/readyz", "/metrics")


def make(guest: GuestPath, path: str = "/", **keys: Any) -> Gateway:
    limits = {key: keys.pop(key) for key in ("max_concurrency", "max_queue") if key in keys}
    component = ComponentConfig(
        name="guest", source=guest("c/fail"), routes=(Route(path=path),), **limits
    )
    return create_app(GatewayConfig(server=ServerConfig(**keys), components=(component,)))


async def get(app: Gateway, path: str, **scope: Any) -> Server:
    server = Server(path, **scope)
    await server.run(app)
    return server


def is_operational(server: Server) -> bool:
    return (b"cache-control", b"no-store") in server.sent[0]["headers"] and server.sent[0][
        "status"
    ] != 404


async def test_they_are_where_no_component_answers(guest: GuestPath) -> None:
    app = make(guest, "/app")
    for path in ROUTES:
        assert is_operational(await get(app, path))


async def test_a_component_that_answers_everything_hides_them(guest: GuestPath) -> None:
    app = make(guest)
    for path in ROUTES:
        assert not is_operational(await get(app, path))


async def test_the_operator_may_put_them_first(guest: GuestPath) -> None:
    app = make(guest, operational_routes="first")
    for path in ROUTES:
        assert is_operational(await get(app, path))


@pytest.mark.parametrize("keys", [{"operational_routes": "off"}, {"admin_addr": ":0"}])
async def test_they_may_be_elsewhere(guest: GuestPath, keys: Any) -> None:
    app = make(guest, "/app", **keys)
    for path in ROUTES:
        assert (await get(app, path)).sent[0]["status"] == 404


async def test_there_may_be_no_metrics(guest: GuestPath) -> None:
    app = make(guest, "/app", metrics=False)
    assert (await get(app, "/metrics")).sent[0]["status"] == 404
    assert (await get(app, "/healthz")).sent[0]["status"] == 200


async def test_other_methods_are_refused(guest: GuestPath) -> None:
    app = make(guest, "/app")
    server = await get(app, "/readyz", method="POST")
    assert server.sent[0]["status"] == 405
    assert (b"allow", b"GET, HEAD") in server.sent[0]["headers"]
    assert (await get(app, "/readyz", method="HEAD")).body == b""


async def test_it_is_not_ready_while_it_drains(guest: GuestPath) -> None:
    app = make(guest, "/app")
    ready = await get(app, "/readyz")
    assert (ready.sent[0]["status"], json.loads(ready.body)["status"]) == (200, "ready")
    app.drain()
    drained = await get(app, "/readyz")
    assert drained.sent[0]["status"] == 503
    assert json.loads(drained.body)["reasons"] == ["draining"]
    assert (await get(app, "/healthz")).sent[0]["status"] == 200
    # What is answered all the same is the last on its connection.
    answered = await get(app, "/app/sleep?ms=1")
    assert (b"connection", b"close") in answered.sent[0]["headers"]


async def test_it_is_not_ready_while_it_is_saturated(guest: GuestPath) -> None:
    app = make(guest, "/sleep", max_concurrency=1)
    request = Server("/sleep?ms=60000")
    task = asyncio.create_task(request.run(app))
    while not app.services[0].under_way:
        await checkpoint()
    told = await get(app, "/readyz")
    assert told.sent[0]["status"] == 503
    assert json.loads(told.body)["reasons"] == ["saturated: guest"]
    request.gone.set()
    await task
    assert (await get(app, "/readyz")).sent[0]["status"] == 200


async def test_metrics_are_told_in_the_form_that_is_asked_for(guest: GuestPath) -> None:
    app = make(guest, "/app")
    await get(app, "/app/nothing")
    app.runtime.channel.flush()
    text = await get(app, "/metrics")
    assert b'gateway_invocations_total{component="guest",kind="http",outcome="ok"} 1.0' in text.body
    host = (b"host", b"gateway.test")
    accept = (b"accept", b"application/openmetrics-text; version=1.0.0")
    openmetrics = await get(app, "/metrics", headers=[host, accept])
    content_type = dict(openmetrics.sent[0]["headers"])[b"content-type"]
    assert content_type.startswith(b"application/openmetrics-text")
    assert openmetrics.body.endswith(b"# EOF\n")
    assert b"trace_id=" in openmetrics.body
