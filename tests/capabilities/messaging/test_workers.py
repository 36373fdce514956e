"""Messages in memory, between the workers of a gateway."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.capabilities.backend import BackendError
from gateway.capabilities.messaging import Message, other_workers
from gateway.capabilities.messaging.memory import MemoryBroker
from gateway.capabilities.messaging.other_workers import MAX_WAITING
from tests.capabilities.messaging.test_broker import Inbox, subscribed
from tests.patience import PATIENCE, until

pytestmark = pytest.mark.anyio


class Gateway:
    """What the workers of a gateway have of one broker in memory.

    Attributes:
        lost: how many messages were lost to workers.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = AsyncExitStack()
        self.lost = 0

    async def worker(self) -> MemoryBroker:
        """One more."""
        worker = MemoryBroker(self._folder, self._count)
        self._stack.push_async_callback(worker.aclose)
        return worker

    async def __aenter__(self) -> Gateway:
        return self

    async def __aexit__(self, *_: object) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._stack.aclose()

    def _count(self, number: int) -> None:
        self.lost += number


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    before = len(asyncio.all_tasks())
    async with Gateway(tmp_path / "m") as gateway:
        yield gateway
    await until(lambda: len(asyncio.all_tasks()) <= before)
    assert list((tmp_path / "m").iterdir()) == []


async def told(count: int, *inboxes: Inbox) -> list[list[Message]]:
    """What is in some inboxes, when it is so much in all; nothing more must be."""
    found: list[list[Message]] = [[] for _ in inboxes]

    def all_there() -> bool:
        for some, inbox in zip(found, inboxes, strict=True):
            some.extend(inbox.rest())
        return sum(map(len, found)) >= count

    await until(all_there)
    assert sum(map(len, found)) == count
    return found


async def test_a_message_is_with_every_worker_and_once_with_a_queue(gateway: Gateway) -> None:
    workers = [await gateway.worker() for _ in range(3)]
    plain = [await subscribed(worker, "t.*") for worker in workers]
    members = [await subscribed(worker, "t.a", "q") for worker in workers]
    members.append(await subscribed(workers[0], "t.>", "q"))
    for number in range(300):
        await workers[number % 3].publish(Message("t.a", str(number).encode()))
    every = await told(900, *plain)
    bodies = sorted(message.body for message in every[0])
    assert bodies == sorted(str(number).encode() for number in range(300))
    assert all(sorted(message.body for message in some) == bodies for some in every)
    shares = await told(300, *members)
    assert sorted(message.body for share in shares for message in share) == bodies
    assert all(len(share) > 30 for share in shares)


async def test_messages_of_one_worker_come_in_their_order(gateway: Gateway) -> None:
    one, other = await gateway.worker(), await gateway.worker()
    inbox = await subscribed(other, "t.a")
    for number in range(2000):
        await one.publish(Message("t.a", str(number).encode()))
    (received,) = await told(2000, inbox)
    assert [int(message.body) for message in received] == list(range(2000))


async def test_brokers_of_other_names_are_others(tmp_path: Path) -> None:
    async with Gateway(tmp_path / "a") as a, Gateway(tmp_path / "b") as b:
        inbox = await subscribed(await b.worker(), "t.a")
        with pytest.raises(BackendError, match="nobody answers"):
            await (await a.worker()).request(Message("t.a", b""), PATIENCE)
        assert inbox.rest() == []


async def test_a_worker_that_comes_later_is_found_and_one_that_left_is_not(
    gateway: Gateway,
) -> None:
    one = await gateway.worker()
    with pytest.raises(BackendError, match="nobody answers"):
        await one.request(Message("t.a", b""), PATIENCE)
    for _ in range(3):
        other = await gateway.worker()
        subscription = other.subscribe("t.a", "q", inbox := Inbox())
        await subscription.ready()
        await one.publish(Message("t.a", b"x"))
        assert (await inbox.next()).body == b"x"
        await subscription.aclose()
        with pytest.raises(BackendError, match="nobody answers"):
            await one.request(Message("t.a", b""), PATIENCE)
        await other.aclose()


async def test_a_queue_that_leaves_one_worker_loses_nothing(gateway: Gateway) -> None:
    workers = [await gateway.worker() for _ in range(2)]
    inbox = Inbox()
    subscriptions = [worker.subscribe("t.a", "q", inbox) for worker in workers]
    for each in subscriptions:
        await each.ready()
    sent = 0

    async def send() -> None:
        nonlocal sent
        while True:
            await workers[0].publish(Message("t.a", b"x"))
            sent += 1
            await asyncio.sleep(0)

    sending = asyncio.create_task(send())
    await inbox.next()
    await subscriptions[1].aclose()
    seen = sent
    await until(lambda: sent > seen + 100)
    sending.cancel()
    await asyncio.wait((sending,))
    assert len((await told(sent - 1, inbox))[0]) == sent - 1


WORKER = """
import asyncio, sys
from pathlib import Path
from gateway.capabilities.messaging import Message
from gateway.capabilities.messaging.memory import MemoryBroker

async def serve():
    broker = MemoryBroker(Path(sys.argv[1]))
    answer = lambda it: it.reply_to and answering.append(
        asyncio.ensure_future(broker.publish(Message(it.reply_to, b"answer")))
    )
    answering = []
    for subject, queue in ("t.plain", None), ("t.queue", "q"):
        await broker.subscribe(subject, queue, answer).ready()
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(serve())
"""
"""A worker that takes `t.plain`, and `t.queue` as the queue `q`, and answers."""


@pytest.fixture
async def process(gateway: Gateway, tmp_path: Path) -> AsyncIterator[Process]:
    """Such a worker, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, str(tmp_path / "m"), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        (tmp_path / "m").mkdir(exist_ok=True)
        for path in (tmp_path / "m").glob(f"{process.pid}-*"):
            path.unlink()


async def test_a_worker_that_is_stopped_holds_nobody(
    gateway: Gateway, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await gateway.worker(), await gateway.worker()
    inbox, member = await subscribed(other, "t.plain"), await subscribed(other, "t.queue", "q")
    assert (await one.request(Message("t.plain", b""), PATIENCE)).body == b"answer"
    inbox.rest()
    process.send_signal(signal.SIGSTOP)
    # Its socket has much room, and a queue goes by it as soon as it is known not to take anything.
    await one.publish(Message("t.plain", b""))
    await inbox.next()
    await until(lambda: any(worker.busy for worker in one._others or ()))
    for _ in range(100):
        await one.publish(Message("t.queue", b"x"))
    await told(100, member)
    body = bytes(MAX_WAITING // 16)
    with capture_logs() as logs:
        for _ in range(40):
            await one.publish(Message("t.plain", body))
            assert (await inbox.next()).body == body  # which others have all the while
    assert 0 < gateway.lost < 40
    waiting = [
        other.writer.transport.get_write_buffer_size()
        for other in one._others or ()
        if other.writer is not None
    ]
    assert len(waiting) == 2
    assert max(waiting) < MAX_WAITING + len(body)
    (line,) = [line for line in logs if line["event"] == "messages lost"]
    assert line["pid"] == process.pid
    # So does one who comes or goes now, after a time.
    monkeypatch.setattr(other_workers, "_ANSWER", 0.1)
    third = await gateway.worker()
    subscription = third.subscribe("t.queue", "q", Inbox())
    await subscription.ready()
    await subscription.aclose()
    # It goes on with what waited.
    process.send_signal(signal.SIGCONT)
    assert (await one.request(Message("t.plain", b""), PATIENCE)).body == b"answer"


async def test_a_worker_that_is_killed_takes_part_no_more(
    gateway: Gateway, process: Process
) -> None:
    one = await gateway.worker()
    assert (await one.request(Message("t.queue", b""), PATIENCE)).body == b"answer"
    process.kill()
    await process.wait()
    await until(lambda: not list(one._others or ()))
    with pytest.raises(BackendError, match="nobody answers"):
        await one.request(Message("t.queue", b""), PATIENCE)
    # Who comes later clears away what it left.
    another = await gateway.worker()
    inbox = await subscribed(another, "t.queue", "q")
    await one.publish(Message("t.queue", b"x"))
    assert (await inbox.next()).body == b"x"


async def test_a_folder_that_cannot_be_had_leaves_a_worker_alone(tmp_path: Path) -> None:
    broker = MemoryBroker(tmp_path / ("x" * 108) / "m")
    with capture_logs() as logs:
        inbox = await subscribed(broker, "t.a")
        await broker.publish(Message("t.a", b"x"))
    assert (await inbox.next()).body == b"x"
    assert [line["event"] for line in logs] == ["worker alone"]
    await broker.aclose()
