"""What adapters ask for asynchronous functions that links provide (`gateway.wasm.wasip3.imported`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from gateway.bindings.context import WasiCtx
from gateway.bindings.p3.operations import Operations
from gateway.bindings.p3.tasks import Tasks
from gateway.host.binding import HostInterface

__all__ = ["asynchronous"]


def asynchronous(
    interface: str,
    host: str,
    functions: Mapping[str, str],
    crowded: Collection[str],
    provided: Mapping[str, Callable[..., Any]],
) -> HostInterface:
    """What one adapter asks by: calls of one invocation go on beside each other.

    Args:
        interface: its interface, without a version.
        host: what it asks by.
        functions: what the adapter calls the functions of its interface, by their names.
        crowded: those whose parameters leave no room for a sleeper, as the adapter calls them.
        provided: what is called for them: coroutine functions, by their names.
    """
    made = HostInterface(host, None)
    made.function("begin")(_begin)
    operations = Operations(made, lambda value: value)
    for name, own in functions.items():
        if (function := provided.get(name)) is not None:
            operations.define(own, _apart(function), crowded=own in crowded)
            for each in (own, f"{own}-result"):
                told = replace(made.functions[each], name=f"{interface}#{name}")
                made.functions[each] = told
    return made


def _begin(ctx: WasiCtx, sleeper: int) -> None:
    """The next call is for that sleeper."""
    ctx.of(Tasks).beginning = sleeper


def _apart(function: Callable[..., Any]) -> Callable[..., Any]:
    def begin(ctx: WasiCtx, *arguments: Any) -> Any:
        return function(ctx.apart(), *arguments)

    return begin
