"""A call of a function that returns its answer, whatever transport it came by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.host.errors import Exit
from gateway.host.values import Err, Ok
from gateway.observe.events import Outcome, outcome_of
from gateway.rpc.procedure import Function
from gateway.serving.call import Call

__all__ = ["perform"]


async def perform(
    call: Call,
    function: Function,
    *,
    left: asyncio.Future[None] | None = None,
    waits: Callable[[], None] = lambda: None,
) -> Ok | Err | Exception:
    """Make a call, and judge how it ended: its `outcome` is that from then on.

    Args:
        call: of the function's export, entered.
        function: what its result means.
        left: done when nobody waits for the answer any more.
        waits: called when it did not end at once, before it goes on. It may stop it.

    Returns:
        What the function returned, or what it ended with instead.
    """
    invocation = call.invocation
    answer: Ok | Err | None = None
    try:
        if not invocation.has_turn:
            await call.turn(left)
        if not invocation.begin():
            waits()
            await invocation.run()
        answer = function.returned(invocation.result)
    except Exception as failure:
        call.report(failure)
        if isinstance(failure, Exit):
            answer = function.exited(failure)
        if answer is None:
            call.outcome = outcome_of(failure, answered=False)
            return failure
    call.outcome = Outcome.ERR if isinstance(answer, Err) else Outcome.OK
    return answer
