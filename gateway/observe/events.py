"""Return events: what is told of each invocation once it has ended.

One event for every invocation, whether it returned, was stopped, or was refused for want of room. What becomes of
events is the business of the sinks that a `gateway.observe.event_queue.Channel` hands them to.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from gateway.host.errors import (
    CpuTimeExceeded,
    DeadlineExceeded,
    Exhausted,
    Exit,
    Gone,
    InvocationError,
    ResultTooLarge,
    Trap,
    TrapKind,
)

__all__ = [
    "Cancelled",
    "DynamicExportReturned",
    "HttpIncomingHandlerHandleReturned",
    "Interrupted",
    "KeyvalueWatcherOnDeleteReturned",
    "KeyvalueWatcherOnSetReturned",
    "Kind",
    "LinkedExportReturned",
    "MessagingHandlerHandleMessageReturned",
    "Outcome",
    "Phases",
    "Rejected",
    "ReturnEvent",
    "outcome_of",
]


class Kind(enum.StrEnum):
    """What called a component. The values are stable: they are used as metric labels."""

    HTTP = "http"
    """An HTTP request, through `wasi:http/incoming-handler`."""
    RPC = "rpc"
    """A call with JSON, by wRPC or from Python, of any other export."""
    MESSAGING = "messaging"
    """A message, through `wasmcloud:messaging/handler`."""
    KEYVALUE = "keyvalue"
    """A change of a key-value store, through `wasi:keyvalue/watcher`."""
    LINK = "link"
    """Another component, through a link."""


class Outcome(enum.StrEnum):
    """How an invocation ended. The values are stable: they are used in logs and as metric labels."""

    OK = "ok"
    """The export returned."""
    ERR = "err"
    """It returned, but gave no usable answer: an error, or no response at all."""
    TRAP = "trap"
    """The guest was stopped by the engine or by a host function."""
    DEADLINE = "deadline"
    """It took longer than its `max_execution_time`."""
    CPU_TIME = "cpu-time"
    """Its guest computed for longer than its `max_cpu_time`."""
    CANCELLED = "cancelled"
    """Nobody waits for the answer any more: the client went away, or the server is shutting down."""
    REJECTED = "rejected"
    """The request was refused while it was under way: its body is larger than allowed, or a resource that came
    with it is not of this instance."""
    EXHAUSTED = "exhausted"
    """There was no room for it."""
    FAILED = "failed"
    """The gateway itself failed."""


class Cancelled(InvocationError):
    """Nobody waits for the answer of the invocation any more."""


class Interrupted(InvocationError):
    """The gateway stops, and the invocation had its time to end."""


class Rejected(InvocationError):
    """The request turned out to be one that is refused."""


def outcome_of(failure: BaseException | None, *, answered: bool) -> Outcome:
    """The outcome of an invocation that ended with this exception, if with any.

    Args:
        failure: what ended it; None if the export returned.
        answered: whether the guest had given its answer by then. Exiting with success after that is as good as
            returning.
    """
    match failure:
        case None:
            return Outcome.OK if answered else Outcome.ERR
        case Exit():
            return Outcome.OK if answered and failure.status == 0 else Outcome.ERR
        case Trap():
            return Outcome.TRAP
        case DeadlineExceeded():
            return Outcome.DEADLINE
        case CpuTimeExceeded():
            return Outcome.CPU_TIME
        case Exhausted():
            return Outcome.EXHAUSTED
        case Rejected() | Gone():
            return Outcome.REJECTED
        case ResultTooLarge():
            return Outcome.ERR
        case InvocationError() if isinstance(failure, Cancelled | Interrupted):
            return Outcome.CANCELLED
    return Outcome.FAILED


class Phases(NamedTuple):
    """Where the time of an invocation went, in seconds.

    Attributes:
        queue: waiting for a place among those in flight.
        instantiate: making the store and the instance.
        host: in host functions, and in what they waited for.
        guest: all the rest until the function had returned, other guests' turns included.
    """

    queue: float = 0.0
    instantiate: float = 0.0
    guest: float = 0.0
    host: float = 0.0

    @property
    def total(self) -> float:
        """From the wish to invoke to the end of the guest."""
        return self.queue + self.instantiate + self.guest + self.host


_NO_CALLS: Final[Mapping[str, int]] = MappingProxyType({})


class _Returned(NamedTuple):
    """An invocation has ended.

    Attributes:
        component: the component's name.
        digest: the SHA-256 of its file, in hexadecimal.
        export: the full name of the function, `interface#function` or `function`; empty where the request was
            refused or stopped before it was read.
        request_id: the id of the request that it was made for.
        outcome: how it ended.
        trace_id: the W3C trace that the request belongs to, 32 hexadecimal digits; None where there is none.
        route: the route that led to it, as the configuration has it; for calls the prefix of JSON-RPC;
            None for those from Python.
        issuer: the public key that signed the component, where that is proven.
        subject: the public key that the issuer says it is.
        trap: why the guest was stopped, if the outcome is a trap.
        phases: where its time went.
        bytes_in: bytes of the request's content that the guest was given.
        bytes_out: bytes of the response's content that were sent.
        host_calls: how often it called host functions, by the full name of their interface.
        instantiated: whether an instance was made for it.
        deliveries: how often the message was delivered, this time included; None where nobody counts.
    """

    component: str
    digest: str
    export: str
    request_id: str
    outcome: Outcome
    trace_id: str | None = None
    route: str | None = None
    issuer: str | None = None
    subject: str | None = None
    trap: TrapKind | None = None
    phases: Phases = Phases()
    bytes_in: int = 0
    bytes_out: int = 0
    host_calls: Mapping[str, int] = _NO_CALLS
    instantiated: bool = False
    deliveries: int | None = None

    @property
    def success(self) -> bool:
        """Whether the export returned with an answer."""
        return self.outcome is Outcome.OK


class HttpIncomingHandlerHandleReturned(_Returned):
    """`wasi:http/incoming-handler.handle` has ended."""

    __slots__ = ()
    kind = Kind.HTTP


class MessagingHandlerHandleMessageReturned(_Returned):
    """`wasmcloud:messaging/handler.handle-message` has ended."""

    __slots__ = ()
    kind = Kind.MESSAGING


class KeyvalueWatcherOnSetReturned(_Returned):
    """`wasi:keyvalue/watcher.on-set` has ended."""

    __slots__ = ()
    kind = Kind.KEYVALUE


class KeyvalueWatcherOnDeleteReturned(_Returned):
    """`wasi:keyvalue/watcher.on-delete` has ended."""

    __slots__ = ()
    kind = Kind.KEYVALUE


class LinkedExportReturned(_Returned):
    """An export that another component called by a link has ended; the `route` is that component's name."""

    __slots__ = ()
    kind = Kind.LINK


class DynamicExportReturned(_Returned):
    """Any other export has ended."""

    __slots__ = ()
    kind = Kind.RPC


ReturnEvent: TypeAlias = (
    HttpIncomingHandlerHandleReturned
    | MessagingHandlerHandleMessageReturned
    | KeyvalueWatcherOnSetReturned
    | KeyvalueWatcherOnDeleteReturned
    | LinkedExportReturned
    | DynamicExportReturned
)
"""An event of any kind."""
