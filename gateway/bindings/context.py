"""What the host functions of one invocation work with: the data of its store."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from time import monotonic, monotonic_ns
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from gateway.host.scheduler import Lane
from gateway.http.trace_context import TraceContext

__all__ = ["DEFAULT_LINK", "NOBODY", "Caller", "Grant", "State", "States", "WasiCtx"]

S = TypeVar("S", bound="State")

DEFAULT_LINK: Final = "default"
"""The name of a link that has none of its own."""


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


class States(dict[type[State], Any]):
    """The states of an invocation, by family. What is granted of one is made when it is first asked for.

    None is that of a family of which nothing is granted.

    Attributes:
        grant: makes it.
    """

    __slots__ = ("grant",)

    grant: Grant

    def __missing__(self, family: type[State]) -> State | None:
        state = self[family] = self.grant(self, family)
        return state


Grant: TypeAlias = Callable[[States, type[State]], State | None]
"""Makes the state of a family for the invocation that has those states; gives None where nothing is granted."""


def _nothing(_states: States, _family: type[State]) -> None:
    pass


class WasiCtx:
    """The state that the host functions of an invocation share: one object for each family of interfaces.

    Everything that is not granted here is denied.

    Args:
        granted: the states of families that were granted something.
        caller: on whose behalf the invocation runs.
        started_ns: when it began, on the clock of `time.monotonic_ns`; now by default.
        grant: what else is granted.

    Attributes:
        caller: ditto.
        started_ns: ditto.
        label: that of the import by which it is used; "" for one without.
    """

    __slots__ = ("_link_names", "_states", "caller", "label", "started_ns")

    def __init__(
        self,
        *granted: State,
        caller: Caller = NOBODY,
        started_ns: int | None = None,
        grant: Grant = _nothing,
    ) -> None:
        self.caller = caller
        self._states = States(zip(map(type, granted), granted, strict=True))
        self._states.grant = grant
        self.started_ns = monotonic_ns() if started_ns is None else started_ns
        self.label = ""
        self._link_names: dict[str, str] = {}

    def link_name(self, *interfaces: str) -> str:
        """The name of the link that calls of an interface go by.

        Args:
            interfaces: the interface, without its version; and others, whose choice counts where it has none.
        """
        if self.label:
            return self.label
        if names := self._link_names:
            return next((names[each] for each in interfaces if each in names), DEFAULT_LINK)
        return DEFAULT_LINK

    def choose(self, name: str, interfaces: Iterable[str]) -> None:
        """Have calls of interfaces go by the link of this name, until another is chosen."""
        for interface in interfaces:
            if name == DEFAULT_LINK:
                self._link_names.pop(interface, None)
            else:
                self._link_names[interface] = name

    def labelled(self, label: str) -> WasiCtx:
        """The same, for a function of an import that has a label: the name of its link, whatever was chosen."""
        seen = _Labelled.__new__(_Labelled)
        seen.origin = self
        seen.started_ns = self.started_ns
        seen._states = self._states
        seen._link_names = self._link_names
        seen.label = label
        return seen

    def apart(self) -> WasiCtx:
        """Another of the same invocation, for a call by a link that others go on beside."""
        other = WasiCtx(caller=self.caller, started_ns=self.started_ns)
        other._link_names = dict(self._link_names)
        other.label = self.label
        return other

    def of(self, family: type[S]) -> S:
        """The state of a family; where nothing was granted, one without grants is made on first use."""
        state: S | None = self._states[family]
        if state is None:
            state = self._states[family] = family()
        return state

    def granted(self, family: type[S]) -> S | None:
        """The state of a family that is nothing without a grant; None if there is none."""
        state: S | None = self._states[family]
        return state

    def close(self) -> None:
        """End what goes on outside for the invocation, which has ended."""
        self._states.grant = _nothing
        for state in self._states.values():
            if state is not None:
                state.close()


class _Labelled(WasiCtx):
    """One for a label. Where the instance is kept, it may outlast the call in which it was made."""

    __slots__ = ("origin",)

    origin: WasiCtx

    @property
    def caller(self) -> Caller:  # type: ignore[override]
        """That of the call which is under way."""
        return self.origin.caller
