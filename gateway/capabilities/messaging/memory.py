"""Messages between the components of one worker, carried by nobody else."""

from __future__ import annotations

import asyncio
import os
from typing import Self

from gateway.capabilities.backend import BackendError, BackendUnusable, NoAnswer
from gateway.capabilities.messaging.broker import Deliver, Message
from gateway.capabilities.subscription import LocalSubscription
from gateway.config.backend_url import BackendURL
from gateway.policy.subject import SubjectFilter

__all__ = ["MemoryBroker"]


class MemoryBroker:
    """A broker in the memory of this worker. A message is with all who take it when `publish` returns."""

    kind = "memory"
    waits = False
    availability = None

    def __init__(self) -> None:
        self._subscriptions: list[_Subscription] = []
        self._inboxes: dict[str, asyncio.Future[Message]] = {}
        self._turn = 0

    @classmethod
    def named(cls, url: BackendURL) -> Self:
        """The broker of `memory:` or `memory:NAME`.

        Raises:
            BackendUnusable: it is another URL.
        """
        if url.rest.startswith("/") or "?" in url.rest:
            raise BackendUnusable('must be "memory:", or "memory:NAME" where there are several')
        return cls()

    async def publish(self, message: Message) -> None:
        """Send a message: `Broker.publish`."""
        self._carry(message)

    async def request(self, message: Message, seconds: float) -> Message:
        """Send a message, and wait for the first answer: `Broker.request`."""
        inbox = f"_INBOX.{os.urandom(16).hex()}"
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._inboxes[inbox] = answer
        try:
            if not self._carry(message._replace(reply_to=inbox)):
                raise BackendError("nobody answers requests at this subject")
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise NoAnswer(f"the request timed out: no answer within {seconds:g} s") from None
        finally:
            del self._inboxes[inbox]

    def subscribe(self, subject: str, queue: str | None, deliver: Deliver) -> _Subscription:
        """Take an interest in messages: `Broker.subscribe`."""
        return _Subscription(SubjectFilter(subject), queue, deliver, self._subscriptions)

    async def aclose(self) -> None:
        """Forget everything: `Backend.aclose`."""
        self._subscriptions.clear()

    def _carry(self, message: Message) -> bool:
        """Give a message to all who take it; tells whether there was anybody."""
        inbox = self._inboxes.get(message.subject)
        if inbox is not None and not inbox.done():
            inbox.set_result(message)
        takers: list[_Subscription] = []
        queues: dict[str, list[_Subscription]] = {}
        for each in self._subscriptions:
            if not each.filter.matches(message.subject):
                continue
            if each.queue is None:
                takers.append(each)
            else:
                queues.setdefault(each.queue, []).append(each)
        self._turn += 1
        takers += (members[self._turn % len(members)] for members in queues.values())
        for taker in takers:
            taker.deliver(message)
        return inbox is not None or bool(takers)


class _Subscription(LocalSubscription[Message]):
    """An interest in messages."""

    def __init__(
        self,
        subjects: SubjectFilter,
        queue: str | None,
        deliver: Deliver,
        among: list[_Subscription],
    ) -> None:
        super().__init__(deliver, among)
        self.filter = subjects
        self.queue = queue
