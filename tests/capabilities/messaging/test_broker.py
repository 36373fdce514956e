"""What every broker must do."""

from __future__ import annotations

import asyncio

import pytest

from gateway.capabilities.backend import BackendError, NoAnswer
from gateway.capabilities.messaging import Broker, Message
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio


class Inbox:
    """Takes messages."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Message] = asyncio.Queue()

    def __call__(self, message: Message) -> None:
        self._queue.put_nowait(message)

    async def next(self) -> Message:
        async with asyncio.timeout(PATIENCE):
            return await self._queue.get()

    def rest(self) -> list[Message]:
        return [self._queue.get_nowait() for _ in range(self._queue.qsize())]


async def subscribed(broker: Broker, subject: str, queue: str | None = None) -> Inbox:
    inbox = Inbox()
    subscription = broker.subscribe(subject, queue, inbox)
    async with asyncio.timeout(PATIENCE):
        await subscription.ready()
    return inbox


async def test_a_message_comes_as_it_was_sent(broker: Broker) -> None:
    """wasmcloud:messaging: a `broker-message` comes with its subject, body and `reply-to`."""
    inbox = await subscribed(broker, "t.whole")
    for body in (b"", b"\x00\xff\r\n", b"x" * 1_000_000):
        message = Message("t.whole", body, "t.reply", {"traceparent": "00-1-2-01"})
        await broker.publish(message)
        assert await inbox.next() == message
    await broker.publish(Message("t.whole", b"alone"))
    assert await inbox.next() == Message("t.whole", b"alone")


async def test_every_subscription_has_a_message_that_it_is_for(broker: Broker) -> None:
    """wasmcloud:messaging: subscriptions have NATS's wildcards."""
    inboxes = [await subscribed(broker, subject) for subject in ("f.a", "f.*", "f.>", "f.b")]
    await broker.publish(Message("f.a", b"1"))
    await broker.publish(Message("f.b", b"2"))
    await broker.publish(Message("f.a.b", b"3"))
    expected = [[b"1"], [b"1", b"2"], [b"1", b"2", b"3"], [b"2"]]
    for inbox, bodies in zip(inboxes, expected, strict=True):
        assert [(await inbox.next()).body for _ in bodies] == bodies
        assert inbox.rest() == []


async def test_one_member_of_a_queue_has_each_message(broker: Broker) -> None:
    """wasmcloud:messaging: of a queue group, one member has each message."""
    members = [await subscribed(broker, subject, "q") for subject in ("q.*", "q.*", "q.>")]
    other = await subscribed(broker, "q.a", "other")
    for number in range(300):
        await broker.publish(Message("q.a", str(number).encode()))
    told = [await other.next() for _ in range(300)]
    shares: list[list[Message]] = [[], [], []]
    async with asyncio.timeout(PATIENCE):
        while sum(map(len, shares)) < 300:
            for share, member in zip(shares, members, strict=True):
                share.extend(member.rest())
            await asyncio.sleep(0)
    assert all(shares)
    assert sorted(message.body for share in shares for message in share) == sorted(
        message.body for message in told
    )


async def test_a_request_has_the_first_answer(broker: Broker) -> None:
    inbox = await subscribed(broker, "r.a")
    asking = asyncio.create_task(broker.request(Message("r.a", b"question"), PATIENCE))
    question = await inbox.next()
    assert question.body == b"question"
    assert question.reply_to is not None
    await broker.publish(Message(question.reply_to, b"answer"))
    await broker.publish(Message(question.reply_to, b"another"))
    assert (await asking).body == b"answer"


async def test_a_request_that_nobody_takes_is_an_error_at_once(broker: Broker) -> None:
    with pytest.raises(BackendError, match="nobody answers") as raised:
        await broker.request(Message("r.nobody", b""), PATIENCE)
    assert raised.value.reason is None


async def test_a_request_has_no_answer_in_time(broker: Broker) -> None:
    await subscribed(broker, "r.silent")
    with pytest.raises(NoAnswer, match="timed out"):
        await broker.request(Message("r.silent", b""), 0.01)


async def test_requests_that_are_cancelled_leave_nothing(broker: Broker) -> None:
    inbox = await subscribed(broker, "r.cancelled")
    asking = [
        asyncio.create_task(broker.request(Message("r.cancelled", b""), PATIENCE))
        for _ in range(100)
    ]
    questions = [await inbox.next() for _ in asking]
    for task in asking:
        task.cancel()
    await asyncio.wait(asking)
    for question in questions:  # too late
        assert question.reply_to is not None
        await broker.publish(Message(question.reply_to, b"late"))
    answered = asyncio.create_task(broker.request(Message("r.cancelled", b""), PATIENCE))
    reply_to = (await inbox.next()).reply_to
    assert reply_to is not None
    await broker.publish(Message(reply_to, b"in time"))
    assert (await answered).body == b"in time"


async def test_what_was_sent_before_a_subscription_ends_still_comes(broker: Broker) -> None:
    inbox = Inbox()
    subscription = broker.subscribe("e.a", None, inbox)
    await subscription.ready()
    for number in range(100):
        await broker.publish(Message("e.a", str(number).encode()))
    await subscription.aclose()
    await subscription.aclose()
    assert [int(message.body) for message in inbox.rest()] == list(range(100))
    await broker.publish(Message("e.a", b"late"))
    assert inbox.rest() == []


async def test_a_subscription_that_is_handed_over_loses_nothing(broker: Broker) -> None:
    first, second = Inbox(), Inbox()
    subscription = broker.subscribe("h.a", None, first)
    await subscription.ready()

    async def send() -> None:
        for number in range(1000):
            await broker.publish(Message("h.a", str(number).encode()))
            await asyncio.sleep(0)

    sending = asyncio.create_task(send())
    received = [await first.next()]
    subscription.deliver = second
    await sending
    await subscription.aclose()
    received += [*first.rest(), *second.rest()]
    assert [int(message.body) for message in received] == list(range(1000))
