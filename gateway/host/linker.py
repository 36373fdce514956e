"""Links a component: gives every import a definition, and every export a handle to call it by.

A linker is made from the names that the component asks for, so any version of an interface's track is served by
the one binding. An import that nothing provides never keeps a component from loading: its functions trap when
they are called, with the import's name.

Resource types come from one place. The types of a component's imports compare equal across its instances, each
group of equals has one `wit.Resource`, and its number defines it in every instance that exports it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from copy import copy
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import structlog
from wasmtime import WasmtimeError
from wasmtime.component import ExportIndex, Linker, LinkerInstance

from gateway.host import _capi, wit
from gateway.host.binding import HostFunction, HostInterface, Provided
from gateway.host.callbacks import Callback, host_callback
from gateway.host.errors import ComponentError, Exhausted, Gone, Trap, TrapKind
from gateway.host.inline import is_short
from gateway.host.store import STORES
from gateway.host.values import Lift, Lower, lift, lower
from gateway.wasm.wasip3 import ADAPTERS

if TYPE_CHECKING:
    from gateway.host.component import Component
    from gateway.host.engine import Engine

__all__ = ["Export", "LinkedComponent", "link"]

_log = structlog.get_logger("gateway.engine")

_PAUSE: Final = 1.0
"""Seconds before what could not be linked beside the pools is tried again. Threat: a system without room for it,
and a thread that does nothing else while every call asks. Arbitrary."""

_UNKNOWN: Final = "unknown import"
"""The host function that every import which nothing provides is."""


class Export:
    """A function that a component exports, ready to be called.

    Attributes:
        linked: the component.
        name: the function's full name, `interface#function` or `function`.
        type: its WIT type.
        boxed: whether it takes a list of one tuple, its arguments, if it has any, and returns a list of one result
            (`gateway.wasm.wasip3.calls`).
        is_short: whether its arguments and its result never take long to cross.

    Args:
        memory: the number of the memory that its bytes cross in, None where they cross as values.
    """

    __slots__ = (
        "_beside",
        "_find",
        "_index",
        "boxed",
        "index_address",
        "is_short",
        "lift",
        "linked",
        "lowers",
        "name",
        "type",
    )

    def __init__(
        self,
        linked: LinkedComponent,
        name: str,
        ty: wit.Function,
        find: Callable[[Component], ExportIndex | None],
        *,
        boxed: bool = False,
        memory: int | None = None,
    ) -> None:
        self.linked = linked
        self.name = name
        self.type = ty
        self._find = find
        self._beside: Export | None = None
        self._locate()
        self.boxed = boxed
        if memory is not None:
            ty = wit.in_blocks(ty, memory)
        params = [param for _, param in ty.params]
        result = ty.result
        if boxed:
            params = [wit.List(wit.Tuple(tuple(params)))] if params else []
            result = None if result is None else wit.List(result)
        self.lowers: tuple[Lower, ...] = tuple(map(lower, params))
        self.lift: Lift | None = None if result is None else lift(result)
        self.is_short = all(map(is_short, params)) and (result is None or is_short(result))

    def _locate(self) -> None:
        index = self._find(self.linked.component)
        if index is None:
            raise LookupError(f"{self.linked.component.name} exports no {self.name}")
        self._index = index
        self.index_address = _capi.address_of(index)

    def of(self, engine: Engine) -> Export:
        """The same function for an instance of that engine, where the component has been `placed`.

        Raises:
            Gone: it has not.
        """
        if engine is self.linked.component.engine:
            return self
        found, beside = self._beside, self.linked.beside
        if found is None:
            if beside is None or engine is not beside.component.engine:
                raise Gone(f"{self.linked.component.name} has no instances there")
            found = self._beside = copy(self)
            found.linked = beside
            found._locate()
        return found


class LinkedComponent:
    """A component whose imports are all defined.

    Attributes:
        component: the component.
        unknown: the names it imports that nothing is provided for, interfaces as a whole.
        unlinked: the functions that it imports from interfaces which are provided, but without these.
        address: the linker's address, for the C API.
        beside: the same in an engine without pools, once that was needed.
        is_made_ahead: whether instances may be made ahead of calls: none was seen to call a host function while it
            was made (`gateway.host.ahead`).
        written: where an instance has written to its memory, as `gateway.host.pages` tells it; None while none
            was looked at.
        not_before: when it may be tried to link that, on the clock of `time.monotonic`; infinite once it is
            asked for.
    """

    def __init__(
        self,
        component: Component,
        provided: Provided,
        linker: Linker,
        callbacks: Sequence[Callback],
        *,
        unknown: Sequence[str],
        unlinked: Sequence[str],
    ) -> None:
        self.component = component
        self.unknown = tuple(unknown)
        self.unlinked = tuple(unlinked)
        self.beside: LinkedComponent | None = None
        self.not_before = 0.0
        self.is_made_ahead = not component.concurrent
        self.written: Sequence[tuple[int, int]] | None = None
        self._provided = provided
        self._linker = linker
        self._callbacks = callbacks
        self._drops: dict[wit.Resource, Export] = {}
        self.address = _capi.address_of(linker)

    def placed(self) -> LinkedComponent:
        """Where there is room for one more instance: here, or in an engine without pools where they are full.

        What it takes of the pools, or of memory maps, is taken, and is to be given back when the instance is gone.

        Raises:
            Exhausted: the pools are full, and what takes over is not ready yet, or is full too.
        """
        component = self.component
        engine = component.engine
        with engine.lock:
            left = engine.left - component.places
            if left >= 0:
                engine.left = left
        if left < 0 and not engine.pooled:
            raise Exhausted(
                "its instances would take more memory maps than vm.max_map_count leaves"
            )
        if (left < engine.few or left < 0) and monotonic() >= self.not_before:
            _beside.make(self)
        if left >= 0:
            return self
        if self.beside is None:
            raise Exhausted("the pools are full, and what takes over is still being linked")
        return self.beside.placed()

    def link_beside(self) -> None:
        """Link it in an engine without pools."""
        component = self.component.moved(self.component.engine.beside)
        self.beside = link(component, self._provided)

    def export(self, name: str, *, interface: str | None = None) -> Export:
        """An exported function, of the component itself or of an interface that it exports.

        Raises:
            LookupError: there is no such function.
            TypeError: its values cannot cross the boundary of the host.
        """
        full_name = name if interface is None else f"{interface}#{name}"
        item: wit.Item | None = self.component.exports.get(name)
        if interface is not None:
            outer = self.component.exports.get(interface)
            item = outer.functions.get(name) if isinstance(outer, wit.Interface) else None
        place = self.component.export_index(interface, name)
        if place.index is None or not isinstance(item, wit.Function):
            raise LookupError(f"{self.component.name} exports no function {full_name}")

        def find(component: Component) -> ExportIndex | None:
            return component.export_index(interface, name).index

        return Export(self, full_name, item, find, boxed=place.boxed, memory=place.memory)

    def drop(self, resource: wit.Resource) -> Export:
        """What drops a resource that the component exports, called with it.

        Raises:
            LookupError: there is no such resource.
        """
        export = self._drops.get(resource)
        if export is None:
            name, interface = self.component.drops[resource]
            ty = wit.Function((("resource", wit.Own(resource)),), None)
            full_name = f"{interface}#[resource-drop]{resource}"

            def find(component: Component) -> ExportIndex | None:
                return component.wasmtime.get_export_index(name)

            export = self._drops[resource] = Export(self, full_name, ty, find)
        return export


class _Beside:
    """A thread that links components in engines without pools, begun when that is first needed.

    To load what a large component was compiled to takes tens of milliseconds: too long for the event loop.
    """

    def __init__(self) -> None:
        self._wanted: SimpleQueue[LinkedComponent] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def make(self, linked: LinkedComponent) -> None:
        """Have one linked so, soon; where that fails, it may be asked for again after `_PAUSE`."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="link-beside", daemon=True)
            try:
                thread.start()
            except (RuntimeError, MemoryError):  # the system has none at present
                linked.not_before = monotonic() + _PAUSE
                return
            self._thread = thread
        linked.not_before = math.inf
        self._wanted.put(linked)

    def _run(self) -> None:
        while True:
            linked = self._wanted.get()
            try:
                linked.link_beside()
            except Exception:
                _log.exception(
                    "component not linked beside the pools", source=str(linked.component.path)
                )
                linked.not_before = monotonic() + _PAUSE
            del linked  # which this thread does not keep


_beside: Final = _Beside()


def link(component: Component, provided: Provided) -> LinkedComponent:
    """Define every import of a component.

    Args:
        component: the component.
        provided: what the host provides.

    Raises:
        ComponentError: the component imports something that is no function, interface or resource, such as a
            core module.
    """
    linker = Linker(component.engine.wasmtime)
    # Every import traps at first; what is provided shadows that.
    linker.allow_shadowing = True
    with linker.root() as root:
        for name, module in component.modules.items():
            root.add_module(name, module)
    try:
        linker.define_unknown_imports_as_traps(component.wasmtime)
    except WasmtimeError as error:
        raise ComponentError(
            f"{component.path}: an import cannot be linked: {error}. The gateway provides functions and "
            "resources; link other components and modules in when the component is built (with wac, say)."
        ) from error
    callbacks: list[Callback] = []
    unknown: list[str] = []
    unlinked: list[str] = []
    adapted = {each.family.host: name for name, each in component.imported.items()}
    with linker.root() as root:
        for name, item in component.imports.items():
            match item:
                case wit.Interface() if name in adapted:
                    with root.add_instance(name) as instance:
                        interface = provided.interface(name)
                        _define_adapted(
                            instance, item, interface, callbacks, interface=adapted[name]
                        )
                case wit.Interface():
                    interface = provided.interface(name)
                    if name.startswith(ADAPTERS) and not component.concurrent:
                        interface = None  # it is for adapters alone
                    if interface is None:
                        unknown.append(name)
                        interface = HostInterface(name, None)
                    with root.add_instance(name) as instance:
                        missing = _define_interface(instance, name, item, interface, callbacks)
                    if name not in unknown:
                        unlinked += missing
                case wit.Function():
                    unknown.append(name)
                    _define_function(root, name, item, _unknown(name), callbacks, interface="")
                case wit.Resource():
                    unknown.append(name)
                    _define_resource(root, name, item)
    return LinkedComponent(
        component, provided, linker, callbacks, unknown=unknown, unlinked=unlinked
    )


def _define_adapted(
    instance: LinkerInstance,
    ty: wit.Interface,
    provided: HostInterface | None,
    callbacks: list[Callback],
    *,
    interface: str,
) -> None:
    """Define what an adapter asks for the functions of an interface, which itself tells whether it is unknown."""
    for function_name, function_type in ty.functions.items():
        found = None if provided is None else provided.find(function_name, function_type)
        host = found or _unknown(interface)
        _define_function(
            instance, function_name, function_type, host, callbacks, interface=interface
        )


def _define_interface(
    instance: LinkerInstance,
    name: str,
    ty: wit.Interface,
    provided: HostInterface,
    callbacks: list[Callback],
) -> list[str]:
    """Define all of an imported interface; returns the functions that only trap."""
    missing: list[str] = []
    for resource_name, resource in ty.resources.items():
        _define_resource(instance, resource_name, resource)
    for function_name, function_type in ty.functions.items():
        function = provided.find(function_name, function_type)
        if function is None:
            full_name = f"{name}#{function_name}"
            missing.append(full_name)
            function = _unknown(full_name)
        _define_function(
            instance, function_name, function_type, function, callbacks, interface=name
        )
    return missing


def _unknown(name: str) -> HostFunction:
    def trap(*_arguments: Any) -> None:
        raise Trap(f"unknown import: nothing provides {name}", kind=TrapKind.UNKNOWN_IMPORT)

    return HostFunction(trap, _UNKNOWN)


def _define_resource(instance: LinkerInstance, name: str, resource: wit.Resource) -> None:
    _capi.add_resource(instance, name, resource.host_id, _DROP)


def _drop(_env: int, context: int, rep: int) -> int | None:
    store = STORES[context]
    try:
        store.table.take(rep).drop()
    except BaseException as error:
        return store.fail(error, "a resource's destructor")
    return None


_DROP = _capi.ResourceDestructor(_drop)


def _define_function(
    instance: LinkerInstance,
    name: str,
    ty: wit.Function,
    host: HostFunction,
    callbacks: list[Callback],
    *,
    interface: str,
) -> None:
    if ty.is_async or any(isinstance(leaf, wit.Stream | wit.Future) for leaf in ty.leaves()):
        return  # which no host function can be, or have: the engine's own trap stays in place
    try:
        callback = host_callback(interface, host, ty, wanted=host.name != _UNKNOWN)
    except TypeError:
        return  # values that cannot cross: the engine's own trap stays in place
    define = _capi.add_func_async if host.blocking else _capi.add_func
    define(instance, name, callback)
    callbacks.append(callback)
