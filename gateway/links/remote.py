"""What ends of links outside of the gateway have in common: functions whose calls are bytes, there and back."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from gateway.bindings.context import Caller, WasiCtx
from gateway.host import wit
from gateway.host.errors import Exhausted, Gone
from gateway.host.pieces import of_any_length
from gateway.http.trace_context import TraceContext
from gateway.links.target import (
    CallFailed,
    CallOutcome,
    LinkedCall,
    LinkMismatch,
    no_room,
    uncarried,
)
from gateway.observe.telemetry import Tracer
from gateway.policy.rate import Rate
from gateway.wasm.version import split_version

__all__ = [
    "CONNECT_TIMEOUT",
    "MAX_CONNECTIONS",
    "Means",
    "Reach",
    "RemoteFunction",
    "RemoteTarget",
    "failed",
    "unreachable",
]

MAX_CONNECTIONS: Final = 64
"""Connections to one server at once; more calls wait for one. Threat: a thousand guests, each with a socket of its
own. Arbitrary: a call that does not wait for anything takes milliseconds."""

CONNECT_TIMEOUT: Final = 5.0
"""Seconds for making a connection; the caller's deadline bounds all the rest. Arbitrary: a server that is there
needs a round trip or two."""

MAX_FAILED: Final = 20
"""Connections to a server that cannot be made in a second; after one more, none is tried for `HOLD_OFF`. Threat: a
guest that calls a server which is not there in a loop, each time with a look-up of its name and a connection.
Arbitrary: more than those who look whether it is back."""

HOLD_OFF: Final = 0.05
"""Seconds in which calls fail at once then."""

_WORDS: Final = {
    CallOutcome.NOT_FOUND: "has no such function",
    CallOutcome.TRAPPED: "has failed",
    CallOutcome.LATE: "took too long",
    CallOutcome.BUSY: "is busy",
    CallOutcome.FAILED: "gave no usable answer",
}
"""What the caller is told."""


def failed(outcome: CallOutcome, reason: str) -> CallFailed:
    """What to raise for a call that the callee did not answer as it should; the reason is for the log alone."""
    return CallFailed(outcome, f"the callee {_WORDS[outcome]}", reason)


def unreachable(error: Exception, *, begun: bool) -> CallFailed:
    """What to raise for a call that was not answered at all.

    Args:
        error: why not.
        begun: whether there was a connection, so that some of the call may have been sent.
    """
    reason = f"{type(error).__name__}: {error}"
    if begun:
        reason = f"it broke the connection: {reason}"
    said = "its server cannot be reached"
    return CallFailed(CallOutcome.FAILED, said, reason, begun=begun, answered=False)


class Reach:
    """Whether connections to a server are tried."""

    def __init__(self) -> None:
        self._rate = Rate(MAX_FAILED)
        self._not_before = 0.0
        self._error: Exception | None = None

    def check(self) -> None:
        """See whether one may be tried now.

        Raises:
            CallFailed: it may not, for too many could not be made a moment ago.
        """
        if self._error is not None and monotonic() < self._not_before:
            raise unreachable(self._error, begun=False)

    def failed(self, error: Exception) -> CallFailed:
        """What to raise where one could not be made."""
        if not self._rate.take():
            self._error = error.with_traceback(None)
            self._not_before = monotonic() + HOLD_OFF
        return unreachable(error, begun=False)


R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)


class RemoteFunction(Protocol[R_contra]):
    """A function of a server."""

    def request(self, args: Sequence[Any]) -> bytes:
        """What is sent to call it."""

    def result(self, response: R_contra) -> Any:
        """What it returned, as the response says.

        Raises:
            CallFailed: it says that it did not, or nothing that can be understood.
        """


F = TypeVar("F", bound=RemoteFunction[Any])


class Means(NamedTuple):
    """What calls of servers take.

    Attributes:
        tls: what makes a server trusted.
        max_result: bytes that a result may have.
        tracer: what is told of calls that are part of a trace, if anything is.
    """

    tls: ssl.SSLContext
    max_result: int
    tracer: Tracer | None = None


class RemoteTarget(ABC, Generic[F, R]):
    """A server that has the functions of an interface: a `Target`. What it has is seen when it is called.

    Each call is one request. It is never made twice, for nobody knows what the first has done.

    Args:
        url: where it is.
        means: what calls take.
        resources: those that it has for its caller.
    """

    kind: str
    remote = True

    def __init__(self, url: str, means: Means, resources: Collection[wit.Resource] = ()) -> None:
        self.name = url
        self._tracer = means.tracer
        self._carried = frozenset(of(it) for it in resources for of in (wit.Own, wit.Borrow))

    @abstractmethod
    def function(self, interface: str, name: str, ty: wit.Function) -> F:
        """A function of the interface of this full name."""

    @abstractmethod
    async def exchange(
        self, function: F, request: bytes, caller: Caller, trace: TraceContext | None
    ) -> R:
        """Send a request to call a function, and give the response.

        Raises:
            CallFailed: there is none.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """`Target.aclose`."""

    def keeps(self, _ctx: WasiCtx) -> bool:
        """`Target.keeps`."""
        return False

    def gave(self, _resource: object) -> bool:
        """`Target.gave`."""
        return False

    def calls(self, name: str, interface: wit.Interface) -> Mapping[str, LinkedCall]:
        """`Target.calls`."""
        wrong = [
            f"{function}: {why}"
            for function, ty in interface.functions.items()
            if (why := uncarried(ty, (), self._carried)) is not None
        ]
        if wrong:
            raise LinkMismatch("\n".join(wrong))
        unversioned, _ = split_version(name)
        return {
            function: partial(
                self._call, (unversioned, function), self.function(name, function, ty)
            )
            for function, ty in interface.functions.items()
        }

    async def _call(
        self,
        operation: tuple[str, str],
        function: F,
        ctx: WasiCtx,
        args: Sequence[Any],
    ) -> Any:
        caller = ctx.caller
        trace, span = caller.trace, None
        if trace is not None and self._tracer is not None:
            span = self._tracer.operation(trace, *operation, self.kind)
            trace = span.trace
        error: str | None = CallOutcome.CANCELLED.value
        try:
            request = await of_any_length(partial(function.request, args))
            response = await self.exchange(function, request, caller, trace)
            result = await of_any_length(partial(function.result, response))
            error = None
        except CallFailed as failure:
            error = failure.outcome.value
            raise
        except Gone as gone:  # of another link
            error = CallOutcome.FAILED.value
            raise failed(CallOutcome.FAILED, str(gone)) from None
        except Exhausted as exhausted:
            error = CallOutcome.BUSY.value
            raise no_room(exhausted) from None
        finally:
            if span is not None:
                span.end(error=error)
        return result
