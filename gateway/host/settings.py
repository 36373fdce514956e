"""What compiled code takes for granted of the engine that runs it.

Whoever compiles and whoever runs must agree on it: the process that serves, and the one beside it that compiles.
Kept apart from the engine so that the latter starts fast: it imports nothing but wasmtime.
"""

from __future__ import annotations

import mmap
from functools import cache
from importlib.metadata import version
from typing import Final

import wasmtime

from gateway.host import _capi

__all__ = [
    "EPOCH_TICK",
    "HOST_STACK",
    "ROOM",
    "STACK_SIZE",
    "compile_settings",
    "fingerprint",
    "is_reservable",
    "is_roomy",
]

EPOCH_TICK: Final = 0.005
"""Seconds between two ticks of the epoch: how long a guest may compute before others get their turn."""

STACK_SIZE: Final = 8 << 20
"""Address space of a fiber's stack, in bytes: 512 KiB for the guest, the rest for host functions. What CPython's
recursion limits take for granted; on a smaller one, a recursion through C code ends the process and not in a
`RecursionError`. Only what is touched becomes memory."""

HOST_STACK: Final = STACK_SIZE - (1 << 20)
"""How much of it host functions have at least, in bytes: all but the guest's part and the engine's frames."""

ROOM: Final = 1 << 40
"""Bytes of address space that must be there for linear memories to reserve 4 GiB each. With less, a few hundred
guests at once would be refused for want of it. Arbitrary."""

_SPARE: Final = 16 << 20
_GUARD: Final = 64 << 10
"""Bytes of address space beside a linear memory where it is short. Arbitrary: a memory of 256 MiB is moved at most
sixteen times while it grows."""

_FORMAT: Final = "2"
"""Changes when the way components are compiled changes, so that older cache entries are not used."""


def compile_settings(*, roomy: bool, concurrent: bool = False) -> wasmtime.Config:
    """The configuration of an engine, as far as compiled code depends on it.

    Args:
        concurrent: whether it runs components of WASI 0.3, with tasks, streams and futures. Each call of a host
            function is slower then; and in Wasmtime 50 one that lends two handles which its caller owns, or a list
            of them, traps: "BUG: deferred host scope has no call context".
        roomy: whether each linear memory reserves 4 GiB of address space, so that 32-bit accesses need no bounds
            checks. Without, it takes what it has grown to, is moved when it grows, and is slower.
    """
    config = wasmtime.Config()
    config.epoch_interruption = True
    config.wasm_component_model_implements = True  # imports with labels
    _capi.set_concurrency(config, concurrent=concurrent)
    _capi.set_async_stack_size(config, STACK_SIZE)
    if not roomy:
        _capi.set_growing_memories(config, spare=_SPARE, guard=_GUARD)
    return config


def fingerprint(*, roomy: bool, concurrent: bool) -> str:
    """Changes whenever compiled code would: engine version and configuration."""
    options = ("" if roomy else "-tight") + ("-concurrent" if concurrent else "")
    return f"wasmtime-{version('wasmtime')}-{_FORMAT}{options}"


@cache
def is_roomy() -> bool:
    """Whether the system has address space for linear memories of 4 GiB. One answer for the whole process."""
    return is_reservable(ROOM)


def is_reservable(size: int) -> bool:
    """Whether the system would reserve that much address space.

    The engine ends the process when its own reservation fails, so that is tried here first.
    """
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    try:
        mmap.mmap(-1, size, flags=flags, prot=0).close()
    except (OSError, OverflowError, ValueError):
        return False
    return True
