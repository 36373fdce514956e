"""A broker whose servers are away."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.capabilities.backend import BackendError
from gateway.capabilities.messaging import OPENERS, Message
from gateway.config.backend_url import BackendURL
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio


async def test_a_broker_ends_in_any_turn_of_going_from_one_server_to_the_other() -> None:
    before = asyncio.all_tasks()
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))  # and not listening
        hosts = ",".join(f"127.0.0.1:{each.getsockname()[1]}" for each in (one, other))

        async def ended(turns: int) -> None:
            broker = OPENERS["nats"](BackendURL.parse(f"nats://{hosts}"))
            with pytest.raises(BackendError, match="the broker cannot be reached"):
                await broker.publish(Message("a", b""))
            for _ in range(turns):
                await asyncio.sleep(0)
            await broker.aclose()

        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*map(ended, range(8)))
    assert asyncio.all_tasks() <= before
