"""Messages between the components of one gateway, carried by nobody else: from worker to worker."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from gateway.capabilities.backend import BackendError, BackendUnusable, NoAnswer
from gateway.capabilities.messaging.broker import Deliver, Message
from gateway.capabilities.messaging.other_workers import OtherWorker, OtherWorkers, Takes
from gateway.capabilities.subscription import LocalSubscription
from gateway.config.backend_url import BackendURL
from gateway.policy.subject import SubjectFilter

__all__ = ["MemoryBroker"]

_INBOX: Final = "_INBOX."


class MemoryBroker:
    """A broker in the memory of the workers of a gateway.

    When `publish` returns, a message is with all in this worker who take it, and on its way to the others.

    Args:
        folder: where the workers find each other; None for one alone.
        on_lost: told how many messages are lost to a worker that does not take them.
    """

    kind = "memory"
    waits = False
    availability = None

    def __init__(
        self, folder: Path | None = None, on_lost: Callable[[int], None] = lambda _: None
    ) -> None:
        self._subscriptions: list[_Subscription] = []
        self._inboxes: dict[str, asyncio.Future[Message]] = {}
        self._turn = 0
        self._others: OtherWorkers | None = None
        if folder is not None:
            self._others = OtherWorkers(folder, self._hear, self._takes, on_lost)

    @classmethod
    def named(
        cls,
        url: BackendURL,
        workers_dir: Path | None = None,
        on_lost: Callable[[int], None] = lambda _: None,
    ) -> Self:
        """The broker of `memory:` or `memory:NAME`.

        Args:
            url: the URL.
            workers_dir: a folder that the workers of one gateway share; None for one alone.
            on_lost: as of the class.

        Raises:
            BackendUnusable: it is another URL.
        """
        if url.rest.startswith("/") or "?" in url.rest:
            raise BackendUnusable('must be "memory:", or "memory:NAME" where there are several')
        if workers_dir is None:
            return cls()
        # The address of a socket has little room.
        return cls(workers_dir / f"messages-{sha256(url.rest.encode()).hexdigest()[:8]}", on_lost)

    async def publish(self, message: Message) -> None:
        """Send a message: `Broker.publish`."""
        await self._carry(message)

    async def request(self, message: Message, seconds: float) -> Message:
        """Send a message, and wait for the first answer: `Broker.request`."""
        here = "here" if self._others is None else self._others.name
        inbox = f"{_INBOX}{here}.{os.urandom(16).hex()}"
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._inboxes[inbox] = answer
        try:
            if not await self._carry(message._replace(reply_to=inbox)):
                raise BackendError("nobody answers requests at this subject")
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise NoAnswer(f"the request timed out: no answer within {seconds:g} s") from None
        finally:
            del self._inboxes[inbox]

    def subscribe(self, subject: str, queue: str | None, deliver: Deliver) -> _Subscription:
        """Take an interest in messages: `Broker.subscribe`."""
        made = _Subscription(
            SubjectFilter(subject), queue, deliver, self._subscriptions, self._others
        )
        if self._others is not None:
            self._others.begin()
            self._others.changed()
        return made

    async def aclose(self) -> None:
        """Forget everything: `Backend.aclose`."""
        self._subscriptions.clear()
        if self._others is not None:
            await self._others.aclose()

    async def _carry(self, message: Message) -> bool:
        """Give a message to all who take it; tells whether there was anybody."""
        others: Sequence[OtherWorker] = ()
        if self._others is not None:
            await self._others.joined()
            others = list(self._others)
        answered = self._answer(message)
        takers: list[_Subscription] = []
        queues: dict[str, list[_Subscription | OtherWorker]] = {}
        for each in self._interested(message.subject):
            if each.leaving:
                continue
            if each.queue is None:
                takers.append(each)
            else:
                queues.setdefault(each.queue, []).append(each)
        shares: dict[OtherWorker, list[str]] = {}
        for other in others:
            for queue, count in other.takes(message.subject):
                if queue is None:
                    shares[other] = []
                else:
                    queues.setdefault(queue, []).extend([other] * count)
        self._turn += 1
        for queue, members in queues.items():
            ready = [it for it in members if not (isinstance(it, OtherWorker) and it.busy)]
            member = (ready or members)[self._turn % len(ready or members)]
            if isinstance(member, OtherWorker):
                shares.setdefault(member, []).append(queue)
            else:
                takers.append(member)
        if (asker := self._asker(message.subject)) is not None:
            shares.setdefault(asker, [])
        for taker in takers:
            taker.deliver(message)
        sent = [other.send(message, share) for other, share in shares.items()]
        if any(other.busy for other in shares):
            await asyncio.sleep(0)  # in which it may take some
        return answered or bool(takers) or any(sent)

    def _hear(self, message: Message, queues: Sequence[str]) -> None:
        """Give a message of another worker to those who take it here."""
        self._answer(message)
        members: dict[str, list[_Subscription]] = {queue: [] for queue in queues}
        for each in self._interested(message.subject):
            if each.queue is None:
                each.deliver(message)
            elif each.queue in members:
                members[each.queue].append(each)
        self._turn += 1
        for some in filter(None, members.values()):
            some[self._turn % len(some)].deliver(message)

    def _interested(self, subject: str) -> Iterator[_Subscription]:
        return (each for each in tuple(self._subscriptions) if each.filter.matches(subject))

    def _answer(self, message: Message) -> bool:
        """Give a message to who waits for an answer at its subject; tells whether anybody does."""
        inbox = self._inboxes.get(message.subject)
        if inbox is not None and not inbox.done():
            inbox.set_result(message)
        return inbox is not None

    def _asker(self, subject: str) -> OtherWorker | None:
        """The other worker that waits for an answer at a subject."""
        if self._others is None or not subject.startswith(_INBOX):
            return None
        return self._others.get(subject.removeprefix(_INBOX).partition(".")[0])

    def _takes(self) -> Iterator[Takes]:
        counts = Counter(
            (each.filter.pattern, each.queue) for each in self._subscriptions if not each.leaving
        )
        return (Takes(*which, count) for which, count in counts.items())


class _Subscription(LocalSubscription[Message]):
    """An interest in messages.

    Attributes:
        filter: the subjects of those.
        queue: the group that it is a member of; None for none.
        leaving: whether it has only what other workers have sent already.
    """

    def __init__(
        self,
        subjects: SubjectFilter,
        queue: str | None,
        deliver: Deliver,
        among: list[_Subscription],
        others: OtherWorkers | None,
    ) -> None:
        super().__init__(deliver, among)
        self.filter = subjects
        self.queue = queue
        self.leaving = False
        self._others = others

    async def ready(self) -> None:
        """Wait until the other workers know of it: `Subscription.ready`."""
        if self._others is not None:
            await self._others.settled()

    async def aclose(self) -> None:
        """Have no more, once the other workers know: `Subscription.aclose`."""
        if self._others is not None and not self.leaving:
            self.leaving = True
            self._others.changed()
            await self._others.settled()
        await super().aclose()
