"""`gateway:wasi/calls`: what callers of a guest's functions tell the host (`gateway.wasm.wasip3.calls`)."""

from __future__ import annotations

from gateway.bindings.context import WasiCtx
from gateway.bindings.p3.tasks import Tasks
from gateway.host.binding import HostInterface
from gateway.host.errors import ResultTooLarge
from gateway.wasm.wasip3 import CALLS

__all__ = ["INTERFACES"]

calls = HostInterface(CALLS, None)
INTERFACES = (calls,)


@calls.function("returned")
def returned(ctx: WasiCtx) -> None:
    """The function has returned, and all that streams and futures carry is there."""
    ctx.of(Tasks).answered = True


@calls.function("took")
def took(ctx: WasiCtx, count: int) -> None:
    """So many elements more have come by streams."""
    tasks = ctx.of(Tasks)
    tasks.taken += count
    if tasks.max_taken is not None and tasks.taken > tasks.max_taken:
        raise ResultTooLarge(tasks.max_taken)
