"""Both loops that the gateway runs on: transports, TLS and timers are of their own making in each."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.host.linker import Export
from tests.bindings.outbound.probe import load_probe
from tests.harness import GuestPath


@pytest.fixture(scope="session")
def probe(guest: GuestPath) -> Export:
    """The handler of the guest `python/probe`."""
    return load_probe(guest("python/probe"))


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ],
)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The loop that the test runs on."""
    backend: tuple[str, dict[str, Any]] = request.param
    return backend
