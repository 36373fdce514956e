"""What the host functions of one invocation work with: the data of its store."""

from __future__ import annotations

import math
from time import monotonic, monotonic_ns
from typing import Any, Final, NamedTuple, TypeVar

from gateway.host.scheduler import Lane
from gateway.http.trace_context import TraceContext

__all__ = ["NOBODY", "Caller", "State", "WasiCtx"]

S = TypeVar("S", bound="State")


class Caller(NamedTuple):
    """On whose behalf an invocation runs, and for how long.

    Attributes:
        component: the name of the component.
        request_id: the id of the request that it is made for.
        trace: the trace that it is part of, if it is of one.
        deadline: when it must have finished, on the clock of `time.monotonic`.
        depth: how many invocations wait for it, each in a call by a link.
        lane: where it queues for its turns.
    """

    component: str
    request_id: str
    trace: TraceContext | None = None
    deadline: float = math.inf
    depth: int = 0
    lane: Lane = Lane.NEW

    @property
    def remaining(self) -> float:
        """Seconds that are left to it, 0 or more."""
        return max(0.0, self.deadline - monotonic())

    @property
    def log_context(self) -> dict[str, str]:
        """What log lines about it have in common."""
        context = {"component": self.component, "request_id": self.request_id}
        if self.trace is not None:
            context["trace_id"] = self.trace.trace_id
        return context


NOBODY: Final = Caller("", "")
"""The caller where a component runs for nobody who is known."""


class State:
    """What the functions of one family of interfaces keep for an invocation."""

    __slots__ = ()

    def close(self) -> None:
        """End what goes on outside for the invocation, which has ended. Must not raise."""


class WasiCtx:
    """The state that the host functions of an invocation share: one object for each family of interfaces.

    Everything that is not granted here is denied.

    Args:
        granted: the states of families that were granted something.
        caller: on whose behalf the invocation runs.
        started_ns: when it began, on the clock of `time.monotonic_ns`; now by default.

    Attributes:
        caller: ditto.
        started_ns: ditto.
    """

    __slots__ = ("_states", "caller", "started_ns")

    def __init__(
        self, *granted: State, caller: Caller = NOBODY, started_ns: int | None = None
    ) -> None:
        self.caller = caller
        self._states: dict[type[State], Any] = {type(state): state for state in granted}
        self.started_ns = monotonic_ns() if started_ns is None else started_ns

    def of(self, family: type[S]) -> S:
        """The state of a family; where nothing was granted, one without grants is made on first use."""
        state: S | None = self._states.get(family)
        if state is None:
            state = self._states[family] = family()
        return state

    def granted(self, family: type[S]) -> S | None:
        """The state of a family that is nothing without a grant; None if there is none."""
        state: S | None = self._states.get(family)
        return state

    def close(self) -> None:
        """End what goes on outside for the invocation, which has ended."""
        for state in self._states.values():
            state.close()
