"""What is asked of NATS ends for who asks, whatever the client does with that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, Final

import nats
import pytest
from nats.aio.client import Client
from nats.errors import ConnectionClosedError

from gateway.capabilities.nats_client import close, while_connected
from tests.capabilities.servers import Nats
from tests.patience import PATIENCE, until

pytestmark = pytest.mark.anyio

SOME: Final = 1024
"""Bytes that the client keeps before it waits."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[Client]:
    """A client that waits for room to send, and takes a cancellation for nothing then."""
    with Nats(tmp_path) as server:
        client = await nats.connect(server.url, allow_reconnect=False, pending_size=SOME)
        await client._init_request_sub()
        server.hold()
        filling = [
            asyncio.create_task(client.publish("subject", bytes(1 << 20))) for _ in range(16)
        ]
        writer: asyncio.StreamWriter = getattr(client._transport, "_io_writer")  # noqa: B009
        # The system takes some of it. What it leaves is more than the client's own buffer takes without waiting.
        await until(lambda: writer.transport.get_write_buffer_size() > 1 << 17)
        yield client
        server.let_go()
        await asyncio.gather(*filling)
        await close(client)


def request(client: Client) -> Coroutine[Any, Any, object]:
    return client.request("subject", bytes(2 * SOME), 86400)


def lost() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


async def asking(client: Client, connection: asyncio.Future[None]) -> asyncio.Task[object]:
    """Something that has been asked, and waits for room."""
    task = asyncio.create_task(while_connected(request(client), connection))
    await asyncio.sleep(0)
    assert client._resp_map
    return task


async def test_it_is_cancelled_at_once(full: Client) -> None:
    task = await asking(full, connection := lost())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, PATIENCE)
    await until(lambda: not full._resp_map)  # which a callback of the client's empties
    assert not connection.done()


async def test_a_time_limit_is_one(full: Client) -> None:
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await while_connected(request(full), lost())


async def test_it_ends_with_the_connection(full: Client) -> None:
    task = await asking(full, connection := lost())
    connection.set_result(None)
    with pytest.raises(ConnectionClosedError):
        await asyncio.wait_for(task, PATIENCE)
    assert task.cancelling() == 0


async def test_a_connection_that_is_lost_takes_nothing(full: Client) -> None:
    (connection := lost()).set_result(None)
    with pytest.raises(ConnectionClosedError):
        await while_connected(request(full), connection)


async def test_a_connection_that_is_lost_later_does_no_harm(tmp_path: Path) -> None:
    connection = lost()

    async def work() -> int:
        await asyncio.sleep(0)
        connection.set_result(None)
        return 1

    assert await while_connected(work(), connection) == 1
    await asyncio.sleep(0)  # the loop tells of what a callback raises


async def test_errors_are_handed_on() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        await while_connected(work(), lost())
