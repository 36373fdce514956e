"""Calls from Python of components that an application serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakSet

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

import gateway
from gateway.app import Gateway
from tests.docs.test_embedding import lifespan
from tests.harness import GuestPath

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other application counts, that another test of this process has left."""
    monkeypatch.setattr("gateway.app._of_process", WeakSet())


def config(guest: GuestPath, **keys: object) -> gateway.GatewayConfig:
    component = gateway.ComponentConfig.model_validate(
        {"name": "rpc", "source": guest("c/rpc"), **keys}
    )
    return gateway.GatewayConfig(components=(component,))


@asynccontextmanager
async def running(guest: GuestPath, **keys: object) -> AsyncIterator[Gateway]:
    app = gateway.create_app(config(guest, **keys))
    async with lifespan(app):
        yield app


async def test_an_application_and_those_beside_it(guest: GuestPath) -> None:
    with pytest.raises(gateway.NotFound, match="no gateways are open in this process: make one"):
        await gateway.call("rpc", "add", 1, 2)
    async with running(guest) as app:
        assert await app.call("rpc", "add", 1, 2) == await gateway.call("rpc", "add", 1, b=2) == 3
        point = app.types("rpc").Point(1, 2)
        assert await gateway.call("rpc", "types.echo-point", point) == point
        with pytest.raises(gateway.NotFound, match='no component "other": there are rpc'):
            await gateway.call("other", "add", 1, 2)
        async with running(guest):
            with pytest.raises(gateway.NotFound, match="2 gateways are open"):
                await gateway.call("rpc", "add", 1, 2)
        assert app.runtime.metrics is not None
        registry = app.runtime.metrics.registry
        labels = {"component": "rpc", "outcome": "ok", "kind": "rpc"}
        await asyncio.sleep(0)  # the events have been handed over
        samples = [
            sample.value
            for family in registry.collect()
            for sample in family.samples
            if sample.name == "gateway_invocations_total"
            and labels.items() <= sample.labels.items()
        ]
        assert sum(samples) == 3
    with pytest.raises(gateway.Stopped, match="its lifespan has ended"):
        await app.call("rpc", "add", 1, 2)


async def test_another_event_loop_is_told_where_calls_belong(guest: GuestPath) -> None:
    async with running(guest) as app:
        with pytest.raises(RuntimeError, match="serves on another event loop"):
            await asyncio.to_thread(lambda: asyncio.run(app.call("rpc", "add", 1, 2)))
        assert await app.call("rpc", "add", 1, 2) == 3


async def test_a_reload_leaves_types_and_calls_as_they_are(guest: GuestPath) -> None:
    async with running(guest) as app:
        point = app.types("rpc").Point(1, 2)
        waiting = asyncio.create_task(app.call("rpc", "outcomes.wait", 50))
        await asyncio.sleep(0)
        await app.reload(config(guest, max_memory="32MiB"))
        assert app.generation == 2
        assert await app.call("rpc", "types.echo-point", point) == point
        assert await waiting is None


async def test_a_route_of_another_application_calls(guest: GuestPath) -> None:
    components = gateway.create_app(config(guest))

    async def divide(request: Request) -> JSONResponse:
        try:
            quotient = await gateway.call(
                "rpc", "divide", int(request.query_params["a"]), int(request.query_params["b"])
            )
        except gateway.CallError as error:
            return JSONResponse({"error": error.value}, 400)
        return JSONResponse(quotient)

    app = Starlette(routes=[Route("/divide", divide), Mount("/", components)])
    async with (
        lifespan(components),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client,
    ):
        assert (await client.get("/divide?a=6&b=3")).json() == 2
        answer = await client.get("/divide?a=6&b=0")
        assert (answer.status_code, answer.json()) == (400, {"error": "division by zero"})
