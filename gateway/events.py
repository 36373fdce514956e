"""How invocations end, and the event that says so."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gateway.host.errors import (
    DeadlineExceeded,
    Exhausted,
    Exit,
    InvocationError,
    Trap,
)

__all__ = ["Cancelled", "InvocationReturned", "Kind", "Outcome", "Rejected", "outcome_of"]


class Kind(enum.StrEnum):
    """What called a component. The values are stable: they are used as metric labels."""

    HTTP = "http"
    """An HTTP request, through `wasi:http/incoming-handler`."""
    RPC = "rpc"
    """A call with JSON, of any other export."""


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
    CANCELLED = "cancelled"
    """Nobody waits for the answer any more: the client went away, or the server is shutting down."""
    REJECTED = "rejected"
    """The request was refused while it was under way: its body is larger than allowed."""
    EXHAUSTED = "exhausted"
    """There was no room for it."""
    FAILED = "failed"
    """The gateway itself failed."""


class Cancelled(InvocationError):
    """Nobody waits for the answer of the invocation any more."""


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
        case Exhausted():
            return Outcome.EXHAUSTED
        case Rejected():
            return Outcome.REJECTED
        case InvocationError() if isinstance(failure, Cancelled):
            return Outcome.CANCELLED
    return Outcome.FAILED


@dataclass(frozen=True, slots=True)
class InvocationReturned:
    """An invocation has ended.

    Attributes:
        component: the component's name.
        outcome: how it ended.
        duration: seconds from its start to its end.
    """

    component: str
    outcome: Outcome
    duration: float
