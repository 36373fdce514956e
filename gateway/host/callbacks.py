"""How the engine calls a function of the host: a callback for each, written for its types.

It finds the store, counts, reads the arguments, calls the function, and writes what that returns. Exceptions of
every kind end in it: one that left a callback would be lost, and so would a cancellation. What each takes is added
up in the store; that costs a quarter of a microsecond.

The first on a fiber tells where its stack is, which the invocation remembers for the fiber's next turns.
"""

from __future__ import annotations

from time import perf_counter
from types import CoroutineType, FrameType
from typing import Any, Final

from gateway.host import _capi, wit
from gateway.host.binding import Fallible, HostFunction
from gateway.host.errors import Trap
from gateway.host.inline import Source, is_short
from gateway.host.settings import HOST_STACK
from gateway.host.store import NOT_BEGUN, STORES, Store, Suspension
from gateway.host.values import (
    MAX_ARGUMENT,
    MAX_ARGUMENTS,
    MAX_ELEMENTS,
    VALUE_SIZE,
    ArgumentTooLarge,
    lift_argument,
    lower,
)

__all__ = ["Callback", "host_callback", "host_function"]

Callback = Any
"""A ctypes function object; it must be kept for as long as the linker lives."""

_FILE: Final = f"{__file__}:host_callback"
"""Where callbacks are, for tracebacks and profiles: no file."""


def host_callback(
    interface: str, host: HostFunction, ty: wit.Function, *, wanted: bool = True
) -> Callback:
    """What the engine is given for a host function.

    Args:
        interface: the full name of its interface, by which its calls are counted.
        host: the function.
        ty: its type, in the component that imports it.
        wanted: whether it has any use for its arguments.

    Raises:
        TypeError: there are values in the type that cannot cross.
    """
    lower_result = None if ty.result is None else lower(ty.result)
    fallible = Fallible.of(host.function)
    names = {
        "function": host.function if fallible is None else fallible.function,
        "host_name": host.name,
        "interface": interface,
        "lower_result": lower_result,
    }
    source = Source(_BLOCKING_PARAMETERS if host.blocking else _PARAMETERS, _NAMES | names)
    source.add(*_BEGIN)
    if host.blocking:
        source.add("set_continuation(continuation, CONTINUE, context)")
    with source.block("try:"):
        arguments = _arguments(source, host, ty) if wanted else ()
        call = f"value = function({', '.join(('store.data', *arguments))})"
        if fallible is None:
            source.add(call)
        else:
            kinds, err = source.bind(fallible.kinds), source.bind(fallible.err)
            source.add(
                "try:",
                f"    {call}",
                f"except {kinds} as failure:",
                f"    value = Err({err}(failure))",
            )
        if host.blocking:
            with source.block("if type(value) is CoroutineType:"):
                source.add(*(_APART if host.apart else _BEGUN))
        match ty.result:
            case None:
                pass
            case wit.Result() as result:
                source.write_result(result, "results", "value", lower)
            case result if is_short(result):
                source.write(result, "results", "value")
            case _:
                source.add("lower_result(store, results, value)")
    fail = "words[error_out >> 3] =" if host.blocking else "return"
    source.add(
        "except ArgumentTooLarge as error:",
        f"    {fail} store.fail(Trap(f'{{host_name}}: {{error}}'), host_name)",
        "except BaseException as error:",
        f"    {fail} store.fail(error, host_name)",
        "finally:",
        "    store.host_time += perf_counter() - began",
    )
    function = source.function(_FILE)
    return _capi.AsyncHostCallback(function) if host.blocking else _capi.HostCallback(function)


_FEW: Final = MAX_ARGUMENTS // MAX_ARGUMENT
"""Arguments that are never too large together."""


def _arguments(source: Source, host: HostFunction, ty: wit.Function) -> list[str]:
    """Have the arguments read; returns the names that they have."""
    names: list[str] = []
    counted = sum(not is_short(param) for _, param in ty.params) > _FEW
    if counted:
        source.add("lifted = 0")
    for index, (_, param) in enumerate(ty.params):
        at = f"args + {index * VALUE_SIZE}"
        if is_short(param):
            value = source.read(param, at)
        else:
            source.add("store.lifted = 0")
            value = f"{source.bind(lift_argument(param, cut=host.cuts))}(store, {at})"
        source.add(f"argument{index} = {value}")
        if counted and not is_short(param):
            source.add(
                "lifted += store.lifted",
                "if lifted > MAX_ARGUMENTS:",
                "    raise ArgumentTooLarge(TOO_LARGE)",
            )
        names.append(f"argument{index}")
    return names


_PARAMETERS: Final = "_env, context, ty, args, _nargs, results, _nresults"
_BLOCKING_PARAMETERS: Final = f"{_PARAMETERS}, error_out, continuation"

_BEGIN: Final = (
    "began = perf_counter()",
    "store = STORES[context]",
    *(("if not store.stack:", "    on_stack(store, ty)") if _capi.PROTECTS_STACKS else ()),
    "calls = store.host_calls",
    "calls[interface] = calls.get(interface, 0) + 1",
)

_APART: Final = (
    "store.suspension = Suspension(value, NOT_BEGUN, lower_result, results)",
    "return",
)

_BEGUN: Final = (
    "try:",
    "    awaited = value.send(None)",
    "except StopIteration as stop:",
    "    value = stop.value",
    "else:",
    "    store.suspension = Suspension(value, awaited, lower_result, results)",
    "    return",
)


def _on_stack(store: Store, address: int) -> None:
    # In a concurrent engine each task has a stack of its own, so every call of a host function tells anew.
    if not store.engine.concurrent:
        store.stack = address
    _capi.protect_stack(address, HOST_STACK)


def _continue(context: int) -> bool:
    return STORES[context].suspension is None


_CONTINUE, _CONTINUE_ADDRESS = _capi.continuation_callback(_continue)

_NAMES: Final = {
    "CONTINUE": _CONTINUE_ADDRESS,
    "MAX_ARGUMENTS": MAX_ARGUMENTS,
    "STORES": STORES,
    "TOO_LARGE": f"its arguments together; they may have {MAX_ARGUMENTS} bytes and {_FEW * MAX_ELEMENTS} elements "
    "of lists",
    "ArgumentTooLarge": ArgumentTooLarge,
    "CoroutineType": CoroutineType,
    "NOT_BEGUN": NOT_BEGUN,
    "Suspension": Suspension,
    "Trap": Trap,
    "on_stack": _on_stack,
    "perf_counter": perf_counter,
    "set_continuation": _capi.set_continuation,
}


def host_function(frame: FrameType) -> str | None:
    """The host function that a frame calls, by its name in WIT without a version; None for any other frame."""
    if frame.f_code.co_filename == _FILE:
        name: str = frame.f_globals["host_name"]
        return name
    return None
