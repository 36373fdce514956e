"""What components do with the backends that they are granted: bounded in time, counted, and told of."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable
from math import inf
from time import monotonic, perf_counter
from typing import Final, NamedTuple, ParamSpec, Protocol, TypeVar

import structlog

from gateway.capabilities.backend import BackendError, NoAnswer
from gateway.http.trace_context import TraceContext
from gateway.observe.telemetry import Tracer

__all__ = ["Caller", "OnOperation", "Operation", "OperationOutcome", "Operations"]

P = ParamSpec("P")
T = TypeVar("T")

_TOLD: Final = 10.0
"""Seconds between two lines about one component's trouble with one backend. Arbitrary: each call of a guest may
meet it."""

_log = structlog.get_logger("gateway.capabilities")


class Operation(NamedTuple):
    """A function that a guest called.

    Attributes:
        interface: the interface, without its version.
        function: its name there, without `[method]` and the like.
    """

    interface: str
    function: str


class OperationOutcome(enum.StrEnum):
    """How an operation ended. The values are labels of metrics."""

    OK = "ok"
    ERROR = "error"
    """What the component asked for cannot be: a quota, a value that is no number."""
    REFUSED = "refused"
    """The component may not do it."""
    FAILED = "failed"
    """The backend cannot be used, or failed."""
    TIMEOUT = "timeout"
    """It took longer than the backend has, or than the invocation had left."""
    CANCELLED = "cancelled"
    """The invocation ended first."""


class Caller(Protocol):
    """Who an operation is performed for."""

    @property
    def trace(self) -> TraceContext | None:
        """The trace that it is part of, if it is of one."""

    @property
    def remaining(self) -> float:
        """Seconds that are left to the invocation."""

    @property
    def log_context(self) -> dict[str, str]:
        """What log lines about it have in common."""


class OnOperation(Protocol):
    """What is told of operations."""

    def __call__(
        self,
        component: str,
        operation: Operation,
        backend: str,
        outcome: OperationOutcome,
        seconds: float | None,
    ) -> None:
        """Take note of one that has ended, and of what it took. Must not raise."""


class Operations:
    """The operations of one component on one backend.

    Args:
        component: the component's name.
        backend: the backend's `kind`.
        timeout: seconds that each may take at most, besides what the invocation has left; None where the backend
            never waits for anything else.
        what: what the backend is, to guests that it does not answer.
        on_operation: told of each, if anybody wants to know.
        tracer: told of those that are part of a trace, if any is.
    """

    def __init__(
        self,
        component: str,
        backend: str,
        *,
        timeout: float | None = None,
        what: str = "store",
        on_operation: OnOperation | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._component = component
        self._backend = backend
        self._timeout = timeout
        self._what = what
        self._on_operation = on_operation
        self._tracer = tracer
        self._tell_after = 0.0

    async def perform(
        self,
        what: Operation,
        caller: Caller,
        work: Callable[P, Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Perform one.

        Raises:
            BackendError: it failed, or took too long.
        """
        trace = caller.trace
        span = None
        if trace is not None and self._tracer is not None:
            span = self._tracer.operation(trace, what.interface, what.function, self._backend)
        began = perf_counter()
        outcome = OperationOutcome.CANCELLED
        try:
            result = await self._bounded(what, caller, work, *args, **kwargs)
        except BackendError as error:
            outcome = _outcome(error)
            raise
        else:
            outcome = OperationOutcome.OK
            return result
        finally:
            if span is not None:
                span.end(error=None if outcome is OperationOutcome.OK else outcome.value)
            self._count(what, outcome, perf_counter() - began)

    async def go_on(
        self,
        what: Operation,
        caller: Caller,
        work: Callable[P, Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Go on with one that was counted when it began, such as a stream: it is counted again if it fails.

        Raises:
            BackendError: it failed, or took too long.
        """
        began = perf_counter()
        try:
            return await self._bounded(what, caller, work, *args, **kwargs)
        except BackendError as error:
            self._count(what, _outcome(error), perf_counter() - began)
            raise

    def refused(self, what: Operation) -> None:
        """Count one that the component may not perform."""
        self._count(what, OperationOutcome.REFUSED, None)

    async def _bounded(
        self,
        what: Operation,
        caller: Caller,
        work: Callable[P, Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        limit = inf
        try:
            if self._timeout is None:
                return await work(*args, **kwargs)
            limit = min(self._timeout, caller.remaining)
            async with asyncio.timeout(limit):
                return await work(*args, **kwargs)
        except BackendError as error:
            if error.reason is not None:
                self._tell(what, caller, error.reason)
            raise
        except TimeoutError as error:
            had = "" if limit == self._timeout else ", all that the invocation had left"
            reason = f"no answer within {limit:.3g} s{had}"
            self._tell(what, caller, reason)
            raise NoAnswer(f"the {self._what} did not answer in time", reason) from error

    def _count(self, what: Operation, outcome: OperationOutcome, seconds: float | None) -> None:
        if self._on_operation is not None:
            self._on_operation(self._component, what, self._backend, outcome, seconds)

    def _tell(self, what: Operation, caller: Caller, reason: str) -> None:
        now = monotonic()
        if now >= self._tell_after:
            self._tell_after = now + _TOLD
            _log.warning(
                "backend failed",
                backend=self._backend,
                interface=what.interface,
                function=what.function,
                reason=reason,
                **caller.log_context,
            )


def _outcome(error: BackendError) -> OperationOutcome:
    if isinstance(error, NoAnswer):
        return OperationOutcome.TIMEOUT
    return OperationOutcome.ERROR if error.reason is None else OperationOutcome.FAILED
