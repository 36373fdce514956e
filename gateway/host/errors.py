"""What can go wrong with a component, sorted by whose fault it is.

`ComponentError` is raised while a component is loaded, before it serves anything. The others end one
invocation: `Trap` and `Exit` are the guest's doing; `DeadlineExceeded`, `CpuTimeExceeded` and `Exhausted`, limits
that the operator set.
"""

from __future__ import annotations

import enum

__all__ = [
    "ComponentError",
    "CpuTimeExceeded",
    "DeadlineExceeded",
    "Exhausted",
    "Exit",
    "Gone",
    "InvocationError",
    "ResultTooLarge",
    "Trap",
    "TrapKind",
]


class ComponentError(Exception):
    """A component was refused: the message names the file, what was found and what to do."""


class InvocationError(Exception):
    """One invocation ended without a result. Never shown to a client."""


class TrapKind(enum.StrEnum):
    """Why a guest was stopped. The values are stable: they are used in logs and as metric labels."""

    UNREACHABLE = "unreachable"
    STACK_OVERFLOW = "stack-overflow"
    MEMORY_OUT_OF_BOUNDS = "memory-out-of-bounds"
    TABLE_OUT_OF_BOUNDS = "table-out-of-bounds"
    INDIRECT_CALL = "indirect-call"
    ARITHMETIC = "arithmetic"
    CANONICAL_ABI = "canonical-abi"
    UNKNOWN_IMPORT = "unknown-import"
    HOST = "host"
    CALLEE_TRAPPED = "callee-trapped"
    """What it called by a link trapped, or exited owing a value."""
    CALLEE_NOT_FOUND = "callee-not-found"
    """There is no such function at the other end of a link, or no other end."""
    CALLEE_BUSY = "callee-busy"
    """What it called by a link has no room for one more call."""
    CALLEE_LATE = "callee-late"
    """What it called by a link did not return in the time it has."""
    CALLEE_FAILED = "callee-failed"
    """What it called by a link gave no usable answer otherwise."""
    CALL_DEPTH = "call-depth"
    """Its call by a link would have been one too many on top of each other."""
    OTHER = "other"


class Trap(InvocationError):
    """The guest was stopped by the engine, or by a host function that it called wrongly.

    A host function raises `Trap(message)` where the WIT text says "traps"; the engine's own traps arrive
    with the kind that it reported and the guest's backtrace.

    Attributes:
        message: one line that says what happened.
        kind: the class of trap.
        backtrace: the guest's frames, innermost first, as `module!function (offset)`; empty where the
            trap was raised outside of guest code.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: TrapKind = TrapKind.HOST,
        backtrace: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.backtrace = backtrace


class Exit(InvocationError):
    """The guest called `wasi:cli/exit`; the unwinding is not an error of its own.

    Attributes:
        status: the exit status, 0 for success.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the guest exited with status {status}")
        self.status = status


class DeadlineExceeded(InvocationError):
    """The invocation ran longer than its `max_execution_time`, waits in host functions included."""


class CpuTimeExceeded(InvocationError):
    """The guest computed for longer than its `max_cpu_time`, waits not included."""


class Exhausted(InvocationError):
    """There was no room for one more instance, or no thread for a large value."""


class Gone(InvocationError):
    """A resource that was passed to a guest is not of this instance of it, or that has ended."""


class ResultTooLarge(InvocationError):
    """What the function returned is larger than it may be.

    Attributes:
        most: how large that is, in bytes.
    """

    def __init__(self, most: int) -> None:
        super().__init__(f"the result is larger than {most} bytes: raise rpc_max_result")
        self.most = most
