"""What carries messages, and what it knows of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from gateway.capabilities.backend import Backend
from gateway.capabilities.subscription import Subscription
from gateway.config.messaging import JetStreamConfig

__all__ = ["Broker", "Deliver", "DurableBroker", "Message", "Receipt"]


class Receipt(Protocol):
    """What a message came with that its broker keeps until somebody says what became of it.

    Whoever has it says so once: until then nobody else has the message, however long that takes. None of these
    raises: of what could not be said, the broker delivers the message again.

    """

    @property
    def deliveries(self) -> int:
        """How often the message was delivered, this time included."""

    async def ack(self) -> None:
        """It was handled."""

    async def nak(self, delay: float = 0.0) -> None:
        """It is to be delivered again, after so many seconds."""

    async def term(self, reason: str) -> bool:
        """It is not to be delivered again, but kept as a dead letter if there is a place for those.

        Returns:
            Whether that was possible; it is delivered again otherwise.
        """


class Message(NamedTuple):
    """A message. Whether its subjects are some is for who makes one to see to.

    Attributes:
        subject: what it is about.
        body: its content.
        reply_to: the subject at which whoever sent it waits for an answer, if anyone does.
        headers: what goes with it that is not for the component: the trace that it belongs to.
        receipt: where the broker keeps it, how it is told what became of it.
    """

    subject: str
    body: bytes
    reply_to: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    receipt: Receipt | None = None


Deliver: TypeAlias = Callable[[Message], None]
"""Takes a message, on the event loop. It must not raise, and cannot wait: bounding what it has is its own
business."""


class Broker(Backend, Protocol):
    """What carries messages between those who name one subject."""

    async def publish(self, message: Message) -> None:
        """Send a message to all who are interested, which may be nobody.

        Raises:
            BackendError: the broker does not take it.
        """

    async def request(self, message: Message, seconds: float) -> Message:
        """Send a message, and wait for the first answer.

        Args:
            message: the message, without `reply_to`.
            seconds: how long to wait.

        Raises:
            NoAnswer: there was none in time.
            BackendError: nobody is there to answer, or the broker does not take it.
        """

    def subscribe(self, subject: str, queue: str | None, deliver: Deliver) -> Subscription[Message]:
        """Take an interest in messages; on the event loop. The broker need not be there.

        Args:
            subject: theirs, with wildcards.
            queue: the group that each goes to one member of; None for all of them.
            deliver: who takes them.
        """


@runtime_checkable
class DurableBroker(Broker, Protocol):
    """One that keeps messages until they were handled."""

    def consume(
        self, subject: str, config: JetStreamConfig, max_messages: int, deliver: Deliver
    ) -> Subscription[Message]:
        """Take messages of a stream; on the event loop. The broker need not be there.

        Args:
            subject: theirs, with wildcards.
            config: the stream, and how they are taken of it.
            max_messages: how many there may be of which nobody has said yet what became of them.
            deliver: who takes them, each with a receipt.
        """
