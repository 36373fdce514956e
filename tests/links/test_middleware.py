"""Handlers of HTTP requests that stand before others, which they import as `wasi:http/incoming-handler`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.config import ComponentConfig
from gateway.host.errors import TrapKind
from gateway.host.store import STORES
from gateway.observe.events import Outcome
from tests.harness import GuestPath
from tests.links.test_calls import Told
from tests.transports.talking import Talking, talking

pytestmark = pytest.mark.anyio

HANDLER = "wasi:http/incoming-handler@0.2.0"


def before(guest: GuestPath, *, name: str = "forward", then: str, **keys: Any) -> ComponentConfig:
    links = [{"import": HANDLER, "component": then}]
    table = {"name": name, "source": guest("c/forward"), "links": links, **keys}
    return ComponentConfig.model_validate(table)


def behind(guest: GuestPath, source: str) -> ComponentConfig:
    return ComponentConfig.model_validate({"name": "next", "source": guest(source), "routes": ()})


@pytest.fixture
async def echo(guest: GuestPath) -> AsyncIterator[Talking]:
    async with talking(before(guest, then="next"), behind(guest, "c/echo")) as gateway:
        yield gateway


async def test_the_next_handler_answers(echo: Talking) -> None:
    told = Told(echo)
    response = await echo.client.post("/echo", content=b"x" * 300_000)
    assert (response.status_code, response.content) == (200, b"x" * 300_000)
    assert told.of("forward").outcome is Outcome.OK
    assert told.of("next").outcome is Outcome.OK
    assert told.of("next").export == f"{HANDLER}#handle"
    assert not STORES


async def test_it_may_answer_itself(echo: Talking) -> None:
    told = Told(echo)
    response = await echo.client.get("/denied")
    assert (response.status_code, response.text) == (403, "denied\n")
    assert [event.component for event in told.all] == ["forward"]


@pytest.mark.parametrize("path", ["/trap", "/noset"])
async def test_a_next_handler_that_fails(guest: GuestPath, path: str) -> None:
    async with talking(before(guest, then="next"), behind(guest, "c/fail")) as gateway:
        told = Told(gateway)
        assert (await gateway.client.get(path)).status_code == 500
        if path == "/trap":
            assert told.of("forward").trap is TrapKind.CALLEE_TRAPPED
        assert not STORES


async def test_several_in_a_row(guest: GuestPath) -> None:
    chain = [
        before(guest, name="first", then="second"),
        before(guest, name="second", then="next", routes=()),
        behind(guest, "js/echo"),
    ]
    async with talking(*chain) as gateway:
        response = await gateway.client.post("/echo", content=b"hello")
        assert (response.status_code, response.content) == (200, b"hello")
