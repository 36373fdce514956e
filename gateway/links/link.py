"""An imported interface whose functions are calls of what is at the other end of a link."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any, Literal, Protocol

import structlog

from gateway.bindings.context import Caller, WasiCtx
from gateway.host import wit
from gateway.host.binding import HostFunction, HostInterface
from gateway.host.elements import replacing
from gateway.host.errors import Trap
from gateway.host.values import Err
from gateway.links.target import MAX_TOLD, CallFailed, CallOutcome, LinkedCall, Target
from gateway.policy.rate import Rate
from gateway.wasm.version import split_version

__all__ = ["Link", "OnCall"]

_log = structlog.get_logger("gateway.links")


class OnCall(Protocol):
    """What is told of calls by links."""

    def __call__(
        self,
        component: str,
        operation: tuple[str, str],
        target: str,
        outcome: CallOutcome,
        seconds: float,
    ) -> None:
        """Take note of one that has ended, and of what it took. Must not raise."""


class Link:
    """An interface that a component imports, and what is called for it.

    Args:
        name: the interface's full name.
        target: the other end.
        errors: as of `gateway.config.link.LinkConfig`.
        max_depth: how many calls there may be on top of each other.
        on_call: told of each call, if anybody wants to know.

    Attributes:
        target: ditto.
    """

    def __init__(
        self,
        name: str,
        target: Target,
        *,
        errors: Literal["trap", "result"] = "trap",
        max_depth: int,
        on_call: OnCall | None = None,
    ) -> None:
        self.target = target
        self._name = name
        self._unversioned, self._version = split_version(name)
        self._errors = errors
        self._max_depth = max_depth
        self._on_call = on_call
        self._rate = Rate(MAX_TOLD)
        self._untold = 0

    def interface(self, imported: wit.Interface) -> HostInterface:
        """What the component finds linked.

        Args:
            imported: what it imports of the interface.

        Raises:
            LinkMismatch: the target lacks functions of it, or has them with other types, or no link could carry
                their values; the message has a line for each.
        """
        made = HostInterface(self._unversioned, self._version)
        for function, call in self.target.calls(self._name, imported).items():
            ty = imported.functions[function]
            as_err = _as_err(ty) if self._errors == "result" else None
            made.functions[function] = HostFunction(
                partial(self._call, function, call, as_err, _closing(ty)),
                f"{self._unversioned}#{function}",
                blocking=True,
                apart=True,
            )
        return made

    async def _call(
        self,
        function: str,
        call: LinkedCall,
        as_err: Callable[[str], Err] | None,
        close: Callable[[Sequence[Any]], object],
        ctx: WasiCtx,
        *args: Any,
    ) -> Any:
        try:
            return await self.call(function, call, ctx, args)
        except CallFailed as failure:
            close(args)
            if as_err is None:
                said = f"{self._name}#{function}: {failure.message}"
                raise Trap(said, kind=failure.trap) from None
            return as_err(failure.message)

    async def call(self, function: str, call: LinkedCall, ctx: WasiCtx, args: Sequence[Any]) -> Any:
        """Make a call of the other end, and tell how it ended.

        Args:
            function: what is called.
            call: calls it.
            ctx: what the caller works with.
            args: as of `LinkedCall`.

        Raises:
            CallFailed: it has no result.
        """
        caller = ctx.caller
        began = perf_counter()
        outcome = CallOutcome.CANCELLED
        try:
            if caller.depth >= self._max_depth:
                raise CallFailed(
                    CallOutcome.DEPTH,
                    f"{self._max_depth} calls by links wait on top of each other, the most that there may be "
                    "(max_call_depth)",
                )
            result = await call(ctx, args)
            outcome = CallOutcome.ERR if type(result) is Err else CallOutcome.OK
        except asyncio.CancelledError:
            if not caller.remaining:
                outcome = CallOutcome.LATE
            raise
        except CallFailed as failure:
            outcome = failure.outcome
            self._tell(function, caller, failure)
            raise
        finally:
            if self._on_call is not None:
                operation, seconds = (self._unversioned, function), perf_counter() - began
                self._on_call(caller.component, operation, self.target.kind, outcome, seconds)
        return result

    def _tell(self, function: str, caller: Caller, failure: CallFailed) -> None:
        if not self._rate.take():
            self._untold += 1
            return
        untold, self._untold = self._untold, 0
        _log.warning(
            "linked call failed",
            outcome=failure.outcome.value,
            interface=self._name,
            function=function,
            target=failure.target or self.target.name,
            reason=failure.reason,
            exc_info=failure.__cause__,
            **({"untold": untold} if untold else {}),
            **caller.log_context,
        )


def _closing(ty: wit.Function) -> Callable[[Sequence[Any]], object]:
    """What closes the streams and futures among the arguments of a call that nobody takes."""
    found = replacing(wit.Tuple(tuple(param for _, param in ty.params)))
    if found is None:
        return len
    return lambda args: found(args, lambda _ty, end: end.close())


def _as_err(ty: wit.Function) -> Callable[[str], Err] | None:
    """What makes of words the err of a function's result; None where it has none that could carry them."""
    result = ty.result
    if not isinstance(result, wit.Result):
        return None
    if isinstance(result.err, wit.String):
        return Err
    return (lambda _message: Err()) if result.err is None else None
