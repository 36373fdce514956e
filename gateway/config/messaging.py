"""What a component may say to others by messages, and which it takes."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    Field,
    StrictInt,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from gateway.config.delivery import DeliveryLimits
from gateway.config.grant import MAX_VALUE, BackendGrant, URLOfBackend
from gateway.config.key import Flag
from gateway.config.values import MIB, Between, Table
from gateway.policy.subject import SubjectFilter, check_name, check_queue, check_subject
from gateway.units import ByteSize, Duration, format_duration, format_size

__all__ = ["JetStreamConfig", "MessagingGrant", "SubscriptionConfig"]

MAX_RETRY_DELAY: Final = 3600.0
"""Seconds that a message waits at most until it is delivered again. Arbitrary."""

_Rate = Annotated[StrictInt, Between(1, 1_000_000, str)]
"""Messages a second."""


def _filter(pattern: str) -> str:
    return SubjectFilter(pattern).pattern


_Filter = Annotated[
    str,
    AfterValidator(_filter),
    WithJsonSchema({"type": "string", "minLength": 1, "examples": ["orders.*", "orders.>"]}),
]
_SOME: Final = WithJsonSchema({"type": "string", "minLength": 1})
_Name = Annotated[str, AfterValidator(check_name), _SOME]
_Queue = Annotated[str, AfterValidator(check_queue), _SOME]
_Subject = Annotated[str, AfterValidator(check_subject), _SOME]


class JetStreamConfig(Table):
    """How messages are taken of a stream, which keeps each until it was handled.

    Attributes:
        stream: the stream, which must be there.
        durable: its consumer, shared by all who name it; it is made where it is missing.
        ack_wait: seconds without a sign of life of who has a message, after which it is delivered again.
        max_deliver: how often a message is delivered at most.
        retry_delay: seconds until a message that was not handled is delivered again; twice as many each further
            time, `MAX_RETRY_DELAY` at most.
        dead_letter: the subject, of a stream, to which goes what was delivered so often in vain.
        max_ack_pending: how many messages may be delivered and not handled, of all who share the consumer.
    """

    stream: _Name
    durable: _Name
    ack_wait: Annotated[Duration, Between(0.1, 86_400, format_duration)] = 30.0
    max_deliver: Annotated[StrictInt, Between(1, 1_000_000, str)] = 5
    retry_delay: Annotated[Duration, Between(0.1, MAX_RETRY_DELAY, format_duration)] = 1.0
    dead_letter: _Subject | None = None
    max_ack_pending: Annotated[StrictInt, Between(1, 1_000_000, str)] = 1000

    def delay(self, deliveries: int) -> float:
        """Seconds until a message that was delivered so often is delivered again."""
        return min(self.retry_delay * 2.0 ** min(deliveries - 1, 32), MAX_RETRY_DELAY)


class SubscriptionConfig(DeliveryLimits):
    """Messages that a component takes.

    Attributes:
        subject: their subject; `*` stands for a token, `>` at the end for one or more.
        queue: the group in which each message goes to one member alone; without one, every subscription has it.
        jetstream: the stream that they are taken of, at least once; None for those that are sent from now on, at
            most once.
        max_rate: how many are handled in a second in one worker; None for no bound.
    """

    subject: _Filter
    queue: _Queue | None = None
    jetstream: JetStreamConfig | None = None
    max_rate: _Rate | None = None

    def __str__(self) -> str:
        if self.jetstream is not None:
            return f"{self.subject}|{self.jetstream.stream}/{self.jetstream.durable}"
        return self.subject if self.queue is None else f"{self.subject}|{self.queue}"

    @staticmethod
    def parse(text: str) -> dict[str, Any]:
        """Read SUBJECT, SUBJECT|QUEUE or SUBJECT|STREAM/DURABLE, as keys of such a table."""
        subject, bar, queue = text.partition("|")
        stream, slash, durable = queue.partition("/")
        if slash:
            return {"subject": subject, "jetstream": {"stream": stream, "durable": durable}}
        return {"subject": subject, "queue": queue} if bar else {"subject": subject}

    @model_validator(mode="after")
    def _check_jetstream(self) -> Self:
        if self.jetstream is None:
            return self
        dead = self.jetstream.dead_letter
        if dead is not None and SubjectFilter(self.subject).matches(dead):
            raise ValueError(f'must not take its own dead letters: "{dead}" is one of its subjects')
        told = sorted(self.model_fields_set & {"queue", "max_pending", "max_pending_bytes"})
        if told:
            raise ValueError(
                f"must have no {told[0]} beside jetstream: all who name a durable consumer share its "
                "messages, and what is not handled at once waits in the stream"
            )
        return self


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
            "Messages that it takes, shared with all who name the same QUEUE, or DURABLE consumer of a STREAM. "
            "Repeatable.",
            name="--subscribe",
            metavar="SUBJECT[|QUEUE|STREAM/DURABLE]",
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
        streams = [each.jetstream for each in subscriptions if each.jetstream is not None]
        names = [
            *map(str, subscriptions),
            *(f"{each.stream}/{each.durable}" for each in streams),
        ]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f'must not have "{name}" twice')
        return subscriptions
