"""The other end of a link, and how a call of it fails."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

from gateway.bindings.context import WasiCtx
from gateway.host import wit
from gateway.host.errors import Exhausted, TrapKind

__all__ = [
    "MAX_TOLD",
    "CallFailed",
    "CallOutcome",
    "LinkMismatch",
    "LinkedCall",
    "Target",
    "no_room",
    "uncarried",
]

MAX_TOLD: Final = 50
"""Lines in a second about calls by one link that have failed. Threat: a guest that calls what fails in a loop,
thousands of times a second. Arbitrary: the next line says how many were not told, and metrics count all."""


class CallOutcome(enum.StrEnum):
    """How a call by a link ended. The values are labels of metrics."""

    OK = "ok"
    """The callee returned."""
    ERR = "err"
    """It returned the err of its `result`."""
    TRAPPED = "trapped"
    """It was stopped by the engine or by its host, or exited owing a value."""
    NOT_FOUND = "not-found"
    """There is no such function, or no callee."""
    BUSY = "busy"
    """There was no room for one more call."""
    LATE = "late"
    """It did not return in the time it has."""
    FAILED = "failed"
    """It gave no usable answer otherwise."""
    DEPTH = "depth"
    """It was not called: too many calls wait on top of each other."""
    CANCELLED = "cancelled"
    """The caller ended first."""


_TRAPS: Final = {
    CallOutcome.TRAPPED: TrapKind.CALLEE_TRAPPED,
    CallOutcome.NOT_FOUND: TrapKind.CALLEE_NOT_FOUND,
    CallOutcome.BUSY: TrapKind.CALLEE_BUSY,
    CallOutcome.LATE: TrapKind.CALLEE_LATE,
    CallOutcome.FAILED: TrapKind.CALLEE_FAILED,
    CallOutcome.DEPTH: TrapKind.CALL_DEPTH,
}


class CallFailed(Exception):
    """A call by a link has no result.

    Attributes:
        outcome: how it ended.
        message: the same in words, for the caller: nothing of the callee's inside.
        reason: what happened, for the log; the message where that says all.
        begun: whether the callee may have begun. Where it has not for certain, another may be called in its place.
        answered: whether the callee gave any sign of life.
        target: which one was called, where the link has several.
    """

    def __init__(
        self,
        outcome: CallOutcome,
        message: str,
        reason: str | None = None,
        *,
        begun: bool = True,
        answered: bool = True,
    ) -> None:
        super().__init__(message if reason is None else reason)
        self.begun = begun
        self.answered = answered
        self.target: str | None = None
        self.outcome = outcome
        self.message = message
        self.reason = message if reason is None else reason

    @property
    def trap(self) -> TrapKind:
        """What stops the caller for it."""
        return _TRAPS[self.outcome]


def no_room(exhausted: Exhausted) -> CallFailed:
    """What to raise for a call whose values the gateway has no room for."""
    said = "the gateway has no room for its values"
    return CallFailed(CallOutcome.BUSY, said, str(exhausted))


class LinkMismatch(Exception):
    """The other end of a link does not have what the component imports; the message says what."""


LinkedCall: TypeAlias = Callable[[WasiCtx, Sequence[Any]], Awaitable[Any]]
"""Calls one function for an invocation, with its arguments as `gateway.host.values` has them, and returns what is
lowered as its result. Raises `CallFailed`."""


def uncarried(
    ty: wit.Function,
    carried: Collection[wit.Type] = (),
    exchanged: Collection[wit.Type] = (),
) -> str | None:
    """What a function takes or gives that a call by a link does not carry, in words; None if it carries all.

    Args:
        ty: its type.
        carried: resources that it does carry, as parameters.
        exchanged: resources that it carries both ways.
    """
    given = () if ty.result is None else tuple(wit.leaves(ty.result))
    for leaf in ty.leaves():
        match leaf:
            case wit.Own(resource) | wit.Borrow(resource) if leaf not in exchanged:
                if leaf not in carried or leaf in given:
                    return f"takes or gives the resource {resource.name}, which such a link does not carry"
            case wit.Unsupported(kind):
                return f"takes or gives a {kind}, which links do not carry"
    return None


class Target(Protocol):
    """The other end of a link.

    Attributes:
        kind: what it is, for metrics: `component`, `json-rpc`, `python`, `wrpc`.
        name: which one, for people.
        remote: whether it is outside of the gateway, and so may be away.
    """

    kind: str
    name: str
    remote: bool

    def calls(self, name: str, interface: wit.Interface) -> Mapping[str, LinkedCall]:
        """What calls its functions.

        Args:
            name: the full name of the interface that it provides.
            interface: what the caller imports of that.

        Returns:
            A call for each function that is imported, by its name.

        Raises:
            LinkMismatch: it is known not to have them, with these types; the message has a line for each.
        """

    def keeps(self, ctx: WasiCtx) -> bool:
        """Whether it keeps an instance for an invocation, to which all must go that this calls of it."""

    def gave(self, resource: object) -> bool:
        """Whether a resource is one that it has given, and means something to it alone."""

    async def aclose(self) -> None:
        """Let go of what it has open. May be called again."""
