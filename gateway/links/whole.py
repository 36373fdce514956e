"""Calls of what takes and gives lists where its caller has streams, and payloads where that has futures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.bindings.context import WasiCtx
from gateway.host import wit
from gateway.host.elements import Broken, collected, over_time
from gateway.host.errors import ResultTooLarge
from gateway.host.values import MAX_ARGUMENTS
from gateway.links.target import CallFailed, CallOutcome, LinkedCall, LinkMismatch

__all__ = ["as_a_whole", "unwaited", "whole_calls"]


def unwaited(ty: wit.Function) -> str | None:
    """Why a function cannot be called so, in words; None if it can.

    Whoever calls one that is not asynchronous writes nothing before it has returned.
    """
    if ty.is_async or not any(wit.goes_on(param) for _, param in ty.params):
        return None
    return "takes streams or futures and is no async func, which such a link waits for in vain"


def whole_calls(
    calls: Mapping[str, LinkedCall], interface: wit.Interface
) -> Mapping[str, LinkedCall]:
    """The same calls for a caller that has streams and futures.

    Raises:
        LinkMismatch: one of them would wait in vain.
    """
    wrong = [
        f"{function}: {why}"
        for function in calls
        if (why := unwaited(interface.functions[function])) is not None
    ]
    if wrong:
        raise LinkMismatch("\n".join(wrong))
    return {
        function: as_a_whole(call, interface.functions[function], MAX_ARGUMENTS)
        for function, call in calls.items()
    }


def as_a_whole(call: LinkedCall, ty: wit.Function, max_size: int) -> LinkedCall:
    """The same for a caller that has streams and futures.

    Args:
        call: what is called.
        ty: its type, as it is imported.
        max_size: as of `gateway.host.elements.collected`.
    """
    params = [param for _, param in ty.params]
    result = None if ty.result is None else over_time(ty.result)
    if result is None and not any(map(wit.goes_on, params)):
        return call

    async def whole(ctx: WasiCtx, args: Sequence[Any]) -> Any:
        try:
            all_of_it = await collected(wit.Tuple(tuple(params)), tuple(args), max_size)
        except (Broken, ResultTooLarge) as error:
            raise CallFailed(
                CallOutcome.FAILED,
                "the callee has no use for its arguments",
                str(error),
                begun=False,
            ) from None
        try:
            value = await call(ctx, all_of_it)
        except CallFailed as failure:
            failure.begun = True  # nobody can have the streams again
            raise
        return value if result is None else result(value)

    return whole
