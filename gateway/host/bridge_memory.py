"""The memories where bytes cross between guests and the host (`gateway.wasm.byte_blocks`).

What a guest passes lies in its own memory or in that of a bridge, and the host is told where. What the host
returns, it puts into that of the bridge, and tells the bridge. What a bridge lays down and what the host does take
room from one heap, and the bridge gives all of it back after each call. So it is, the other way round, where the
host calls what a guest exports.
"""

from __future__ import annotations

import ctypes
from typing import Final

from gateway.host import _capi
from gateway.host.errors import Trap
from gateway.host.settings import is_roomy
from gateway.wasm.byte_blocks.core import HEAP, HEAP_USED, MAX_EXPORTED_PAGES, MAX_PAGES

__all__ = ["BridgeMemory", "Memory"]

_U32_MAX: Final = (1 << 32) - 1
_PAGE: Final = 64 << 10
_MOST: Final = MAX_PAGES * _PAGE - HEAP
_MOST_GIVEN: Final = MAX_EXPORTED_PAGES * _PAGE - HEAP


class Memory:
    """A memory in a store, which the host reads.

    Args:
        context: the address of the store's context.
        instance: the address of the component instance's name.
        scratch: the address of words that whoever uses them is done with before anyone else.
        number: how many core instances of the component are made before the one that has the memory, as its first.

    Attributes:
        base: the address where it begins, when it was looked at last.
        size: how many bytes it had then.
    """

    __slots__ = ("_moves", "_named", "_scratch", "base", "size")

    def __init__(self, context: int, instance: int, scratch: int, number: int) -> None:
        self._named = context, instance, number
        self._scratch = scratch
        # Where address space is short, a memory may be elsewhere after it has grown.
        self._moves = not is_roomy()
        _capi.name_memory(scratch, context, instance, number)
        self.base: int = _capi.memory_data(context, scratch) or 0
        self.size = _capi.memory_size(context, scratch)

    def read(self, address: int, size: int, most: int = _U32_MAX) -> bytes:
        """What lies at an address.

        Args:
            address: the address.
            size: how many bytes lie there.
            most: how many of them are wanted, the first.

        Raises:
            Trap: they are not all in the memory.
        """
        if address + size > self.size or self._moves:
            self._look()
            if address + size > self.size:
                raise Trap("bytes that are not in the memory that they are said to be in")
        return _capi.string_at(self.base + address, min(size, most))

    def _name(self) -> int:
        context, instance, number = self._named
        _capi.name_memory(self._scratch, context, instance, number)
        return self._scratch

    def _look(self) -> None:
        context, name = self._named[0], self._name()
        self.base = _capi.memory_data(context, name) or 0
        self.size = _capi.memory_size(context, name)


class BridgeMemory(Memory):
    """The memory of one bridge, which the host writes too."""

    __slots__ = ()

    def write(self, data: bytes) -> int:
        """Allot room for `data` and put it there; returns its address.

        Raises:
            Trap: there is no room.
        """
        if self._moves:
            self._look()
        size = len(data)
        address: int = HEAP + _capi.words[(self.base + HEAP_USED) >> 3]
        if address + size > self.size:
            self._grow(address + size)
        ctypes.memmove(self.base + address, data, size)
        _capi.words[(self.base + HEAP_USED) >> 3] = (address + size - HEAP + 7) & -8
        return address

    def empty(self) -> None:
        """Give all room back, before a call whose arguments are to be written again."""
        if self._moves:
            self._look()
        _capi.words[(self.base + HEAP_USED) >> 3] = 0

    def _grow(self, size: int) -> None:
        """Have the memory be at least `size` bytes."""
        self._look()
        missing = -(-(size - self.size) // _PAGE)
        if missing <= 0:
            return
        if not _capi.memory_grow(self._named[0], self._name(), missing):
            raise Trap(
                f"no room for {size - HEAP} bytes that the host passes at once: {_MOST} at most where they are "
                f"returned and {_MOST_GIVEN} where they are arguments, or max_memory"
            )
        self._look()
