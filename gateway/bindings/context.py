"""What the host functions of one invocation work with: the data of its store."""

from __future__ import annotations

from time import monotonic_ns
from typing import Any, TypeVar

__all__ = ["State", "WasiCtx"]

S = TypeVar("S", bound="State")


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
        started_ns: when the invocation began, on the clock of `time.monotonic_ns`; now by default.

    Attributes:
        started_ns: ditto.
    """

    __slots__ = ("_states", "started_ns")

    def __init__(self, *granted: State, started_ns: int | None = None) -> None:
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
