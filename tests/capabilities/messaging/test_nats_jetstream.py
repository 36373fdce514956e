"""Messages of streams by a NATS server that is killed, held, or has not what it takes."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from operator import gt
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.errors import Error
from nats.js import JetStreamContext
from nats.js.api import AckPolicy

from gateway.capabilities.messaging import Message, Receipt, nats, nats_jetstream
from gateway.capabilities.messaging.nats_jetstream import Consumer
from gateway.config.messaging import JetStreamConfig
from tests.capabilities.messaging.test_broker import Inbox
from tests.capabilities.messaging.test_nats import opened, tasks_and_descriptors
from tests.capabilities.servers import Nats, until_settled, until_there
from tests.patience import PATIENCE, until

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what waits for a server in vain do so for less long."""
    monkeypatch.setattr(nats_jetstream, "HEARTBEAT", 0.2)
    monkeypatch.setattr(nats_jetstream, "ANSWER", 2.0)
    monkeypatch.setattr(nats, "SIGN_OF_LIFE", 1.0)


def config(stream: str, **keys: Any) -> JetStreamConfig:
    return JetStreamConfig.model_validate({"stream": stream, "durable": "d", **keys})


@asynccontextmanager
async def client(server: Nats, **options: Any) -> AsyncIterator[Client]:
    """A connection of the test's own."""
    client = Client()
    await client.connect(
        server.broker,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.05,  # type: ignore[arg-type]
        **options,
    )
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def stream(server: Nats, name: str) -> AsyncIterator[JetStreamContext]:
    """JetStream of a server, with a stream that has the subject of its name."""
    async with client(server) as own:
        jetstream = own.jetstream(timeout=PATIENCE)
        await jetstream.add_stream(name=name, subjects=[name])
        yield jetstream


def receipt(message: Message) -> Receipt:
    assert message.receipt is not None
    return message.receipt


async def taken(inbox: Inbox) -> bytes:
    """Take a message, and have it acknowledged."""
    message = await inbox.next()
    await receipt(message).ack()
    return message.body


async def until_trouble(consumer: Consumer, words: str) -> None:
    await until(lambda: words in (consumer.trouble or ""))


async def test_a_consumer_is_there_when_its_server_is(server: Nats) -> None:
    async with opened(server.broker) as broker:
        inbox = Inbox()
        consumer = broker.consume("away", config("away"), 4, inbox)
        await until_there(broker.availability, False)
        assert consumer.trouble is None  # the broker tells
        server.start()
        await until_trouble(consumer, "nats stream add away --subjects 'away' --defaults")
        async with stream(server, "away") as jetstream:
            await consumer.ready()
            await jetstream.publish("away", b"x")
            assert await taken(inbox) == b"x"
            assert consumer.trouble is None
        await consumer.aclose()


async def test_a_server_that_is_killed_under_load_loses_no_message(server: Nats) -> None:
    server.start()
    async with opened(server.broker) as broker, stream(server, "load") as jetstream:
        kept: set[bytes] = set()
        handled: list[bytes] = []
        tasks: set[asyncio.Task[None]] = set()
        stop = asyncio.Event()

        async def handle(message: Message) -> None:
            await asyncio.sleep(0)
            handled.append(message.body)
            await receipt(message).ack()

        def take(message: Message) -> None:
            task = asyncio.create_task(handle(message))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        async def publish(who: int) -> None:
            number = 0
            while not stop.is_set():
                body = f"{who}.{number}".encode()
                try:
                    await jetstream.publish("load", body, timeout=1)
                except (Error, OSError):
                    await asyncio.sleep(0.01)
                else:
                    kept.add(body)
                    number += 1

        consumer = broker.consume("load", config("load", ack_wait=1), 16, take)
        load = [asyncio.create_task(publish(who)) for who in range(8)]
        for _ in range(2):
            enough = len(kept) + 50
            await until(lambda enough=enough: len(kept) > enough)  # type: ignore[misc]
            server.kill()
            await until_there(broker.availability, False)
            server.start()
            await until_there(broker.availability, True)
        stop.set()
        await asyncio.gather(*load)
        await until_settled(jetstream, "load", "d")
        await consumer.aclose()
        assert len(kept) > 100
        assert kept <= set(handled)


async def test_a_server_that_is_held_is_left_and_used_again(server: Nats) -> None:
    server.start()
    async with opened(server.broker) as broker, stream(server, "held") as jetstream:
        inbox = Inbox()
        # What goes to the connection that was given up comes again after that.
        consumer = broker.consume("held", config("held", ack_wait=3.0), 4, inbox)
        await consumer.ready()
        server.hold()
        # No sign of life comes for the pull that waits.
        await until_there(broker.availability, False)
        server.let_go()
        await jetstream.publish("held", b"x")
        assert await taken(inbox) == b"x"
        await consumer.aclose()


async def test_a_stream_or_a_consumer_that_was_deleted_is_found_again(nats_server: Nats) -> None:
    async with opened(nats_server.broker) as broker, stream(nats_server, "gone") as jetstream:
        inbox = Inbox()
        consumer = broker.consume("gone", config("gone"), 1, inbox)
        await consumer.ready()
        await jetstream.delete_consumer("gone", "d")
        await jetstream.publish("gone", b"1")
        assert await taken(inbox) == b"1"
        await jetstream.publish("gone", b"2")
        held = await inbox.next()
        await jetstream.delete_stream("gone")
        await receipt(held).ack()  # of what is gone, which nobody minds
        await until_trouble(consumer, "there is no stream gone")
        await jetstream.add_stream(name="gone", subjects=["gone"])
        await jetstream.publish("gone", b"3")
        assert await taken(inbox) == b"3"
        await until_settled(jetstream, "gone", "d")
        await consumer.aclose()


async def test_a_place_for_dead_letters_is_asked_for(nats_server: Nats) -> None:
    async with opened(nats_server.broker) as broker, stream(nats_server, "buried"):
        dead = config("buried", dead_letter="bury.it")
        consumer = broker.consume("buried", dead, 1, Inbox())
        await until_trouble(
            consumer, "`nats stream add buried_DEAD --subjects 'bury.it' --defaults`"
        )
        async with stream(nats_server, "bury") as jetstream:
            await jetstream.update_stream(name="bury", subjects=["bury.*"])
            await consumer.ready()
        await consumer.aclose()


async def test_a_consumer_of_another_kind_is_left_as_it_is(nats_server: Nats) -> None:
    async with opened(nats_server.broker) as broker, stream(nats_server, "other") as jetstream:
        await jetstream.add_consumer("other", durable_name="d", ack_policy=AckPolicy.NONE)
        consumer = broker.consume("other", config("other"), 1, Inbox())
        await until_trouble(consumer, "`nats consumer rm other d`")
        await consumer.aclose()
        assert (await jetstream.consumer_info("other", "d")).config.ack_policy == AckPolicy.NONE


async def test_what_the_operator_said_of_a_consumer_stays(nats_server: Nats) -> None:
    async with opened(nats_server.broker) as broker, stream(nats_server, "own") as jetstream:
        for number in range(3):
            await jetstream.publish("own", str(number).encode())
        await jetstream.add_consumer(
            "own", durable_name="d", deliver_policy="last", description="ours"
        )
        inbox = Inbox()
        consumer = broker.consume("own", config("own", ack_wait=7, max_ack_pending=3), 1, inbox)
        assert await taken(inbox) == b"2"
        await consumer.aclose()
        made = (await jetstream.consumer_info("own", "d")).config
        assert (made.description, made.ack_wait, made.max_ack_pending) == ("ours", 7, 3)


class Core(Nats):
    """NATS without JetStream."""

    def arguments(self, folder: Path, port: int) -> Sequence[str]:
        own = super().arguments(folder, port)
        return own[: own.index("--jetstream")]


async def test_a_server_without_streams_is_told_of(tmp_path: Path) -> None:
    with Core(tmp_path) as server:
        async with opened(server.broker) as broker:
            consumer = broker.consume("none", config("none"), 1, Inbox())
            await until_trouble(consumer, "JetStream is not enabled")
            await broker.publish(Message("t.a", b""))  # which does not mind
            await consumer.aclose()


ADMIN = {"user": "admin", "password": "secret"}

USERS = """
authorization { users = [
  { user: admin, password: secret },
  { user: none, password: secret, permissions: { publish: "t.>" } },
  { user: shop, password: secret, permissions: {
      subscribe: "_INBOX.>"
      publish: [%s]
  } },
] }
"""


async def test_what_a_user_needs_to_be_allowed_is_enough_and_less_is_told_of(
    tmp_path: Path,
) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "messaging.md").read_text()
    _, _, needed = guide.partition("A user of NATS whose rights are bounded")
    subjects = re.findall(r"`(\$.*?)`", needed.partition("\n\n")[0])
    assert len(subjects) == 6
    (tmp_path / "nats.conf").write_text(USERS % ", ".join(map(json.dumps, [*subjects, "dead"])))
    with Nats(tmp_path, "--config", str(tmp_path / "nats.conf")) as server:
        where = f"secret@127.0.0.1:{server.port}"
        async with opened(f"nats://none:{where}") as broker:
            consumer = broker.consume("none", config("none"), 1, Inbox())
            await until_trouble(consumer, "may not be allowed")
            assert broker.availability.trouble is None  # others use it as they did
            await broker.publish(Message("t.a", b""))
            await consumer.aclose()
        async with (
            opened(f"nats://shop:{where}") as broker,
            client(server, **ADMIN) as admin,
        ):
            jetstream = admin.jetstream(timeout=PATIENCE)
            await jetstream.add_stream(name="ORDERS", subjects=["orders.new.*", "dead"])
            orders = JetStreamConfig(stream="ORDERS", durable="shop", dead_letter="dead")
            inbox = Inbox()
            consumer = broker.consume("orders.new.*", orders, 1, inbox)
            for _ in range(3):
                await jetstream.publish("orders.new.1", b"x")
            await receipt(await inbox.next()).nak()
            await taken(inbox)
            assert await receipt(await inbox.next()).term("it must")
            await taken(inbox)
            await until_settled(jetstream, "ORDERS", "shop")
            await consumer.aclose()


async def test_what_a_worker_had_that_died_is_delivered_to_another(nats_server: Nats) -> None:
    async with stream(nats_server, "died") as jetstream:
        for number in range(4):
            await jetstream.publish("died", str(number).encode())
        inbox = Inbox()
        async with opened(nats_server.broker) as broker:
            consumer = broker.consume("died", config("died", ack_wait=0.5), 4, inbox)
            had = [await inbox.next() for _ in range(4)]
            await receipt(had[0]).ack()
        # Its connection is gone, and with it whoever said that the others are in progress.
        await consumer.aclose()
        async with opened(nats_server.broker) as broker:
            consumer = broker.consume("died", config("died", ack_wait=0.5), 4, inbox)
            again = [await inbox.next() for _ in range(3)]
            assert sorted(each.body for each in again) == [b"1", b"2", b"3"]
            assert {receipt(each).deliveries for each in again} == {2}
            for each in again:
                await receipt(each).ack()
            await until_settled(jetstream, "died", "d")
            await consumer.aclose()


async def test_what_comes_again_while_it_is_handled_is_not_handled_twice(nats_server: Nats) -> None:
    async with (
        opened(nats_server.broker) as broker,
        stream(nats_server, "twice") as jetstream,
        client(nats_server) as other,
    ):
        signs = await other.subscribe("$JS.ACK.twice.d.>")
        inbox = Inbox()
        consumer = broker.consume("twice", config("twice", ack_wait=0.3), 4, inbox)
        await jetstream.publish("twice", b"1")
        held = await inbox.next()
        # As if the server had heard nothing of it for too long.
        first = (await signs.next_msg(PATIENCE)).subject
        await other.publish(first, b"-NAK")
        async with asyncio.timeout(PATIENCE):
            while (await signs.next_msg(PATIENCE)).subject.startswith(first.rpartition(".1.1.")[0]):
                pass
        await receipt(held).ack()
        await until_settled(jetstream, "twice", "d")
        await consumer.aclose()
        assert inbox.rest() == []


async def test_many_messages_leave_nothing(nats_server: Nats) -> None:
    async with (
        opened(nats_server.broker) as broker,
        stream(nats_server, "many") as jetstream,
        client(nats_server) as other,
    ):
        await jetstream.add_stream(name="many_DEAD", subjects=["many_dead"])
        tasks: set[asyncio.Task[None]] = set()
        count = 0

        async def settle(kept: Receipt, how: int) -> None:
            if how == 0 or kept.deliveries > 1:
                await kept.ack()
            elif how == 1:
                await kept.nak()
            else:
                await kept.term("it must")

        def take(message: Message) -> None:
            nonlocal count
            count += 1
            kept = receipt(message)
            task = asyncio.create_task(settle(kept, int(message.body) % 3))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        consumer = broker.consume("many", config("many", dead_letter="many_dead"), 64, take)
        await consumer.ready()
        before = tasks_and_descriptors()
        for start in range(0, 15_000, 200):
            for number in range(start, start + 200):
                await other.publish("many", str(number).encode())
            await other.flush()
        await until(lambda: count >= 20_000)
        await until_settled(jetstream, "many", "d")
        await until(lambda: not any(map(gt, tasks_and_descriptors(), before)))
        assert count == 20_000
        assert consumer._unsettled == {}
        assert (await jetstream.stream_info("many_DEAD")).state.messages == 5000
        await consumer.aclose()


async def test_a_consumer_that_ends_leaves_nothing_when_what_it_had_is_settled(
    nats_server: Nats,
) -> None:
    before = asyncio.all_tasks()
    async with stream(nats_server, "ends") as jetstream:
        async with opened(nats_server.broker) as broker:
            inbox = Inbox()
            consumer = broker.consume("ends", config("ends", ack_wait=0.1), 4, inbox)
            await jetstream.publish("ends", b"x")
            held = await inbox.next()
            await consumer.aclose()
            await receipt(held).ack()
        await until_settled(jetstream, "ends", "d")
    assert asyncio.all_tasks() <= before
