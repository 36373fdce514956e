"""Where the adapter has its memory from: a page for its stack, and a page for its state.

The adapter's global `__stack_pointer` has to point to the end of the first. For the second it calls
`cabi_realloc` of the main module, once. Its global `allocation_state` says how far that is.
"""

from dataclasses import dataclass
from typing import Final

from gateway.wasm.binary import core_writer as write
from gateway.wasm.binary.core_types import PAGE_SIZE, PAGE_SIZE_LOG2, CoreFunction

__all__ = [
    "NO_VALUES",
    "PAGES",
    "Globals",
    "Grown",
    "Lent",
    "MemorySource",
    "Reserved",
    "set_up",
    "stack_from_realloc",
    "take_state_page",
]

PAGES: Final = 2
"""How many pages the adapter needs."""

NO_VALUES: Final = CoreFunction((), ())

_STACK_UNALLOCATED: Final = 0
_STACK_ALLOCATING: Final = 1
_STACK_ALLOCATED: Final = 2


@dataclass(frozen=True, slots=True)
class Lent:
    """From `cabi_realloc` of the main module.

    The stack is allocated when the adapter is first called. That may be by `cabi_realloc` itself, as it
    initializes; the adapter answers calls without a stack as long as `allocation_state` says so.
    """


@dataclass(frozen=True, slots=True)
class Grown:
    """From `memory.grow`, both pages, as the adapter is instantiated."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """From the main module's own memory.

    Attributes:
        address: where the two pages start.
    """

    address: int


MemorySource = Lent | Grown | Reserved


@dataclass(frozen=True, slots=True)
class Globals:
    """The indices of globals of the adapter.

    Attributes:
        stack_pointer: `__stack_pointer`.
        allocation_state: `allocation_state`.
        state_page: one that is added: the address of the second page until it is taken, then 0.
    """

    stack_pointer: int
    allocation_state: int
    state_page: int


def stack_from_realloc(of: Globals, realloc: int) -> bytes:
    """The body of a function that gets the stack from the function `realloc`, unless it is there."""
    return write.body(
        write.op(write.GLOBAL_GET, of.allocation_state)
        + write.const(_STACK_UNALLOCATED) + write.EQUAL + write.IF
        + write.const(_STACK_ALLOCATING) + write.op(write.GLOBAL_SET, of.allocation_state)
        + write.const(0) + write.const(0) + write.const(8) + write.const(PAGE_SIZE)
        + write.op(write.CALL, realloc) + write.const(PAGE_SIZE) + write.ADD
        + write.op(write.GLOBAL_SET, of.stack_pointer)
        + write.const(_STACK_ALLOCATED) + write.op(write.GLOBAL_SET, of.allocation_state)
        + write.END
    )  # fmt: skip


def set_up(source: Grown | Reserved, of: Globals) -> bytes:
    """The body of a function that gets both pages."""
    first_page = 0
    grow = (
        write.const(PAGES) + write.MEMORY_GROW + write.op(write.LOCAL_TEE, first_page)
        + write.const(-1) + write.EQUAL + write.IF + write.UNREACHABLE + write.END
        + write.op(write.LOCAL_GET, first_page) + write.const(PAGE_SIZE_LOG2) + write.SHIFT_LEFT
    )  # fmt: skip
    start = grow if isinstance(source, Grown) else write.const(source.address)
    return write.body(
        # The stack grows down from the end of its page, where the other begins.
        start + write.const(PAGE_SIZE) + write.ADD + write.op(write.GLOBAL_SET, of.stack_pointer)
        + write.op(write.GLOBAL_GET, of.stack_pointer) + write.op(write.GLOBAL_SET, of.state_page)
        + write.const(_STACK_ALLOCATED) + write.op(write.GLOBAL_SET, of.allocation_state),
        i32_locals=1,
    )  # fmt: skip


def take_state_page(of: Globals) -> bytes:
    """The body of a `cabi_realloc` that gives the state page, once, and traps otherwise."""
    new_size = 3
    return write.body(
        write.op(write.LOCAL_GET, new_size) + write.const(PAGE_SIZE) + write.NOT_EQUAL
        + write.IF + write.UNREACHABLE + write.END
        + write.op(write.GLOBAL_GET, of.state_page) + write.const(0) + write.EQUAL
        + write.IF + write.UNREACHABLE + write.END
        + write.op(write.GLOBAL_GET, of.state_page)
        + write.const(0) + write.op(write.GLOBAL_SET, of.state_page)
    )  # fmt: skip
