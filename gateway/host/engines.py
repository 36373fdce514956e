"""The engines of a worker, whatever is loaded: one for each kind of component, with pools that all of it shares.

The pools are made once, for as many instances as the worker is to run at once, and not for what any component
might want; so what is loaded later finds them as they are. They are divided into *places*, each with the
memories, tables and stacks that most components need. One that needs more takes several for each instance. One
that needs more than `_Shape.most`, or of which that cannot be told, is run by an engine without pools, so that it
pushes nobody out of them. Limits of memory are those of each store, not of the pools.

Where all places are taken, instances are made by such an engine too (`LinkedComponent.placed`). What it has
so many of are memory maps, of which each of its instances takes some.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from gateway.host.engine import Engine, PoolSize, lacking
from gateway.wasm.instance_limits import MAX_TABLE_ELEMENTS

if TYPE_CHECKING:
    from gateway.host.component import Source

__all__ = ["Engines"]

_log = structlog.get_logger("gateway.engine")

_MAX_MEMORY: Final = 4 << 30
"""Bytes of the largest memory in a pool: what 32-bit addresses reach, and every one reserves anyway."""

_MAX_MEMORIES: Final = 16384
"""Memories in the pools of an engine. Each is 4 GiB of address space, of which x86-64 gives a process 128 TiB, and
another engine may want as much."""

_LEAST: Final = 256
"""Places in the pools of an engine at least. Threat: few instances from outside that others serve by links, which
need places as well. Arbitrary."""

_FEWEST: Final = 16
"""Places for which pools are still made, where the system has no room for more. Arbitrary."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a place in the pools has.

    Attributes:
        memories: linear memories.
        tables: tables.
        stacks: stacks of fibers.
        per_instance: places for each instance that the worker is to run at once.
        most: places that one instance may take.
    """

    memories: int
    tables: int
    stacks: int
    per_instance: int
    most: int

    def places(self, memories: int, tables: int, stacks: int) -> int | None:
        """How many places an instance takes with so many of each; None where it takes too many."""
        needed = max(
            1,
            -(-memories // self.memories),
            -(-tables // self.tables),
            -(-stacks // self.stacks),
        )
        return needed if needed <= self.most else None

    def pools(self, places: int) -> PoolSize:
        """The pools for so many of them."""
        memories, tables = self.most * self.memories, self.most * self.tables
        return PoolSize(
            instances=places,
            # These are but numbers in the engine: nothing is reserved for them.
            core_instances=places * _CORE_INSTANCES,
            memories=places * self.memories,
            tables=places * self.tables,
            max_memory=_MAX_MEMORY,
            max_core_instances_per_component=_CORE_INSTANCES,
            max_memories_per_component=memories,
            max_tables_per_component=tables,
            max_memories_per_module=memories,
            max_tables_per_module=tables,
            more_stacks=places * (self.stacks - 1),
        )


_CORE_INSTANCES: Final = 1024
"""Core instances of one place. Arbitrary: components have up to a hundred."""

_PLAIN: Final = _Shape(memories=2, tables=2, stacks=1, per_instance=2, most=4)
"""The memory of a guest and that of a bridge, the tables of a guest and its shims. Components with several bridges
take two places, or three."""

_CONCURRENT: Final = _Shape(memories=8, tables=4, stacks=4, per_instance=1, most=2)
"""What surrounds a component of WASI 0.3 has half a dozen memories, and takes three stacks beside its own."""


class Engines:
    """The engines of a worker, each made when it is first needed.

    Args:
        instances: how many instances the pools are for; 0 for no pools.
        modular: as of `Engine`.
    """

    def __init__(self, instances: int, *, modular: bool = False) -> None:
        self._instances = instances
        self._modular = modular
        self._lock = threading.Lock()
        self._pooled: dict[bool, Engine] = {}

    def place(self, source: Source) -> tuple[Engine, int]:
        """The engine that is to run a component, and what each instance takes of it: places, or memory maps."""
        engine = self._engine(concurrent=source.concurrent)
        if not engine.pooled:
            return engine, source.maps
        places = _places(source)
        if places is None:
            _log.info(
                "component not pooled",
                source=str(source.path),
                reason="an instance of it takes more than the pools have for one, or what it takes cannot be told",
                effect="its instances are allocated on demand, which is slower",
            )
            return engine.beside, source.maps
        return engine, places

    def _engine(self, *, concurrent: bool) -> Engine:
        with self._lock:
            engine = self._pooled.get(concurrent)
            if engine is None:
                engine = self._pooled[concurrent] = self._made(concurrent=concurrent)
            return engine

    def _made(self, *, concurrent: bool) -> Engine:
        if not self._instances:
            return Engine(concurrent=concurrent, modular=self._modular)
        shape = _CONCURRENT if concurrent else _PLAIN
        places = max(self._instances * shape.per_instance, _LEAST)
        places = min(places, _MAX_MEMORIES // shape.memories)
        # Half of the pools are better than none.
        while places > _FEWEST and lacking(shape.pools(places)) is not None:
            places //= 2
        return Engine(
            shape.pools(places), concurrent=concurrent, places=places, modular=self._modular
        )


def _places(source: Source) -> int | None:
    needed, shape = source.footprint, _CONCURRENT if source.concurrent else _PLAIN
    if (
        needed is None
        or needed.wide
        or needed.table_elements > MAX_TABLE_ELEMENTS
        or needed.core_instances > _CORE_INSTANCES
        or needed.memories_per_module > shape.most * shape.memories
        or needed.tables_per_module > shape.most * shape.tables
    ):
        return None
    return shape.places(needed.memories, needed.tables, source.stacks)
