"""What adapters ask for what links provide that no host can have (`gateway.wasm.wasip3.imported`)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.bindings.context import WasiCtx
from gateway.bindings.p3.ends import Ends, EndsOf, Result, ends_of_interface
from gateway.bindings.p3.operations import Operations
from gateway.bindings.p3.tasks import Tasks
from gateway.host import wit
from gateway.host.binding import HostFunction, HostInterface
from gateway.host.elements import replacing
from gateway.wasm.wasip3.imported import Imported

__all__ = ["asynchronous"]


def asynchronous(
    interface: str,
    imported: Imported,
    types: Mapping[str, wit.Function],
    ends: Sequence[wit.Type],
    provided: Mapping[str, Callable[..., Any]],
) -> HostInterface:
    """What one adapter asks by: calls of one invocation go on beside each other.

    Args:
        interface: its interface, without a version.
        imported: the adapter.
        types: the types of its functions, by their names.
        ends: the types of streams and futures in these, by their numbers.
        provided: what is called for them: coroutine functions, by their names.
    """
    family = imported.family
    made = HostInterface(family.host, None)
    made.function("begin")(_begin)
    operations = Operations(made, lambda value: value)

    def of(ctx: WasiCtx) -> EndsOf:
        return ctx.of(Ends).adapter(family.tag, ends, ctx.of(Tasks))

    if ends:
        ends_of_interface(made, of, len(ends))
    for name, own in imported.functions.items():
        if (function := provided.get(name)) is not None:
            call, crowded = _call(function, types[name], of), own in family.crowded
            operations.define(own, call, crowded=crowded)
            if not types[name].is_async:
                made.functions[own] = HostFunction(
                    _at_once(call, crowded=crowded), own, True, apart=True
                )
            if (result := types[name].result) is not None and wit.goes_on(result):
                made.functions[f"{own}-result"] = HostFunction(
                    lambda ctx, sleeper: of(ctx).result(sleeper), own
                )
            for each in (own, f"{own}-result"):
                told = replace(made.functions[each], name=f"{interface}#{name}")
                made.functions[each] = told
    return made


def _begin(ctx: WasiCtx, sleeper: int) -> None:
    """The next call is for that sleeper."""
    ctx.of(Tasks).beginning = sleeper


def _call(
    function: Callable[..., Any], ty: wit.Function, of: Callable[[WasiCtx], EndsOf]
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """What makes a call, with elements for the ends of the guest's."""
    params = [replacing(param) for _, param in ty.params]
    result = None if ty.result is None else replacing(ty.result)

    def begin(ctx: WasiCtx, *arguments: Any) -> Coroutine[Any, Any, Any]:
        given = [
            value if param is None else param(value, of(ctx).given)
            for param, value in zip(params, arguments, strict=True)
        ]
        return call(ctx.apart(), given)

    async def call(ctx: WasiCtx, arguments: Sequence[Any]) -> Any:
        value = await function(ctx, *arguments)
        return value if result is None else Result(value, result)

    return begin


def _at_once(
    call: Callable[..., Coroutine[Any, Any, Any]], *, crowded: bool
) -> Callable[..., Coroutine[Any, Any, bool]]:
    """What makes a call that has returned when the guest goes on."""

    async def done(ctx: WasiCtx, *arguments: Any) -> bool:
        tasks = ctx.of(Tasks)
        sleeper = tasks.beginning if crowded else arguments[-1]
        value = await call(ctx, *(arguments if crowded else arguments[:-1]))
        return tasks.begin(sleeper, value)

    return done
