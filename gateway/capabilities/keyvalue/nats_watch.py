"""What is changed in a bucket of NATS, as long as somebody wants to know, over as many connections as it takes.

All who watch by one name share a consumer of the server, which tells each change to one of them, and remembers
where they are while none of them is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Final

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as ClientSubscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from gateway.capabilities.availability import MAX_PAUSE, MIN_PAUSE
from gateway.capabilities.keyvalue.nats_link import Connection, Link
from gateway.capabilities.keyvalue.store import Change
from gateway.capabilities.nats_client import CLOSING, FAILURES
from gateway.capabilities.task import end

__all__ = ["REMEMBERED", "NATSWatch"]

_log = structlog.get_logger("gateway.capabilities")

REMEMBERED: Final = 300.0
"""Seconds that the server remembers where those who watch are when none is there. Arbitrary: a restart takes less,
and who comes back after that begins with what is changed then."""


class NATSWatch:
    """An interest in changes: a `Subscription`.

    Args:
        link: the connection.
        stream: the bucket's stream.
        name: who watches, the same for all who do so together; a word of a subject.
        subjects: of the messages that are changes.
        read: makes a change of one; None where it is not to be told.
        deliver: takes them.
        on_failure: told that the server could not be asked.
    """

    trouble = None

    def __init__(
        self,
        link: Link,
        stream: str,
        name: str,
        subjects: str,
        *,
        read: Callable[[Msg], Change | None],
        deliver: Callable[[Change], None],
        on_failure: Callable[[], None],
    ) -> None:
        self.deliver = deliver
        self._link = link
        self._stream = stream
        self._read = read
        self._on_failure = on_failure
        self._config = ConsumerConfig(
            durable_name=name,
            deliver_subject=f"_INBOX.{name}",
            deliver_group=name,
            deliver_policy=DeliverPolicy.NEW,
            filter_subject=subjects,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=REMEMBERED,
        )
        self._ready = asyncio.Event()
        self._made: ClientSubscription | None = None
        self._task = asyncio.create_task(self._stay())

    async def ready(self) -> None:
        """Wait until the server knows of it: `Subscription.ready`."""
        await self._ready.wait()

    async def aclose(self) -> None:
        """Have no more: `Subscription.aclose`."""
        await end(self._task)
        made, self._made = self._made, None
        if made is not None:
            # A connection that is gone has no more to send.
            with contextlib.suppress(*FAILURES):
                async with asyncio.timeout(CLOSING):
                    await made.drain()  # type: ignore[no-untyped-call]

    async def _stay(self) -> None:
        pause, told = MIN_PAUSE, False
        while True:
            try:
                connection = await self._link.connected()
                await self._make(connection)
            except Exception as error:  # whatever it is, this goes on
                if not told:
                    reason = str(error) or type(error).__name__
                    _log.warning("watch failed", backend="nats", reason=reason)
                told = True
                self._on_failure()
                pause = min(2 * pause, MAX_PAUSE)
            else:
                pause, told = MIN_PAUSE, False
                self._ready.set()
                await asyncio.shield(connection.gone)
            # Not all workers at the same time.
            await asyncio.sleep(pause * random.uniform(0.75, 1.0))  # noqa: S311

    async def _make(self, connection: Connection) -> None:
        # First the subscription: from then on the consumer has somebody to tell.
        config = self._config
        self._made = await connection.subscribe(
            config.deliver_subject or "", config.deliver_group or "", self._take
        )
        await connection.ask(lambda stream: stream.add_consumer(self._stream, config))

    async def _take(self, message: Msg) -> None:
        change = self._read(message)
        if change is not None:
            self.deliver(change)
