"""Instances that are made ahead of their calls, while there is nothing else to do.

Where requests come one by one, a quarter of what one takes is to make its instance, and another is the first touch
of the memory that its guest writes. So when a worker has had nothing to do for a moment, it makes an instance of
each component that was called just then, with the pages at hand that the one before has written, and the next call
goes on there. It is used for that one call, as any instance, or it is thrown away: when it is old, when the
component goes out of service, or when others were called since that have none.

What a guest sees is the same. Only instances of which the making calls no host function are made so: what runs
there could not tell what time it is, nor for whom it runs. One that takes longer than a tick to make is left to
its call. The deadline and the limits are those of the call.

Where requests follow each other closely there is no such moment, and nothing of this happens.
"""

from __future__ import annotations

import asyncio
import ctypes
import weakref
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final

import structlog

from gateway.host import _capi
from gateway.host.bridge_memory import Memory
from gateway.host.pages import bring_in, written
from gateway.host.store import Store

if TYPE_CHECKING:
    from gateway.host.linker import LinkedComponent

__all__ = ["MAX_INSTANCES", "MAX_WRITTEN", "Ahead"]

_log = structlog.get_logger("gateway.engine")

MAX_INSTANCES: Final = 8
"""Instances of a worker that are made ahead, of as many components. Threat: the memory of what may never be
called. Arbitrary."""

MAX_WRITTEN: Final = 4 << 20
"""Bytes of the memory of each that are at hand. One in Python writes 1 MiB in a greeting. Arbitrary."""

_MOMENT: Final = 0.005
"""Seconds without a call after which instances are made. Making one holds the loop for up to a millisecond, which
who comes meanwhile waits for. Arbitrary: a busy client sends its next request sooner, if it sends any."""

_OLD: Final = 10.0
"""Seconds after which one that nobody has called is thrown away. Arbitrary."""

_POLLS: Final = 3
"""Ticks that may come while one is made. Threat: start functions that compute, which hold the loop."""

Key = tuple["LinkedComponent", int]
"""What an instance is of, and the `max_memory` that it has."""


class Ahead:
    """The instances of a worker that are made ahead of their calls.

    Args:
        is_idle: whether nothing is under way.

    Attributes:
        calls: how many calls have begun; counted by who calls.
        ready: the instances, and when each was made, by `time.monotonic`; the oldest first.
        wanted: of which components there should be one.
    """

    def __init__(self, is_idle: Callable[[], bool]) -> None:
        self.calls = 0
        self.ready: OrderedDict[Key, tuple[Store, float]] = OrderedDict()
        self.wanted: dict[Key, None] = {}
        self._is_idle = is_idle
        self._calls_seen = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        # A loop may end without a word.
        weakref.finalize(self, _throw_away, self.ready).atexit = False

    def want(self, store: Store, key: Key) -> None:
        """Have one made for the next call, in an idle moment of the running loop.

        Args:
            store: that of an invocation which has returned and is not freed yet.
            key: what its instance is of.
        """
        loop = asyncio._get_running_loop()  # no exception where there is none
        if loop is None or len(self.wanted) >= MAX_INSTANCES:
            return
        linked = key[0]
        if linked.written is None:
            memory = _guest_memory(store, linked)
            linked.written = (
                () if memory is None else written(memory.base, memory.size, MAX_WRITTEN)
            )
        self.wanted[key] = None
        if loop is not self._loop:
            self._loop, self._looking, self._sweeping = loop, None, None
        if self._looking is None:
            self._looking = loop.call_later(_MOMENT, self._look)

    def take(self, key: Key) -> Store | None:
        """One of these, for a call; None where there is none."""
        found = self.ready.pop(key, None)
        return None if found is None else found[0]

    def forget(self, linked: LinkedComponent) -> None:
        """Throw away what there is of a component that goes out of service."""
        for key in [key for key in self.ready if key[0] is linked]:
            self.ready.pop(key)[0].close()
        for key in [key for key in self.wanted if key[0] is linked]:
            del self.wanted[key]

    def close(self) -> None:
        """Throw all away. May be used again."""
        self.wanted.clear()
        _throw_away(self.ready)
        for timer in (self._looking, self._sweeping):
            if timer is not None:
                timer.cancel()
        self._looking = self._sweeping = None

    def _look(self) -> None:
        """Make one if nobody has called for a moment."""
        self._looking = None
        if self.calls != self._calls_seen or not self._is_idle():
            self._calls_seen = self.calls
        elif self.wanted:
            key = next(iter(self.wanted))
            del self.wanted[key]
            self._make(key)
        if self.wanted:
            self._looking = asyncio.get_running_loop().call_later(_MOMENT, self._look)

    def _make(self, key: Key) -> None:
        store = _made(*key)
        if store is None:
            return
        if len(self.ready) >= MAX_INSTANCES:
            self.ready.popitem(last=False)[1][0].close()
        self.ready[key] = store, monotonic()
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(_OLD, self._sweep)

    def _sweep(self) -> None:
        """Throw away what is old."""
        self._sweeping = None
        now = monotonic()
        while self.ready:
            made = next(iter(self.ready.values()))[1]
            if made + _OLD > now:
                loop = asyncio.get_running_loop()
                self._sweeping = loop.call_later(made + _OLD - now, self._sweep)
                return
            self.ready.popitem(last=False)[1][0].close()


def _throw_away(ready: OrderedDict[Key, tuple[Store, float]]) -> None:
    while ready:
        ready.popitem()[1][0].close()


def _made(linked: LinkedComponent, max_memory: int) -> Store | None:
    """A store with an instance that nobody has called; None where that is not to be."""
    component = linked.component
    engine = component.engine
    with engine.lock:
        if engine.left - component.places < engine.few:
            return None  # places are for calls
        engine.left -= component.places
    store = Store(engine, component.limits[max_memory], max_memory, None)
    store.open(engine, component.places)
    error = ctypes.c_uint64()
    future = _capi.instantiate_async(
        linked.address,
        store.context,
        component.address,
        store.instance,
        ctypes.addressof(error),
    )
    try:
        made = any(_capi.future_poll(future) for _ in range(_POLLS))
    finally:
        if store.stack:  # a host function was called after all
            _capi.unprotect_stack()
        _capi.future_delete(future)
    if error.value:
        made = False
        reason = _capi.take_error(error.value)
        _log.debug("no instance ahead", component=component.name, reason=str(reason))
    if not made or store.host_calls:
        linked.is_made_ahead = False
        store.close()
        return None
    memory = _guest_memory(store, linked)
    if memory is not None and linked.written:
        bring_in(memory.base, memory.size, linked.written)
    store.rest()
    return store


def _guest_memory(store: Store, linked: LinkedComponent) -> Memory | None:
    """The memory of the guest itself, where it is known which that is."""
    number = linked.component.guest_memory
    if number is None:
        return None
    return Memory(store.context, store.instance, store.scratch, number)
