"""The brokers that the tests of this folder run on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.capabilities.messaging import OPENERS, Broker
from gateway.config.backend_url import BackendURL
from tests.capabilities import servers


@pytest.fixture(params=["memory", "nats"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """The URL of a broker."""
    return servers.broker_url(request)


@pytest.fixture
async def broker(broker_url: str) -> AsyncIterator[Broker]:
    """That broker."""
    url = BackendURL.parse(broker_url)
    broker = OPENERS[url.scheme](url)
    yield broker
    await broker.aclose()
