"""What carries messages, and what it knows of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeAlias

from gateway.capabilities.backend import Backend
from gateway.capabilities.subscription import Subscription

__all__ = ["Broker", "Deliver", "Message"]


class Message(NamedTuple):
    """A message. Whether its subjects are some is for who makes one to see to.

    Attributes:
        subject: what it is about.
        body: its content.
        reply_to: the subject at which whoever sent it waits for an answer, if anyone does.
        headers: what goes with it that is not for the component: the trace that it belongs to.
    """

    subject: str
    body: bytes
    reply_to: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})


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
