"""What carries messages, and what it knows of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeAlias

from gateway.capabilities.backend import Backend

__all__ = ["Broker", "Deliver", "Message", "Subscription"]


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


class Subscription(Protocol):
    """An interest in messages, from when it was made to when it is closed.

    Attributes:
        deliver: who takes them. May be changed: the next message goes to the next one.
    """

    deliver: Deliver

    async def ready(self) -> None:
        """Wait until the broker knows of it, which takes as long as the broker is down."""

    async def aclose(self) -> None:
        """Have no more messages. Those that the broker has sent already come before this returns. Must not raise.

        May be called again.
        """


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

    def subscribe(self, subject: str, queue: str | None, deliver: Deliver) -> Subscription:
        """Take an interest in messages; on the event loop. The broker need not be there.

        Args:
            subject: theirs, with wildcards.
            queue: the group that each goes to one member of; None for all of them.
            deliver: who takes them.
        """
