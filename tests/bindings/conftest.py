"""A component that calls them, and what it is called by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import create_app
from gateway.config import ComponentConfig, GatewayConfig
from tests.bindings.version import VERSIONS, Version
from tests.harness import GuestPath

Ask = Callable[..., Awaitable[Any]]


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of which version of WASI the driven guests of a test are: of one, and in another run of the other."""
    monkeypatch.setattr(Version, "of_test", request.param)
    of: str = request.param
    return of


@pytest.fixture
def source(guest: GuestPath) -> Path:
    """`get` and `say`, which call `wasi:config/store.get` and `wasi:logging/logging.log`."""
    return guest("wat/config-and-log")


@pytest.fixture
def ask(source: Path) -> Callable[..., Ask]:
    """Serve it with keys of a configuration; gives what calls its functions."""

    def serve(**keys: Any) -> Ask:
        component = ComponentConfig(name="guest", source=source, **keys)
        app = create_app(GatewayConfig(components=(component,)))
        transport = httpx.ASGITransport(app)

        async def ask(method: str, *params: Any) -> Any:
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            async with httpx.AsyncClient(transport=transport, base_url="http://guest") as client:
                response = (await client.post("/rpc/guest", json=request)).json()
            assert "error" not in response, response
            return response["result"]

        return ask

    return serve
