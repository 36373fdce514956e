"""What a component may say to others by messages, and which it takes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictInt, WithJsonSchema, field_validator

from gateway.config.delivery import DeliveryLimits
from gateway.config.grant import MAX_VALUE, BackendGrant, URLOfBackend
from gateway.config.key import Flag
from gateway.config.values import MIB, Between
from gateway.policy.subject import SubjectFilter, check_queue
from gateway.units import ByteSize, format_size

__all__ = ["MessagingGrant", "SubscriptionConfig"]

_Rate = Annotated[StrictInt, Between(1, 1_000_000, str)]
"""Messages a second."""


def _filter(pattern: str) -> str:
    return SubjectFilter(pattern).pattern


_Filter = Annotated[
    str,
    AfterValidator(_filter),
    WithJsonSchema({"type": "string", "minLength": 1, "examples": ["orders.*", "orders.>"]}),
]
_Queue = Annotated[
    str, AfterValidator(check_queue), WithJsonSchema({"type": "string", "minLength": 1})
]


class SubscriptionConfig(DeliveryLimits):
    """Messages that a component takes.

    Attributes:
        subject: their subject; `*` stands for a token, `>` at the end for one or more.
        queue: the group in which each message goes to one member alone; without one, every subscription has it.
        max_rate: how many are handled in a second in one worker; None for no bound.
    """

    subject: _Filter
    queue: _Queue | None = None
    max_rate: _Rate | None = None

    def __str__(self) -> str:
        return self.subject if self.queue is None else f"{self.subject}|{self.queue}"

    @staticmethod
    def parse(text: str) -> dict[str, Any]:
        """Read SUBJECT or SUBJECT|QUEUE, as keys of such a table."""
        subject, bar, queue = text.partition("|")
        return {"subject": subject, "queue": queue} if bar else {"subject": subject}


class MessagingGrant(BackendGrant):
    """The broker of a component's messages, and what it may say and hear there.

    Attributes:
        publish: the subjects that it may publish and request at, with wildcards. It may always answer the
            message that it handles.
        subscriptions: the messages that it takes, by its `wasmcloud:messaging/handler`.
        max_message: bytes of a message, sent or taken.
        max_publish_rate: how many messages it may send in a second in one worker, requests and answers included;
            None for no bound.
    """

    url: Annotated[
        URLOfBackend,
        Flag("The broker of the component's messages.", name="--messaging", metavar="URL"),
    ] = Field(repr=False)
    publish: Annotated[
        tuple[_Filter, ...],
        Flag("A subject that it may publish at. Repeatable.", metavar="SUBJECT"),
    ] = ()
    subscriptions: Annotated[
        tuple[SubscriptionConfig, ...],
        Flag(
            "Messages that it takes, one group of subscribers sharing them if it has a QUEUE. Repeatable.",
            name="--subscribe",
            metavar="SUBJECT[|QUEUE]",
            read=SubscriptionConfig.parse,
        ),
    ] = ()
    max_message: Annotated[ByteSize, Between(1, MAX_VALUE, format_size)] = 1 * MIB
    max_publish_rate: _Rate | None = None

    @field_validator("subscriptions")
    @classmethod
    def _check_subscriptions(
        cls, subscriptions: tuple[SubscriptionConfig, ...]
    ) -> tuple[SubscriptionConfig, ...]:
        names = [str(each) for each in subscriptions]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f'must not have "{name}" twice')
        return subscriptions
