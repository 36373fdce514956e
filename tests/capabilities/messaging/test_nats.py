"""Messages by a NATS server that is away, held, restarted, or does not let us in."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from operator import gt
from pathlib import Path

import pytest

from gateway.bindings.context import Caller
from gateway.capabilities.backend import BackendError
from gateway.capabilities.messaging import Message
from gateway.capabilities.messaging.nats import NATSBroker
from gateway.capabilities.operations import Operation, Operations
from gateway.config.backend_url import BackendURL
from tests.capabilities.messaging.test_broker import Inbox
from tests.capabilities.servers import Nats, until_there
from tests.patience import PATIENCE, until

pytestmark = pytest.mark.anyio

PUBLISH = Operation("wasmcloud:messaging/consumer", "publish")
CALLER = Caller("shop", "1")
MESSAGE = Message("t.a", b"x")


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[NATSBroker]:
    broker = NATSBroker(BackendURL.parse(url))
    try:
        yield broker
    finally:
        async with asyncio.timeout(PATIENCE):
            await broker.aclose()


async def until_published(broker: NATSBroker, message: Message) -> None:
    """Publish until it is taken."""
    async with asyncio.timeout(PATIENCE):
        for _ in itertools.count():
            try:
                await broker.publish(message)
            except BackendError:
                await asyncio.sleep(0.01)
            else:
                return


async def test_a_server_that_is_away_is_an_error_and_is_found_when_it_comes(server: Nats) -> None:
    async with opened(server.broker) as broker:
        inbox = Inbox()
        subscription = broker.subscribe("t.*", None, inbox)
        for work in (broker.publish(MESSAGE), broker.request(MESSAGE, PATIENCE)):
            with pytest.raises(BackendError, match="cannot be reached") as raised:
                await work
            assert raised.value.reason
            assert str(server.port) not in raised.value.message
        assert broker.availability.trouble
        server.start()
        async with asyncio.timeout(PATIENCE):
            await subscription.ready()
        await until_there(broker.availability, True)
        await broker.publish(MESSAGE)
        assert await inbox.next() == MESSAGE


async def test_a_server_that_is_killed_under_load_is_used_again(server: Nats) -> None:
    server.start()
    async with opened(server.broker) as broker:
        inbox = Inbox()
        await broker.subscribe("t.*", "q", inbox).ready()
        failures: list[BackendError] = []
        stop = asyncio.Event()

        async def publish() -> None:
            while not stop.is_set():
                try:
                    await broker.publish(Message("t.load", b"x"))
                except BackendError as error:
                    failures.append(error)
                    await asyncio.sleep(0.01)

        load = [asyncio.create_task(publish()) for _ in range(20)]
        await inbox.next()
        for _ in range(2):
            server.kill()
            await until_there(broker.availability, False)
            server.start()
            await until_there(broker.availability, True)
        stop.set()
        await asyncio.gather(*load)
        assert failures
        assert {error.message for error in failures} == {"the broker cannot be reached"}
        await until_published(broker, MESSAGE)
        async with asyncio.timeout(PATIENCE):
            while (await inbox.next()) != MESSAGE:
                pass


async def test_a_server_that_is_killed_with_something_still_to_be_sent_is_used_again(
    server: Nats,
) -> None:
    server.start()
    async with opened(server.broker) as broker:
        await broker.publish(MESSAGE)
        server.hold()
        # More than the system takes for a server that does not read.
        large = Message("t.large", bytes(1 << 20))
        load = [asyncio.create_task(broker.publish(large)) for _ in range(32)]
        await until(lambda: broker._client is not None and broker._client.pending_data_size > 0)
        server.kill()
        await until_there(broker.availability, False)
        server.start()
        await until_there(broker.availability, True)
        async with asyncio.timeout(PATIENCE):
            ends = await asyncio.gather(*load, return_exceptions=True)
        assert {type(end) for end in ends} == {BackendError}
        await broker.publish(MESSAGE)


async def test_a_server_that_is_held_is_an_error_in_time_and_is_used_again(server: Nats) -> None:
    server.start()
    async with opened(server.broker) as broker:
        inbox = Inbox()
        await broker.subscribe("t.*", None, inbox).ready()
        operations = Operations("shop", "nats", timeout=0.1, what="broker")
        server.hold()

        # It may answer some more before it is.
        async def until_held() -> None:
            while True:
                await operations.perform(PUBLISH, CALLER, broker.publish, MESSAGE)

        with pytest.raises(BackendError, match="the broker did not answer in time"):
            await until_held()
        with pytest.raises(BackendError, match="the broker did not answer in time"):
            await operations.perform(PUBLISH, CALLER, broker.publish, MESSAGE)
        # The sign of life that these have asked for does not come: the connection is given up.
        await until_there(broker.availability, False)
        with pytest.raises(BackendError, match="cannot be reached"):
            await broker.publish(MESSAGE)
        server.let_go()
        await until_there(broker.availability, True)
        await until_published(broker, Message("t.b", b"y"))
        async with asyncio.timeout(PATIENCE):
            while (await inbox.next()).body != b"y":
                pass


async def test_a_wrong_password_is_an_error_that_tells_the_guest_nothing(tmp_path: Path) -> None:
    with Nats(tmp_path, "--user", "shop", "--pass", "secret") as server:
        host = f"127.0.0.1:{server.port}"
        async with opened(f"nats://shop:guess@{host}") as broker:
            with pytest.raises(BackendError) as raised:
                await broker.publish(MESSAGE)
            assert raised.value.message == "the broker cannot be reached"
            assert "uthorization" in str(broker.availability.trouble)
            assert "guess" not in str(broker.availability.trouble)
        async with opened(f"nats://shop:secret@{host}") as broker:
            await broker.publish(MESSAGE)


async def test_a_message_that_the_server_does_not_take_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "nats.conf").write_text("max_payload: 1000")
    with Nats(tmp_path, "--config", str(tmp_path / "nats.conf")) as server:
        async with opened(server.broker) as broker:
            with pytest.raises(BackendError, match="larger than the broker takes") as raised:
                await broker.publish(Message("t.a", b"x" * 1001))
            assert raised.value.reason is None
            await broker.publish(Message("t.a", b"x" * 1000))


def tasks_and_descriptors() -> tuple[int, int]:
    """How many there are."""
    return len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))


async def test_many_operations_leave_nothing(nats_server: Nats) -> None:
    async with opened(nats_server.broker) as broker:
        answers: list[Message] = []
        answer = broker.subscribe("m.answer", None, answers.append)
        await answer.ready()
        await broker.subscribe("m.silent", None, lambda _: None).ready()
        with pytest.raises(BackendError):  # so that it has what all requests share
            await broker.request(Message("m.nobody", b""), PATIENCE)
        before = tasks_and_descriptors()

        async def some(number: int) -> None:
            body = str(number).encode()
            with suppress(BackendError):
                match number % 4:
                    case 0:
                        await broker.publish(Message("m.answer", body))
                    case 1:
                        await broker.request(Message("m.nobody", body), PATIENCE)
                    case 2:
                        await broker.request(Message("m.silent", body), 0.001)
                    case 3:
                        async with asyncio.timeout(0):
                            with suppress(TimeoutError):
                                await broker.publish(Message("m.answer", body))

        for start in range(0, 20_000, 200):
            await asyncio.gather(
                *(some(number) for number in range(start, start + 200)), return_exceptions=True
            )
        await broker.publish(Message("m.answer", b"last"))
        client = broker._client
        assert client is not None
        # Until the last sign of life has come. There may be fewer than before: what others had is collected.
        await until(lambda: not any(map(gt, tasks_and_descriptors(), before)))
        assert len(client._subs) == 3  # with that for answers
        assert client._resp_map == {}
        assert client.pending_data_size == 0
        assert len(answers) > 5000
