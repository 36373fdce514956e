"""Messages that components take of a stream of JetStream: what becomes of each, however its handler ends."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo

from gateway.app import create_app
from gateway.config import ComponentConfig, GatewayConfig
from gateway.host.errors import ComponentError
from gateway.observe.events import Outcome
from tests.capabilities.servers import Nats, until_settled
from tests.harness import GuestPath
from tests.patience import PATIENCE, until
from tests.transports.talking import Talking, component, lifespan, talking

pytestmark = pytest.mark.anyio

NUMBERS: Final = itertools.count()


@pytest.fixture
def c(guest: GuestPath) -> Path:
    """The component that does what messages say."""
    return guest("c/messages")


class Stream:
    """A stream of the server that all tests share, and one for dead letters, both for one test.

    Attributes:
        name: its name, in small letters the first token of its subjects too.
        client: a connection of the test's own.
    """

    def __init__(self, url: str, client: Client) -> None:
        self.name = f"S{next(NUMBERS)}"
        self.client = client
        self.jetstream: JetStreamContext = client.jetstream(timeout=PATIENCE)
        self._url = url

    async def make(self) -> None:
        await self.jetstream.add_stream(name=self.name, subjects=[f"{self.name}.>"])
        await self.jetstream.add_stream(name=f"{self.name}_DEAD", subjects=[f"dead.{self.name}"])

    def component(self, source: Path, *, name: str = "m", **keys: Any) -> ComponentConfig:
        """A component that takes its messages, by more keys of `jetstream` and of the subscription (`limits`)."""
        stream = {
            "stream": self.name,
            "durable": "shop",
            "dead_letter": f"dead.{self.name}",
            "retry_delay": 0.1,
            **keys.pop("jetstream", {}),
        }
        limits = {"jetstream": stream, **keys.pop("limits", {})}
        return component(source, self._url, f"{self.name}.>", name=name, limits=limits, **keys)

    async def publish(self, *bodies: str) -> None:
        for body in bodies:
            await self.jetstream.publish(f"{self.name}.a", body.encode())

    async def consumer(self) -> ConsumerInfo:
        info: ConsumerInfo = await self.jetstream.consumer_info(self.name, "shop")
        return info

    async def until_it_has(self, in_hand: int, waiting: int) -> ConsumerInfo:
        """Wait until so many are delivered and not acknowledged, and so many not delivered."""
        async with asyncio.timeout(PATIENCE):
            while True:
                info = await self.consumer()
                if (info.num_ack_pending, info.num_pending) == (in_hand, waiting):
                    return info
                await asyncio.sleep(0.01)

    async def until_settled(self) -> ConsumerInfo:
        """Wait until nothing is left in the stream that is not handled."""
        return await until_settled(self.jetstream, self.name, "shop")

    async def dead(self, number: int) -> list[Msg]:
        """So many dead letters."""
        letters = await self.jetstream.subscribe(f"dead.{self.name}", ordered_consumer=True)
        found = [await letters.next_msg(PATIENCE) for _ in range(number)]
        await letters.unsubscribe()
        return found


@pytest.fixture
async def stream(nats_server: Nats) -> AsyncIterator[Stream]:
    client = Client()
    await client.connect(nats_server.broker, allow_reconnect=False)
    stream = Stream(nats_server.broker, client)
    await stream.make()
    yield stream
    await client.close()


def bodies(gateway: Talking) -> int:
    return len(gateway.events)


async def test_what_was_handled_is_acknowledged(c: Path, stream: Stream) -> None:
    await stream.publish("before", "it starts")
    async with talking(stream.component(c)) as gateway:
        await stream.publish(*(str(number) for number in range(48)))
        await gateway.ended(50)
        assert gateway.outcomes == [Outcome.OK] * 50
        assert {event.deliveries for event in gateway.events} == {1}
        assert {event.route for event in gateway.events} == {f"{stream.name}.>|{stream.name}/shop"}
        info = await stream.until_settled()
        assert (info.num_redelivered, info.ack_floor.stream_seq) == (0, 50)  # type: ignore[union-attr]
        assert await gateway.metric('gateway_messages_redelivered_total{component="m"}') == 0


@pytest.mark.parametrize(
    ("body", "outcome", "reason"),
    [
        ("eno \r\nroom", Outcome.ERR, "err: no room"),
        ("t", Outcome.TRAP, "trap"),
        ("s", Outcome.DEADLINE, "deadline"),
    ],
)
async def test_what_was_not_is_delivered_again_and_a_dead_letter_in_the_end(
    c: Path, stream: Stream, body: str, outcome: Outcome, reason: str
) -> None:
    limit = 0.1 if outcome is Outcome.DEADLINE else PATIENCE
    config = stream.component(c, jetstream={"max_deliver": 3}, max_execution_time=limit)
    async with talking(config) as gateway:
        trace = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01", "Nats-Msg-Id": "7"}
        trace["Nats-Expected-Stream"] = stream.name  # which that of dead letters is not
        await stream.jetstream.publish(f"{stream.name}.a", body.encode(), headers=trace)
        (letter,) = await stream.dead(1)
        await gateway.ended(3)
        assert gateway.outcomes == [outcome] * 3
        assert [event.deliveries for event in gateway.events] == [1, 2, 3]
        assert letter.data == body.encode()
        assert letter.headers == {
            "traceparent": trace["traceparent"],
            "Nats-Msg-Id": f"{stream.name}.shop.1",
            "Dead-Letter-Reason": reason,
            "Dead-Letter-Subject": f"{stream.name}.a",
            "Dead-Letter-Stream": stream.name,
            "Dead-Letter-Sequence": "1",
            "Dead-Letter-Consumer": "shop",
            "Dead-Letter-Deliveries": "3",
        }
        await stream.until_settled()
        await gateway.told('gateway_messages_redelivered_total{component="m"}', 2)
        given_up = 'gateway_messages_{}_total{{component="m",reason="given-up"}}'
        await gateway.told(given_up.format("dead_lettered"), 1)
        # The next is not kept up by it.
        await stream.publish("x")
        await gateway.ended(4)


async def test_without_a_place_for_dead_letters_a_message_is_given_up(
    c: Path, stream: Stream
) -> None:
    config = stream.component(c, jetstream={"max_deliver": 1, "dead_letter": None})
    async with talking(config) as gateway:
        await stream.publish("t")
        await gateway.told('gateway_messages_dropped_total{component="m",reason="given-up"}', 1)
        await stream.until_settled()
        assert bodies(gateway) == 1


async def test_a_message_that_is_too_large_is_a_dead_letter(c: Path, stream: Stream) -> None:
    config = stream.component(c)
    small = config.model_copy(
        update={"messaging": config.messaging.model_copy(update={"max_message": 10})}  # type: ignore[union-attr]
    )
    async with talking(small) as gateway:
        await stream.publish("x" * 11, "x" * 10)
        (letter,) = await stream.dead(1)
        assert letter.headers is not None
        assert "11 bytes" in letter.headers["Dead-Letter-Reason"]
        await gateway.ended(1)
        await stream.until_settled()
        too_large = 'gateway_messages_dead_lettered_total{component="m",reason="too-large"}'
        await gateway.told(too_large, 1)
        assert [event.bytes_in for event in gateway.events] == [10]


async def test_one_that_kills_whoever_handles_it_is_a_dead_letter(c: Path, stream: Stream) -> None:
    # Somebody takes it as often as it may be delivered, and never says what became of it.
    await stream.jetstream.add_consumer(stream.name, durable_name="shop", ack_wait=0.05)
    pull = await stream.jetstream.pull_subscribe_bind("shop", stream.name)
    await stream.publish("x")
    for _ in range(2):
        await pull.fetch(1, PATIENCE)
    often = {"max_deliver": 2, "ack_wait": "3s"}
    async with talking(stream.component(c, jetstream=often)) as gateway:
        (letter,) = await stream.dead(1)
        assert letter.headers is not None
        assert letter.headers["Dead-Letter-Deliveries"] == "3"
        await stream.until_settled()
        assert gateway.events == []


async def test_a_dead_letter_without_a_place_stays_where_it_is(c: Path, stream: Stream) -> None:
    async with talking(stream.component(c, jetstream={"max_deliver": 1})) as gateway:
        await stream.jetstream.delete_stream(f"{stream.name}_DEAD")
        await stream.publish("e")
        # It is tried again, and is one as soon as there is a place.
        await gateway.told('gateway_messages_redelivered_total{component="m"}', 1)
        await stream.jetstream.add_stream(
            name=f"{stream.name}_DEAD", subjects=[f"dead.{stream.name}"]
        )
        await stream.dead(1)
        await stream.until_settled()
        assert gateway.outcomes == [Outcome.ERR]


class Latch:
    """Holds the handlers of messages, which are those that ask it."""

    def __init__(self, asked: Any) -> None:
        self._asked = asked

    async def holds(self, number: int) -> list[Msg]:
        """Wait until so many more are held."""
        return [await self._asked.next_msg(PATIENCE) for _ in range(number)]


@pytest.fixture
async def latch(stream: Stream) -> Latch:
    return Latch(await stream.client.subscribe("t.latch"))


async def test_a_handler_that_takes_long_keeps_its_message(
    c: Path, stream: Stream, latch: Latch
) -> None:
    signs = await stream.client.subscribe(f"$JS.ACK.{stream.name}.shop.>")
    async with talking(stream.component(c, jetstream={"ack_wait": 0.5})) as gateway:
        await stream.publish("ht.latch")
        (question,) = await latch.holds(1)
        for _ in range(7):  # that is longer than `ack_wait`
            assert (await signs.next_msg(PATIENCE)).data == b"+WPI"
        await question.respond(b"")
        await stream.until_settled()
        await gateway.ended(1)
        assert gateway.outcomes == [Outcome.OK]


async def test_what_cannot_be_handled_at_once_stays_in_the_stream(
    c: Path, stream: Stream, latch: Latch
) -> None:
    async with talking(stream.component(c, limits={"max_concurrency": 3})) as gateway:
        await stream.publish(*["ht.latch"] * 10)
        questions = await latch.holds(3)
        assert (await stream.until_it_has(3, 7)).num_waiting == 0
        assert gateway.app.services[0].in_flight == 3
        for _ in range(7):
            await questions.pop().respond(b"")
            questions += await latch.holds(1)
            assert gateway.app.services[0].in_flight <= 3
        for question in questions:
            await question.respond(b"")
        await stream.until_settled()
        await gateway.ended(10)
        assert gateway.outcomes == [Outcome.OK] * 10


async def test_a_drain_finishes_what_was_taken_and_leaves_the_rest(
    c: Path, stream: Stream, latch: Latch
) -> None:
    async with talking(stream.component(c, limits={"max_concurrency": 2})) as gateway:
        await stream.publish(*["ht.latch"] * 5)
        questions = await latch.holds(2)
        gateway.app.drain()
        for question in questions:
            await question.respond(b"")
        await until(lambda: not gateway.app.busy)
        assert gateway.outcomes == [Outcome.OK] * 2
    # What a worker says at its end may still be on its way.
    info = await stream.until_it_has(0, 3)
    assert info.ack_floor.stream_seq == 2  # type: ignore[union-attr]


async def test_what_is_stopped_is_handled_elsewhere_at_once(
    c: Path, stream: Stream, latch: Latch
) -> None:
    patient = {"ack_wait": 3600, "retry_delay": 3600}  # who waits for these waits in vain
    config = stream.component(c, jetstream=patient, limits={"max_concurrency": 2})
    async with talking(config) as gateway:
        await stream.publish(*["ht.latch"] * 2)
        await latch.holds(2)
        gateway.app.drain()
        assert gateway.app.stop_calls() == 2
        await until(lambda: not gateway.app.busy)
        assert gateway.outcomes == [Outcome.CANCELLED] * 2
    async with talking(config) as gateway:
        for question in await latch.holds(2):
            await question.respond(b"")
        await gateway.ended(2)
        assert {event.deliveries for event in gateway.events} == {2}
        await stream.until_settled()


async def test_two_gateways_share_a_consumer_and_a_reload_neither_loses_nor_doubles(
    c: Path, stream: Stream
) -> None:
    configs = [
        GatewayConfig(
            components=(
                stream.component(
                    c,
                    environment={"N": str(number % 2)},
                    jetstream={"max_ack_pending": 100 + number // 2},
                ),
            )
        )
        for number in range(4)
    ]
    async with (
        talking(*configs[0].components) as first,
        talking(*configs[0].components) as second,
    ):
        sent, stop = 0, asyncio.Event()

        async def send() -> None:
            nonlocal sent
            while not stop.is_set():
                await stream.publish("x")
                sent += 1

        sending = asyncio.create_task(send())
        # Some hand the subscription over, some make another since it is not the same any more.
        for number in range(1, 9):
            await first.app.reload(configs[number % 4])
            await until(lambda: bodies(first) > 0)
        await until(lambda: bodies(second) > 0)
        stop.set()
        await sending
        await stream.until_settled()
        await until(lambda: bodies(first) + bodies(second) >= sent)
        assert [*first.outcomes, *second.outcomes] == [Outcome.OK] * sent
        assert {event.deliveries for event in first.events + second.events} == {1}


async def test_what_is_missing_is_told_with_the_command_that_makes_it(
    c: Path, stream: Stream
) -> None:
    await stream.jetstream.delete_stream(stream.name)
    config = GatewayConfig(components=(stream.component(c),))
    app = create_app(config)
    async with lifespan(app):
        await until(app._deployment.warnings)
        (warning,) = app._deployment.warnings()
        assert "component m" in warning
        assert f"`nats stream add {stream.name} --subjects '{stream.name}.>' --defaults`" in warning
        await stream.jetstream.add_stream(name=stream.name, subjects=[f"{stream.name}.>"])
        await until(lambda: not app._deployment.warnings())


def test_a_broker_without_streams_is_refused(c: Path) -> None:
    limits = {"jetstream": {"stream": "S", "durable": "d"}}
    config = component(c, "memory:", "t.*", limits=limits)
    with pytest.raises(ComponentError, match="broker without streams: leave jetstream out"):
        create_app(GatewayConfig(components=(config,)))
