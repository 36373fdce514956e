"""The brokers that the tests of this folder run on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.capabilities.messaging import OPENERS, Broker, Deliver, Message
from gateway.capabilities.messaging.memory import MemoryBroker
from gateway.capabilities.subscription import Subscription
from gateway.config.backend_url import BackendURL
from tests.capabilities import servers


class TwoWorkers:
    """A broker in memory whose messages are sent in one worker, and taken in another: a `Broker`.

    Attributes:
        workers: the two.
    """

    kind = "memory"
    waits = False
    availability = None

    def __init__(self, folder: Path) -> None:
        self.workers = MemoryBroker(folder), MemoryBroker(folder)

    async def publish(self, message: Message) -> None:
        await self.workers[0].publish(message)

    async def request(self, message: Message, seconds: float) -> Message:
        return await self.workers[1].request(message, seconds)

    def subscribe(self, subject: str, queue: str | None, deliver: Deliver) -> Subscription[Message]:
        return self.workers[1].subscribe(subject, queue, deliver)

    async def aclose(self) -> None:
        for worker in self.workers:
            await worker.aclose()


@pytest.fixture(params=["memory", "workers", "nats"])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Broker]:
    """An open broker."""
    if request.param == "workers":
        broker: Broker = TwoWorkers(tmp_path / "m")
    else:
        url = BackendURL.parse(servers.broker_url(request))
        broker = OPENERS[url.scheme](url)
    yield broker
    await broker.aclose()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[servers.Nats]:
    """A NATS server that was not started."""
    server = servers.Nats(tmp_path)
    try:
        yield server
    finally:
        server.kill()
