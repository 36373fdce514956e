"""The engine: how guests are compiled, where their instances live, and the clock that pre-empts them."""

from __future__ import annotations

import sys
import threading
import weakref
from dataclasses import dataclass
from time import sleep
from typing import Final
from weakref import WeakValueDictionary

import structlog
import wasmtime

from gateway.host import _capi
from gateway.host.memory_maps import maps_left
from gateway.host.settings import (
    EPOCH_TICK,
    STACK_SIZE,
    compile_settings,
    fingerprint,
    is_reservable,
    is_roomy,
)
from gateway.wasm.instance_limits import MAX_TABLE_ELEMENTS

__all__ = ["Engine", "PoolSize", "lacking"]

_log = structlog.get_logger("gateway.engine")

_MEMORY_SLOT: Final = (4 << 30) + (64 << 20)
"""Address space of one pooled linear memory, in bytes: wasmtime reserves 4 GiB so that 32-bit accesses need no
bounds checks, and guard pages beside it. Only what a guest touches becomes memory."""

_TABLE_ELEMENT: Final = 8
"""Bytes of a table's element."""


_OF_ADAPTERS: Final = 16 << 10
"""Bytes of each memory that a concurrent engine clears and keeps, in place of 64 KiB: its components have half a
dozen memories each, of adapters and bridges, which touch no more than that."""

_FINE_TICK: Final = EPOCH_TICK / 5
"""Seconds between two ticks while guests are pre-empted, so that each of their slices ends when it should and not
up to a tick later. The rest of the time few guests see a tick at all, and each takes the interpreter's lock."""

_HURRY: Final = 50
"""Such ticks that still come after a guest was pre-empted last: it has its next turn before."""

_SHORT: Final = 4
"""Its pools are short of places when less than one in so many is left: what takes over is made ready then."""


@dataclass(frozen=True, slots=True)
class PoolSize:
    """How much the pooling allocator holds, for all instances that may live at once.

    Attributes:
        instances: component instances.
        core_instances: core module instances.
        memories: linear memories.
        tables: tables.
        max_memory: the most one linear memory may grow to, in bytes.
        max_core_instances_per_component: of one component instance; likewise the two below.
        max_memories_per_component: ditto.
        max_tables_per_component: ditto.
        max_memories_per_module: of one core module; likewise the one below.
        max_tables_per_module: ditto.
        more_stacks: stacks beyond one for each of the component instances.
    """

    instances: int
    core_instances: int
    memories: int
    tables: int
    max_memory: int
    max_core_instances_per_component: int
    max_memories_per_component: int
    max_tables_per_component: int
    max_memories_per_module: int = 1
    max_tables_per_module: int = 1
    more_stacks: int = 0

    @property
    def stacks(self) -> int:
        """How many stacks there are."""
        return self.instances + self.more_stacks

    @property
    def address_space(self) -> int:
        """About how much address space the pools reserve, in bytes."""
        tables = self.tables * MAX_TABLE_ELEMENTS * _TABLE_ELEMENT
        return self.memories * _MEMORY_SLOT + self.stacks * STACK_SIZE + tables

    @property
    def maps(self) -> int:
        """How many memory maps the pools take from the beginning: each stack is one, and so is the guard below."""
        return 2 * self.stacks

    def settings(self) -> dict[str, int]:
        """The settings of wasmtime's `PoolingAllocationConfig`, by their names in the C API."""
        return {
            "total_component_instances": self.instances,
            "total_stacks": self.stacks,
            "total_core_instances": self.core_instances,
            "total_memories": self.memories,
            "total_tables": self.tables,
            # One for each store at most; they take their memory from the pool of memories.
            "total_gc_heaps": self.instances,
            "max_memory_size": self.max_memory,
            "max_core_instances_per_component": self.max_core_instances_per_component,
            "max_memories_per_component": self.max_memories_per_component,
            "max_tables_per_component": self.max_tables_per_component,
            "max_memories_per_module": self.max_memories_per_module,
            "max_tables_per_module": self.max_tables_per_module,
            # What an instance's own bookkeeping may take; generous, for it is only address space.
            "max_component_instance_size": 4 << 20,
            "max_core_instance_size": 4 << 20,
            "table_elements": MAX_TABLE_ELEMENTS,
            # What is cleared and kept when an instance ends, instead of being given back to the system, which
            # costs a call and the next instance's page faults. More than a small guest touches costs time
            # (clearing 1 MiB takes 20 us) and stays resident for every slot that was ever used.
            "linear_memory_keep_resident": 64 << 10,
            # Page faults of a request of a guest in JavaScript: 112 without, 101 with it; in Python 379 and 366.
            "table_keep_resident": 64 << 10,
            "async_stack_keep_resident": 32 << 10,
        }


class Engine:
    """A wasmtime engine with epoch interruption and one ticker.

    Args:
        pool: how many instances to keep room for; None allocates each on demand.
        concurrent: whether it runs components of WASI 0.3, and only those.
        places: into how many places its pools are divided, for instances to take; 0 where nobody counts.
        modular: whether large modules of its components are compiled, and kept, one by one
            (`gateway.wasm.modules_apart`).

    Attributes:
        concurrent: ditto; likewise `modular`.
        wasmtime: the engine of wasmtime-py.
        address: its address, for the C API.
        pooled: whether instances come from pools.
        fingerprint: changes whenever compiled code would: engine version and configuration.
        stores: the contexts of its live stores.
        hurried: how many ticks are still to come sooner than otherwise.
        left: how many places in its pools are free; of an engine without pools, how many memory maps its
            instances may still take. Whoever changes it holds the lock.
        lock: ditto.
        few: how many are so few that what takes over is made ready.
        modules: compiled modules that its components have in common, by `gateway.host.cache.compile_key`.
    """

    def __init__(
        self,
        pool: PoolSize | None = None,
        *,
        concurrent: bool = False,
        places: int = 0,
        modular: bool = False,
    ) -> None:
        roomy = is_roomy()
        config = compile_settings(roomy=roomy, concurrent=concurrent)
        self.concurrent = concurrent
        self.modular = modular
        self.modules: WeakValueDictionary[str, wasmtime.Module] = WeakValueDictionary()
        self._beside: Engine | None = None
        self.pooled = pool is not None and _is_accepted(pool)
        if pool is not None and self.pooled:
            settings = pool.settings()
            if concurrent:
                settings["linear_memory_keep_resident"] = _OF_ADAPTERS
            _capi.set_pooling(config, **settings)
        # Places are given back by the thread that frees stores too.
        self.lock = threading.Lock()
        self.left = places or sys.maxsize if self.pooled else _maps_for_instances()
        self.few = places // _SHORT if self.pooled else 0
        self.wasmtime = wasmtime.Engine(config)
        self.address = _capi.address_of(self.wasmtime)
        # Pools do not change compiled code, but what the engine assumes of memories does.
        self.fingerprint = fingerprint(roomy=roomy, concurrent=concurrent)
        self.stores: set[int] = set()
        self.hurried = 0
        self._awake = threading.Event()
        weakref.finalize(self, self._awake.set)
        threading.Thread(
            target=_tick,
            args=(weakref.ref(self), self.stores, self._awake),
            name="epoch-ticker",
            daemon=True,
        ).start()

    @property
    def beside(self) -> Engine:
        """One of the same kind without pools, for what they have no room for: itself if it has none."""
        if not self.pooled:
            return self
        with self.lock:
            if self._beside is None:
                self._beside = Engine(concurrent=self.concurrent, modular=self.modular)
            return self._beside

    def hurry(self) -> None:
        """Tick more often for a while: a guest was pre-empted, so there is one that computes for longer."""
        self.hurried = _HURRY

    def wake(self) -> None:
        """Have the ticker tick, as long as there are `stores`."""
        if not self._awake.is_set():
            self._awake.set()


def _tick(reference: weakref.ref[Engine], stores: set[int], awake: threading.Event) -> None:
    """Increment the epoch while there are stores; sleep while there are none, and end with the engine."""
    while True:
        awake.wait()
        engine = reference()
        if engine is None:
            return
        _capi.increment_epoch(engine.address)
        interval = EPOCH_TICK
        if engine.hurried:
            engine.hurried -= 1
            interval = _FINE_TICK
        del engine
        sleep(interval)
        if not stores:
            awake.clear()
            # A store that was opened since the look above saw the event set, and did not set it; of an engine that
            # has gone since, the event was set in vain.
            if stores or reference() is None:
                awake.set()


def _maps_for_instances() -> int:
    """How many memory maps the instances of an engine without pools may take.

    What its pools take is in use by then, where it has some. Another kind of engine may want as many.
    """
    left = maps_left()
    return sys.maxsize if left is None else max(left, 0) // 2


def lacking(pool: PoolSize) -> tuple[str, str] | None:
    """What the system lacks for pools, and a remedy; None where it has all."""
    if not is_roomy() or not is_reservable(pool.address_space):
        return (
            f"the system does not reserve {pool.address_space >> 30} GiB of address space",
            "lower max_in_flight or max_concurrency, or raise the limit of virtual memory (ulimit -v)",
        )
    if (left := maps_left()) is not None and pool.maps > left:
        return (
            f"the stacks of {pool.instances} instances take {pool.maps} memory maps, and the system leaves "
            f"{max(left, 0)} to the gateway",
            "lower max_in_flight or max_concurrency, or raise vm.max_map_count",
        )
    return None


def _is_accepted(pool: PoolSize) -> bool:
    """Whether the system has what a pool reserves. The engine ends the process where its constructor fails."""
    lack = lacking(pool)
    if lack is None:
        return True
    reason, remedy = lack
    _log.warning(
        "pooling refused",
        reason=reason,
        effect="instances are allocated on demand, which is slower",
        remedy=remedy,
    )
    return False
