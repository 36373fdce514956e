"""The store of one invocation: the engine's, and what the host keeps beside it.

The system takes some 0.06 ms to take back a MiB that a guest has touched. So stores of guests that may have much
memory are freed by a thread, and the event loop goes on. Until that is done they have a place in the engine's
pools, which have some to spare for it; what finds none, or no thread, is freed by the loop.

To free a smaller one takes longer than a request of a small guest: 0.1 ms for one in JavaScript, 0.3 in Python. So
that is not done before what it has answered is on its way, but in the next turn of the loop, or before the next
store is made: there is one at most that is to be freed yet, and the next instance finds its memories as warm.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
import types
from collections.abc import Coroutine, Generator
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gateway.host import _capi
from gateway.host.guest_resource import HandedOut
from gateway.host.table import ResourceTable

if TYPE_CHECKING:
    from gateway.host.bridge_memory import BridgeMemory, Memory
    from gateway.host.engine import Engine
    from gateway.host.values import Lower
    from gateway.wasm.instance_limits import InstanceLimits

__all__ = [
    "ENDED",
    "FREED_APART",
    "LARGE",
    "NOT_BEGUN",
    "STORES",
    "Store",
    "Suspension",
    "free_ended",
]

LARGE: Final = 256 << 20
"""Bytes of memory of an instance above which its store is freed by a thread. To free as much takes 15 ms, to hand
it over a tenth of a millisecond."""

FREED_APART: Final = 4
"""Stores that the thread frees, or that wait for it, at most. Arbitrary: guests touch memory on the loop, and take
several times as long for it as freeing it takes."""


_Words: Final = ctypes.c_uint64 * 7
"""Three for `Store.scratch`, and four for the name of the instance (`wasmtime_component_instance_t`)."""

NOT_BEGUN: Final = object()
"""What a host function awaits that is not to begin on its guest's fiber."""


class Suspension(NamedTuple):
    """A host function that its guest waits in.

    Attributes:
        coroutine: the host function, begun and suspended, or not begun.
        awaited: what it yielded to the event loop last, or `NOT_BEGUN`.
        lower: writes the result, where there is one.
        results: the address it is written to.
    """

    coroutine: Coroutine[Any, Any, Any]
    awaited: Any
    lower: Lower | None
    results: int

    @types.coroutine
    def finish(self) -> Generator[Any, Any, Any]:
        """Await the rest of the host function, in the task that began it.

        Most blocking host functions need not wait, and are done with the first step, which is taken by hand on the
        guest's fiber; only those that are not come here. Both parts must run in the same task, as timeouts and
        cancel scopes expect.
        """
        coroutine, awaited = self.coroutine, self.awaited
        try:
            if awaited is NOT_BEGUN:
                awaited = coroutine.send(None)
            while True:
                try:
                    sent = yield awaited
                except GeneratorExit:
                    coroutine.close()
                    raise
                except BaseException as error:
                    awaited = coroutine.throw(error)
                else:
                    awaited = coroutine.send(sent)
        except StopIteration as stop:
            return stop.value


class Store:
    """A wasmtime store, used for one invocation, or for more while others hold its guest's resources.

    Args:
        engine: the engine, unless `open` is told of another.
        limits: what the instance may take.
        max_memory: bytes that its memories may have together.
        data: what the host functions are called with.

    Attributes:
        engine: ditto.
        context: the address of the engine's context, by which host functions find their store; 0 until `open`.
        instance: the address of the name of the component's instance.
        table: the resources that the guest holds.
        handed_out: those that are its own, and others hold.
        memories: those of its bridges in which bytes have crossed, by number.
        guest_memory: the guest's own, if bytes have crossed in it.
        data: what the host functions are called with; opaque here.
        suspension: the host function that the guest waits in, if it does.
        failure: the exception that a host function ended the guest with, if one did.
        host_calls: how often host functions were called, by the full name of their interface.
        host_time: seconds spent in them, and in what they waited for.
        lifted: how large the argument that is being lifted is so far; for `gateway.host.values`.
        scratch: the address of three words for what the engine returns and takes; whoever uses them is done
            before anyone else.
        stack: an address on the stack of the guest's fiber, above all that host functions use of it; 0 until it
            has called one.
    """

    __slots__ = (
        "_large",
        "_limits",
        "_places",
        "_pointer",
        "_words",
        "context",
        "data",
        "engine",
        "failure",
        "guest_memory",
        "handed_out",
        "host_calls",
        "host_time",
        "instance",
        "lifted",
        "memories",
        "scratch",
        "stack",
        "suspension",
        "table",
    )

    def __init__(self, engine: Engine, limits: InstanceLimits, max_memory: int, data: Any) -> None:
        self.engine = engine
        self._places = 0
        self._large = max_memory > LARGE
        self._limits = limits
        self._pointer = self.context = 0
        self.table = ResourceTable()
        self.handed_out: HandedOut | None = None
        self.memories: dict[int, BridgeMemory] = {}
        self.guest_memory: Memory | None = None
        self.data = data
        self.suspension: Suspension | None = None
        self.failure: BaseException | None = None
        self.host_calls: dict[str, int] = {}
        self.host_time = 0.0
        self.lifted = 0
        self._words = _Words()
        self.scratch = ctypes.addressof(self._words)
        self.instance = self.scratch + 24
        self.stack = 0

    def open(self, engine: Engine, places: int) -> None:
        """Make the engine's store. `close` must follow.

        Args:
            engine: the engine.
            places: how many places in its pools were taken for it, which `close` gives back.
        """
        self.engine, self._places = engine, places
        self._pointer, self.context = _capi.store_new(self.engine.address, *self._limits)
        STORES[self.context] = self
        self.engine.stores.add(self.context)
        self.engine.wake()

    def rest(self) -> None:
        """Have nothing to do until `resume`: the clock of the engine need not tick for it."""
        del STORES[self.context]
        self.engine.stores.discard(self.context)

    def resume(self, data: Any) -> None:
        """Be there again, for an invocation whose host functions are called with `data`."""
        self.data = data
        _capi.set_epoch_deadline(self.context, 1)
        STORES[self.context] = self
        self.engine.stores.add(self.context)
        self.engine.wake()

    def fail(self, error: BaseException, host_name: str) -> int:
        """Keep the exception of a host function, and make the engine's error that stops the guest.

        Any exception, `CancelledError` and `KeyboardInterrupt` included, must end in the guest's end: one that
        left a callback into the engine would be lost, and its guest would go on with results never written. So
        nothing of the exception is formatted here: its `__str__` may raise, and its text may not be encodable.

        Args:
            error: the exception.
            host_name: the host function.

        Returns:
            The address of the error, which the engine takes.
        """
        self.failure = error
        return _capi.error_new(f"{host_name} failed")

    def close(self) -> None:
        """Free every resource that its guest left, and soon its instance. No future of it may be left."""
        if not self._pointer:
            return
        pointer, self._pointer = self._pointer, 0
        suspension, self.suspension = self.suspension, None
        try:
            if suspension is not None:
                suspension.coroutine.close()
        finally:
            try:
                if self.table:
                    self.table.close()
            finally:
                if self.handed_out is not None:
                    self.handed_out.close()
                STORES.pop(self.context, None)
                self.engine.stores.discard(self.context)
                if not (self._large and _freeing.take(pointer, self.engine, self._places)):
                    if ENDED:
                        free_ended()
                    ENDED.append((pointer, self.engine, self._places))
                    loop = asyncio._get_running_loop()  # no exception where there is none
                    if loop is None:
                        free_ended()
                    else:
                        loop.call_soon(free_ended)
                self.failure = None


def free_ended() -> None:
    """Free what is left of the guest that ended last: before the next instance is made, or in the next turn.

    The next instance may need its place in the pools, and goes on in memory that is warm.
    """
    while True:
        try:
            pointer, engine, places = ENDED.pop()
        except IndexError:  # not asked for beforehand: the loop of another thread may be sooner
            return
        _capi.store_delete(pointer)
        with engine.lock:
            engine.left += places


ENDED: Final[list[tuple[int, Engine, int]]] = []
"""The store that is to be freed, if there is one. Loops of several threads have it in common: any may free it."""


class _Freeing:
    """A thread that frees stores, begun with the first of them."""

    def __init__(self) -> None:
        self._room = threading.Semaphore(FREED_APART)
        self._stores: SimpleQueue[tuple[int, Engine, int]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def take(self, pointer: int, engine: Engine, places: int) -> bool:
        """Have a store freed, and its places given back; returns whether there is room for it, and a thread."""
        if not self._room.acquire(blocking=False):
            return False
        if self._thread is None and not self._begin():
            self._room.release()
            return False
        self._stores.put((pointer, engine, places))
        return True

    def _begin(self) -> bool:
        thread = threading.Thread(target=self._run, name="free-store", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has none at present
            return False
        self._thread = thread
        return True

    def _run(self) -> None:
        while True:
            pointer, engine, places = self._stores.get()
            _capi.store_delete_apart(pointer)
            with engine.lock:
                engine.left += places
            del engine  # which this thread does not keep
            self._room.release()


_freeing: Final = _Freeing()

STORES: Final[dict[int, Store]] = {}
"""The live stores of the process, by the address of their context: how a callback finds its store."""
