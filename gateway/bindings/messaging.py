"""`wasmcloud:messaging`: messages that a component sends, as far as the operator lets it.

Nothing is linked for a component that is granted no broker: calling `consumer` traps then. One that is granted
some may publish and request at the subjects that its configuration names; the invocation that handles a message
may answer at that message's `reply-to` besides. Where an answer of others is to go, it must be allowed to
publish itself, or take the messages: nobody can be made to say in its stead what it may not say.

What cannot be done is an err, which says so; of a broker that cannot be used it says no more than that.

Source: `wasmcloud:messaging@0.2.0`, `messaging.wit`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, ParamSpec, TypeVar

from gateway.bindings.context import State, WasiCtx
from gateway.bindings.fallible import fallible_async
from gateway.capabilities.backend import BackendError
from gateway.capabilities.messaging import Broker, Message
from gateway.capabilities.operations import Operation, Operations
from gateway.host.binding import HostInterface
from gateway.policy.rate import Rate
from gateway.policy.subject import SubjectPolicy, check_subject

__all__ = ["INTERFACES", "GrantedBroker", "MessagingCtx", "message_record"]

P = ParamSpec("P")
T = TypeVar("T")


class GrantedBroker:
    """A broker as one component may use it.

    Args:
        broker: the broker.
        publishing: what is published there.
        requesting: what is requested there, which the guest bounds in time itself.
        publish: the subjects that it may publish at.
        hears: those that it has subscriptions for.
        max_message: bytes of a message.
        rate: how many it may send; None where nobody counts.
    """

    def __init__(
        self,
        broker: Broker,
        publishing: Operations,
        requesting: Operations,
        *,
        publish: SubjectPolicy,
        hears: SubjectPolicy,
        max_message: int,
        rate: Rate | None = None,
    ) -> None:
        self._broker = broker
        self._publishing = publishing
        self._requesting = requesting
        self._publish = publish
        self._hears = hears
        self._max_message = max_message
        self._rate = rate

    async def publish(self, ctx: WasiCtx, message: Message, answers: str | None) -> None:
        """Send a message.

        Args:
            ctx: the invocation.
            message: the message.
            answers: the subject at which the invocation may answer.

        Raises:
            BackendError: it may not, or the broker does not take it.
        """
        self._check(_PUBLISH, self._publishing, message, answers)
        message = message._replace(headers=_headers(ctx))
        await self._publishing.perform(
            _PUBLISH, ctx.caller, self._send, self._broker.publish, message
        )

    async def request(
        self, ctx: WasiCtx, message: Message, seconds: float, answers: str | None
    ) -> Message:
        """Send a message, and wait for the first answer.

        Args:
            ctx: the invocation.
            message: the message.
            seconds: how long to wait at most.
            answers: the subject at which the invocation may answer.

        Raises:
            BackendError: it may not, there is no answer, or the broker does not take it.
        """
        self._check(_REQUEST, self._requesting, message, answers)
        message = message._replace(headers=_headers(ctx))
        seconds = min(seconds, ctx.caller.remaining)
        return await self._requesting.perform(
            _REQUEST, ctx.caller, self._send, self._broker.request, message, seconds
        )

    async def _send(self, send: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._rate is not None and not self._rate.take():
            raise BackendError(
                f"this component may send {self._rate.per_second} messages a second, and has done so"
            )
        return await send(*args, **kwargs)

    def _check(
        self, what: Operation, operations: Operations, message: Message, answers: str | None
    ) -> None:
        subject, reply_to = _checked(message.subject), message.reply_to
        if len(message.body) > self._max_message:
            raise BackendError(f"a message has {self._max_message} bytes at most")
        if not (subject == answers or self._publish.allows(subject)):
            operations.refused(what)
            raise BackendError("this component may not publish at this subject")
        if reply_to is None or _checked(reply_to) == answers:
            return
        if not (self._publish.allows(reply_to) or self._hears.allows(reply_to)):
            operations.refused(what)
            raise BackendError("this component may not have answers go to this subject")


class MessagingCtx(State):
    """What an invocation may send.

    Attributes:
        granted: the broker.
        answers: the `reply-to` of the message that it handles.
    """

    __slots__ = ("answers", "granted")

    def __init__(self, granted: GrantedBroker, answers: str | None = None) -> None:
        self.granted = granted
        self.answers = answers


def message_record(message: Message) -> dict[str, Any]:
    """The `broker-message` of a message."""
    return {"subject": message.subject, "body": message.body, "reply-to": message.reply_to}


def _checked(subject: str) -> str:
    try:
        return check_subject(subject)
    except ValueError as error:
        raise BackendError(f"a subject {error}") from None


def _headers(ctx: WasiCtx) -> Mapping[str, str]:
    """The trace that a message is part of, as HTTP has it."""
    trace = ctx.caller.trace
    if trace is None:
        return {}
    return {name.decode(): value.decode() for name, value in trace.fields()}


_fallible = fallible_async(BackendError, err=lambda failure: failure.message)

types = HostInterface("wasmcloud:messaging/types", "0.2.0")
consumer = HostInterface(
    "wasmcloud:messaging/consumer", "0.2.0", carries_bytes=True, key="messaging", only_granted=True
)
INTERFACES = (types, consumer)

_REQUEST: Final = Operation(consumer.name, "request")
_PUBLISH: Final = Operation(consumer.name, "publish")


@consumer.function("request", blocking=True)
@_fallible
async def request(ctx: WasiCtx, subject: str, body: bytes, timeout_ms: int) -> dict[str, Any]:
    """Send a message, and wait for an answer: so long, but no longer than the invocation has left."""
    messaging = ctx.of(MessagingCtx)
    message = Message(subject, body)
    answer = await messaging.granted.request(ctx, message, timeout_ms / 1000, messaging.answers)
    return message_record(answer)


@consumer.function("publish", blocking=True)
@_fallible
async def publish(ctx: WasiCtx, msg: Mapping[str, Any]) -> None:
    """Send a message; `reply-to` is where whoever takes it may answer."""
    messaging = ctx.of(MessagingCtx)
    message = Message(msg["subject"], msg["body"], msg["reply-to"])
    await messaging.granted.publish(ctx, message, messaging.answers)
