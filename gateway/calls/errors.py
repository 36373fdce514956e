"""What a call from Python raises. They tell all, backtraces included: who calls runs the gateway."""

from __future__ import annotations

from typing import Generic, TypeVar

from gateway.host.errors import TrapKind

__all__ = [
    "Busy",
    "CallError",
    "CallFailed",
    "Exited",
    "GatewayFailed",
    "InvalidArguments",
    "Late",
    "NotFound",
    "ResultTooLarge",
    "Stopped",
    "Trapped",
]

E = TypeVar("E")


class CallFailed(Exception):
    """A call that gave no result, whatever the reason.

    Attributes:
        request_id: what the log and the return event have the call under; None if it came to neither.
    """

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        super().__init__(message)
        self.request_id = request_id


class CallError(CallFailed, Generic[E]):
    """The function returned the err side of its `result`. Each function that can has a subclass of its own.

    Attributes:
        value: what it returned.
    """

    def __init__(self, value: E, *, request_id: str | None = None) -> None:
        super().__init__(repr(value), request_id=request_id)
        self.value = value


class NotFound(CallFailed):
    """There is no such component, or it has no such method."""


class InvalidArguments(CallFailed):
    """The arguments are not those that the method takes: their number, a name or the type of a value."""


class Trapped(CallFailed):
    """The guest was stopped, by the engine or by a host function.

    Attributes:
        kind: why.
        backtrace: the guest's frames, innermost first, as `module!function (offset)`; empty where it has none.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: TrapKind,
        backtrace: tuple[str, ...] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.kind = kind
        self.backtrace = backtrace


class Exited(CallFailed):
    """The guest called `wasi:cli/exit`, and owed a value.

    Attributes:
        status: the exit status, 0 for success.
    """

    def __init__(self, message: str, *, status: int, request_id: str | None = None) -> None:
        super().__init__(message, request_id=request_id)
        self.status = status


class Late(CallFailed):
    """The function did not return within the component's `max_execution_time`."""


class Busy(CallFailed):
    """There was no room for one more call (`max_concurrency`, `max_queue`, `max_in_flight`); it has not begun."""


class ResultTooLarge(CallFailed):
    """The function returned more than `rpc_max_result`."""


class Stopped(CallFailed):
    """The gateway, or what was opened of it, is closed, or was while the call was under way."""


class GatewayFailed(CallFailed):
    """The gateway itself failed; what it failed with is the `__cause__`."""
