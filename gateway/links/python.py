"""A Python object at the other end of a link."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import traceback
import typing
from collections import abc
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, Final, NamedTuple

from gateway.bindings.context import WasiCtx
from gateway.host import wit
from gateway.host.errors import Exhausted
from gateway.host.pieces import of_any_length
from gateway.host.table import Resource
from gateway.host.values import Err, Ok
from gateway.links.python_values import (
    Conversion,
    Misfit,
    ResourceClass,
    Resources,
    WrongValue,
    conversion,
)
from gateway.links.target import (
    CallFailed,
    CallOutcome,
    LinkedCall,
    LinkMismatch,
    no_room,
    uncarried,
)
from gateway.links.whole import whole_calls
from gateway.rpc.client.provided import CONSTRUCTOR, ProvidedNames, provided_names

__all__ = ["Instance", "PythonTarget"]

_THREADS: Final = 40
"""Functions of one object that may run at once in threads. Threat: as many threads as there are calls. Precedent:
what Starlette has for functions that are not coroutines."""

_RESULT: Final = "->"
"""What a result is called among parameters: no name in WIT."""


class Instance(Resource):
    """An object that stands for a resource, while a guest has a handle to it.

    Attributes:
        provider: the object that has its class.
        value: it.
    """

    __slots__ = ("provider", "value")

    def __init__(self, provider: object, value: object) -> None:
        self.provider = provider
        self.value: object = value

    def drop(self) -> None:
        """`Resource.drop`: the object is let go of on the event loop, for this may be the stack of a guest."""
        value, self.value = self.value, None
        try:
            asyncio.get_running_loop().call_soon(_let_go, value)
        except RuntimeError:  # the gateway has ended
            return


class PythonTarget:
    """An object whose attributes are the functions of an interface, and the classes of its resources.

    A coroutine function runs on the event loop, any other in a thread, as with Starlette.

    Args:
        name: where it is: `package.module:object`, or the name that it was handed over by.
        handed: the objects that were, by name.
        resources: those that the caller imports from it, and from nowhere else.
    """

    kind = "python"
    remote = False

    def __init__(
        self,
        name: str,
        handed: Mapping[str, object],
        resources: Collection[wit.Resource] = (),
    ) -> None:
        """Find it.

        Raises:
            LinkMismatch: it is not there.
        """
        self.name = name
        self._provider = _find(name, handed)
        self._resources = frozenset(resources)
        self._threads: ThreadPoolExecutor | None = None

    def keeps(self, _ctx: WasiCtx) -> bool:
        """`Target.keeps`."""
        return False

    def gave(self, _resource: object) -> bool:
        """`Target.gave`."""
        return False

    def calls(
        self,
        name: str,  # noqa: ARG002 - an object has one interface
        interface: wit.Interface,
    ) -> Mapping[str, LinkedCall]:
        """`Target.calls`: classes, parameters and annotations are compared with the types of the interface."""
        wrong: list[str] = []
        names = provided_names(interface)
        kinds, resources = self._classes(interface, names, wrong)
        carried = {each(it) for it in self._resources for each in (wit.Own, wit.Borrow)}
        calls: dict[str, LinkedCall] = {}
        for function, ty in interface.functions.items():
            role, owner, _ = wit.split_function(function)
            why = uncarried(ty, (), carried)
            if owner is not None and interface.resources[owner] not in self._resources:
                why = f"belongs to the resource {owner}, which such a link does not carry"
            if why is not None:
                wrong.append(f"{function}: {why}")
                continue
            if owner not in {None, *kinds} or not {None, *resources}.issuperset(
                map(_resource, ty.leaves())
            ):
                continue  # which is told already
            where = self.name
            try:
                if owner is None:
                    where += f".{(attribute := names.functions[function])}"
                    found = _of_object(self._provider, attribute)
                else:
                    where += f".{names.resources[owner]}.{(attribute := names.methods[function])}"
                    found = _of_class(kinds[owner], role, attribute)
                calls[function] = partial(self._call, _Function(found, wit.carried(ty), resources))
            except Misfit as misfit:
                wrong.append(f"{function}: {where} {misfit}")
        if wrong:
            raise LinkMismatch("\n".join(wrong))
        return whole_calls(calls, interface)

    def _classes(
        self, interface: wit.Interface, names: ProvidedNames, wrong: list[str]
    ) -> tuple[Mapping[str, type], Resources]:
        """The classes of resources, by their names and by themselves; adds what is wrong with them."""
        kinds: dict[str, type] = {}
        resources: dict[wit.Resource, ResourceClass] = {}
        for name, resource in interface.resources.items():
            if resource not in self._resources:
                continue  # it has another import, too, which leads elsewhere
            attribute = names.resources[name]
            try:
                kinds[name] = _class(self._provider, attribute)
            except Misfit as misfit:
                wrong.append(f"resource {name}: {self.name}.{attribute} {misfit}")
            else:
                resources[resource] = ResourceClass(kinds[name], self._instances(kinds[name]))
        return kinds, resources

    def _instances(self, kind: type) -> Conversion:
        """Of objects of a class that stand for resources."""

        def typed(value: Any) -> object:
            if type(value) is not Instance or value.provider is not self._provider:
                raise WrongValue(f"{kind.__name__} of {self.name}", value)
            return value.value

        def plain(value: object) -> Instance:
            if not isinstance(value, kind):
                raise WrongValue(kind.__name__, value)
            return Instance(self._provider, value)

        return Conversion(typed, plain)

    async def aclose(self) -> None:
        """`Target.aclose`. The object is not closed."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def _call(self, function: _Function, _ctx: WasiCtx, args: Sequence[Any]) -> Any:
        task = asyncio.current_task()
        cancelling = 0 if task is None else task.cancelling()
        try:
            try:
                values = await of_any_length(partial(function.typed, args))
            except (
                WrongValue
            ) as wrong:  # which only resources can be, of what another link has provided
                raise _failed(f"it was given what it has not made: {wrong}") from None
            value, error = await self._perform(function, values)
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
        self, function: _Function, values: Sequence[Any]
    ) -> tuple[Any, BaseException | None]:
        """Call it; gives what it returned, and what it raised if it did."""
        try:
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


class _Found(NamedTuple):
    """What there is for a function.

    Attributes:
        call: calls it, a method with its object first.
        definitions: it as Python defines it, and those that it overrides, without an object to be given.
        is_async: whether it is a coroutine function.
        inner: whether it is a method.
    """

    call: Callable[..., Any]
    definitions: Sequence[Callable[..., Any]]
    is_async: bool
    inner: bool = False


class _Function:
    """A function of an interface, and what an object has for it.

    Args:
        found: what it has.
        ty: the function's type.
        resources: what stands for resources.

    Attributes:
        call: calls it.
        is_async: whether that gives a coroutine.

    Raises:
        Misfit: it cannot be called with such parameters.
    """

    def __init__(self, found: _Found, ty: wit.Function, resources: Resources) -> None:
        self.call = found.call
        self.is_async = found.is_async
        self._result = ty.result if isinstance(ty.result, wit.Result) else None
        self._resources = resources
        result = ty.result if self._result is None else self._result.ok
        names = [name for name, _ in ty.params[found.inner :]]
        *params, returned = _annotations(found.definitions, names)
        if found.inner:
            params.insert(0, Any)
        self._params = [
            self._converted(f"has {name}", param, annotation)
            for (name, param), annotation in zip(ty.params, params, strict=True)
        ]
        self._returned = self._converted("returns what", result, returned)
        self._errs: dict[type, Conversion] = {}

    def _converted(self, where: str, ty: wit.Type | None, annotation: Any) -> Conversion:
        try:
            return conversion(ty, annotation, self._resources)
        except Misfit as misfit:
            raise Misfit(f"{where} is of another type: {misfit}") from None

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
                    self._errs[kind] = conversion(self._result.err, annotation, self._resources)
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


def _let_go(_value: object) -> None:
    """Whoever calls it has the last reference."""


def _resource(ty: wit.Type) -> wit.Resource | None:
    return ty.resource if isinstance(ty, wit.Own | wit.Borrow) else None


def _class(provider: object, attribute: str) -> type:
    """The class that an object has for a resource.

    Raises:
        Misfit: it has none.
    """
    found = getattr(provider, attribute, None)
    if isinstance(found, type):
        return found
    raise Misfit("is not there: it must be the class" if found is None else "is no class")


def _of_object(provider: object, attribute: str) -> _Found:
    """What an object has for a function.

    Raises:
        Misfit: it has nothing that can be called.
    """
    found = getattr(provider, attribute, None)
    if not callable(found):
        raise Misfit("is not there" if found is None else "cannot be called")
    definitions = (found, *_definitions(type(provider), attribute, provider))
    return _Found(found, definitions, _is_async(found))


def _of_class(kind: type, role: str, attribute: str) -> _Found:
    """What a class has for a function of a resource.

    Args:
        kind: the class.
        role: what the function is: "constructor", "method" or "static".
        attribute: what the class calls it.

    Raises:
        Misfit: it has nothing that can be called.
    """
    if attribute == CONSTRUCTOR:
        if inspect.isabstract(kind):
            lacks = ", ".join(sorted(getattr(kind, "__abstractmethods__", ())))
            raise Misfit(f"makes no object, for the class lacks {lacks}")
        return _Found(kind, (kind, *_definitions(kind, attribute, _SOME)), is_async=False)
    found = getattr(kind, attribute, None)
    if not callable(found):
        raise Misfit("is not there" if found is None else "cannot be called")
    if role == "static":
        definitions = tuple(_definitions(kind, attribute, None))
        return _Found(found, definitions, _is_async(found))
    definitions = tuple(_definitions(kind, attribute, _SOME))
    return _Found(partial(_call_method, attribute), definitions, _is_async(found), inner=True)


_SOME: Final = object()
"""What methods are bound to where only their parameters are looked at."""


def _call_method(attribute: str, instance: object, *args: Any) -> Any:
    return getattr(instance, attribute)(*args)


def _is_async(found: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(
        getattr(found, "__call__", None)  # noqa: B004 - of an object of such a class
    )


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


def _annotations(definitions: Sequence[Callable[..., Any]], names: Sequence[str]) -> list[Any]:
    """The annotations of a function's parameters and, last, of its result; `Any` where there is none.

    What a method does not say is what the one says that it overrides, if that has the same parameters.

    Raises:
        Misfit: it cannot be called with so many parameters, or its annotations cannot be told.
    """
    told: dict[str, Any] = {}
    for number, each in enumerate(definitions):
        try:
            bound = inspect.signature(each).bind(*names)
        except (TypeError, ValueError) as error:
            if number:
                continue
            raise Misfit(f"cannot be called with ({', '.join(names)}): {error}") from None
        if isinstance(each, type):
            continue  # whose annotations are those of its attributes
        try:
            hints = typing.get_type_hints(each)
        except Exception as error:
            raise Misfit(f"has annotations that cannot be told: {_why(error)}") from None
        meant = {**bound.arguments, "return": _RESULT}
        if getattr(each, "__name__", "") == CONSTRUCTOR:
            del meant["return"]  # which is None, and not the object
        for name, hint in hints.items():
            if isinstance(wit_name := meant.get(name), str) and hint is not Any:  # not of `*args`
                told.setdefault(wit_name, hint)
        if len(told) > len(names):
            break
    returned = told.get(_RESULT, Any)
    if typing.get_origin(returned) in {abc.Awaitable, abc.Coroutine}:
        returned = typing.get_args(returned)[-1]
    return [*(told.get(name, Any) for name in names), returned]


def _definitions(kind: type, attribute: str, instance: object) -> Iterator[Callable[..., Any]]:
    """What a class and its bases have under a name, bound to an object if there is one."""
    for base in kind.__mro__:
        defined: Any = vars(base).get(attribute)
        if hasattr(defined, "__get__"):
            yield defined.__get__(instance, kind)


def _err_of(kind: type) -> Any:
    """What an exception has as its value, if it is a `CallError` of a generated module; None if it is none."""
    is_one = False
    for base in kind.__mro__:
        for generic in vars(base).get("__orig_bases__", ()):
            if getattr(typing.get_origin(generic), "__name__", None) == "CallError":
                return typing.get_args(generic)[0]
        is_one |= base.__name__ == "CallError"
    return Any if is_one else None
