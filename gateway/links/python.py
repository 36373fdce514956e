"""A Python object at the other end of a link."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import traceback
import typing
from collections import abc
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, Final

from gateway.bindings.context import WasiCtx
from gateway.host import wit
from gateway.host.errors import Exhausted
from gateway.host.pieces import of_any_length
from gateway.host.values import Err, Ok
from gateway.links.python_values import Conversion, Misfit, WrongValue, conversion
from gateway.links.target import (
    CallFailed,
    CallOutcome,
    LinkedCall,
    LinkMismatch,
    no_room,
    uncarried,
)
from gateway.rpc.client.names import attribute_names

__all__ = ["PythonTarget"]

_THREADS: Final = 40
"""Functions of one object that may run at once in threads. Threat: as many threads as there are calls. Precedent:
what Starlette has for functions that are not coroutines."""

_RESULT: Final = "->"
"""What a result is called among parameters: no name in WIT."""


class PythonTarget:
    """An object whose attributes are the functions of an interface.

    A coroutine function runs on the event loop, any other in a thread, as with Starlette.

    Args:
        name: where it is: `package.module:object`, or the name that it was handed over by.
        handed: the objects that were, by name.
    """

    kind = "python"
    remote = False

    def __init__(self, name: str, handed: Mapping[str, object]) -> None:
        """Find it.

        Raises:
            LinkMismatch: it is not there.
        """
        self.name = name
        self._provider = _find(name, handed)
        self._threads: ThreadPoolExecutor | None = None

    def keeps(self, _ctx: WasiCtx) -> bool:
        """`Target.keeps`."""
        return False

    def calls(
        self,
        name: str,  # noqa: ARG002 - an object has one interface
        interface: wit.Interface,
    ) -> Mapping[str, LinkedCall]:
        """`Target.calls`: parameters and annotations are compared with the types of the interface."""
        wrong: list[str] = []
        calls: dict[str, LinkedCall] = {}
        attributes = attribute_names(interface.functions)
        for attribute, (function, ty) in zip(attributes, interface.functions.items(), strict=True):
            if (why := uncarried(ty)) is not None:
                wrong.append(f"{function}: {why}")
                continue
            try:
                calls[function] = partial(self._call, _Function(self._provider, attribute, ty))
            except Misfit as misfit:
                wrong.append(f"{function}: {self.name}.{attribute} {misfit}")
        if wrong:
            raise LinkMismatch("\n".join(wrong))
        return calls

    async def aclose(self) -> None:
        """`Target.aclose`. The object is not closed."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def _call(self, function: _Function, _ctx: WasiCtx, args: Sequence[Any]) -> Any:
        task = asyncio.current_task()
        cancelling = 0 if task is None else task.cancelling()
        try:
            value, error = await self._perform(function, args)
            if error is None:
                return await of_any_length(partial(function.returned, value))
            return await of_any_length(partial(function.raised, error))
        except WrongValue as wrong:
            raise _failed(f"it returned another type: {wrong}") from None
        except Exhausted as exhausted:
            raise no_room(exhausted) from None
        except asyncio.CancelledError as error:
            if task is None or task.cancelling() > cancelling:
                raise
            raise _failed("it was cancelled by itself") from error

    async def _perform(
        self, function: _Function, args: Sequence[Any]
    ) -> tuple[Any, BaseException | None]:
        """Call it; gives what it returned, and what it raised if it did."""
        try:
            values = await of_any_length(partial(function.typed, args))
            if function.is_async:
                return await function.call(*values), None
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="provider")
            work = partial(copy_context().run, _attempt, function.call, values)
            value, error = await asyncio.get_running_loop().run_in_executor(self._threads, work)
            if error is None and inspect.isawaitable(value):  # of a function that wraps a coroutine
                value = await value
        except Exhausted:
            raise
        except (Exception, SystemExit) as raised:  # it must not end the gateway
            return None, raised
        return value, error


class _Function:
    """A function of an interface, and what an object has for it.

    Args:
        provider: the object.
        attribute: what it calls the function.
        ty: the function's type.

    Attributes:
        call: what it has.
        is_async: whether that is a coroutine function.

    Raises:
        Misfit: it has nothing, or nothing that can be called with such parameters.
    """

    def __init__(self, provider: object, attribute: str, ty: wit.Function) -> None:
        found = getattr(provider, attribute, None)
        if not callable(found):
            raise Misfit("is not there" if found is None else "cannot be called")
        self.call: Callable[..., Any] = found
        self.is_async = inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(
            getattr(found, "__call__", None)  # noqa: B004 - of an object of such a class
        )
        self._result = ty.result if isinstance(ty.result, wit.Result) else None
        result = ty.result if self._result is None else self._result.ok
        names = [name for name, _ in ty.params]
        *params, returned = _annotations(provider, attribute, found, names)
        self._params = [
            _converted(f"has {name}", param, annotation)
            for (name, param), annotation in zip(ty.params, params, strict=True)
        ]
        self._returned = _converted("returns what", result, returned)
        self._errs: dict[type, Conversion] = {}

    def typed(self, args: Sequence[Any]) -> list[Any]:
        """Arguments as it takes them."""
        return [param.typed(arg) for param, arg in zip(self._params, args, strict=True)]

    def returned(self, value: Any) -> Any:
        """What it returned, to be lowered.

        Raises:
            WrongValue: that is of another type.
        """
        plain = self._returned.plain(value)
        return plain if self._result is None else Ok(plain)

    def raised(self, error: BaseException) -> Err:
        """The err that it raised.

        Raises:
            WrongValue: the value of the err is of another type.
            CallFailed: what it raised is none.
        """
        kind = type(error)
        if self._result is not None and (annotation := _err_of(kind)) is not None:
            try:
                if kind not in self._errs:
                    self._errs[kind] = conversion(self._result.err, annotation)
            except Misfit as misfit:
                raise _failed(f"it raised {kind.__qualname__}, but {misfit}") from error
            return Err(self._errs[kind].plain(getattr(error, "value", None)))
        raise _failed(f"it raised {kind.__qualname__}") from error


def _failed(reason: str) -> CallFailed:
    return CallFailed(CallOutcome.FAILED, "its provider has failed", reason)


def _attempt(
    function: Callable[..., Any], values: Sequence[Any]
) -> tuple[Any, BaseException | None]:
    # A future takes no `StopIteration`, and hands a `SystemExit` to the loop.
    try:
        return function(*values), None
    except BaseException as error:
        return None, error


def _converted(where: str, ty: wit.Type | None, annotation: Any) -> Conversion:
    try:
        return conversion(ty, annotation)
    except Misfit as misfit:
        raise Misfit(f"{where} is of another type: {misfit}") from None


def _find(name: str, handed: Mapping[str, object]) -> object:
    """The object that a link names.

    Raises:
        LinkMismatch: it is not there, or no object that has functions.
    """
    module, colon, path = name.partition(":")
    if not colon:
        if name not in handed:
            raise LinkMismatch(
                f'no object of the name "{name}" was handed to `create_app` (providers); one of a module is '
                "package.module:object"
            )
        return handed[name]
    try:
        found: Any = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise LinkMismatch(f"{module} cannot be imported: {_why(error)}") from error
    for attribute in path.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise LinkMismatch(f"{name} is not there: {module} has no {path}") from None
    if isinstance(found, type):
        raise LinkMismatch(f"{name} is a class: name an object of it")
    return found


def _why(error: BaseException) -> str:
    """What went wrong in a module, on one line, and where."""
    said = " ".join(f"{type(error).__name__}: {error}".split())
    (*_, last) = traceback.extract_tb(error.__traceback__)
    return (
        said if last.filename.startswith("<") else f"{said} ({last.filename}, line {last.lineno})"
    )


def _annotations(
    provider: object, attribute: str, found: Callable[..., Any], names: Sequence[str]
) -> list[Any]:
    """The annotations of a function's parameters and, last, of its result; `Any` where there is none.

    What a method does not say is what the one says that it overrides.

    Raises:
        Misfit: it cannot be called with so many parameters, or its annotations cannot be told.
    """
    told: dict[str, Any] = {}
    for each in _definitions(provider, attribute, found):
        try:
            bound = inspect.signature(each).bind(*names)
        except (TypeError, ValueError) as error:
            raise Misfit(f"cannot be called with ({', '.join(names)}): {error}") from None
        try:
            hints = typing.get_type_hints(each)
        except Exception as error:
            raise Misfit(f"has annotations that cannot be told: {_why(error)}") from None
        meant = {**bound.arguments, "return": _RESULT}
        for name, hint in hints.items():
            if isinstance(wit_name := meant.get(name), str) and hint is not Any:  # not of `*args`
                told.setdefault(wit_name, hint)
        if len(told) > len(names):
            break
    returned = told.get(_RESULT, Any)
    if typing.get_origin(returned) in {abc.Awaitable, abc.Coroutine}:
        returned = typing.get_args(returned)[-1]
    return [*(told.get(name, Any) for name in names), returned]


def _definitions(
    provider: object, attribute: str, found: Callable[..., Any]
) -> Iterator[Callable[..., Any]]:
    yield found
    for base in type(provider).__mro__:
        overridden: Any = vars(base).get(attribute)
        if hasattr(overridden, "__get__"):
            yield overridden.__get__(provider, type(provider))


def _err_of(kind: type) -> Any:
    """What an exception has as its value, if it is a `CallError` of a generated module; None if it is none."""
    is_one = False
    for base in kind.__mro__:
        for generic in vars(base).get("__orig_bases__", ()):
            if getattr(typing.get_origin(generic), "__name__", None) == "CallError":
                return typing.get_args(generic)[0]
        is_one |= base.__name__ == "CallError"
    return Any if is_one else None
