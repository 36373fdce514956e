"""The memories of bridges, where bytes cross between guests and the host (`gateway.wasm.byte_blocks`).

A bridge lays down what its guest passes and tells the host where; what the host returns, it puts there itself, and
tells the bridge. Both take room from one heap, and the bridge gives all of it back after each call. So it is, the
other way round, where the host calls what a guest exports.
"""

from __future__ import annotations

import ctypes
from typing import Final

from gateway.host import _capi
from gateway.host.errors import Trap
from gateway.host.settings import is_roomy
from gateway.wasm.byte_blocks.core import HEAP, HEAP_USED, MAX_EXPORTED_PAGES, MAX_PAGES

__all__ = ["BridgeMemory"]

_PAGE: Final = 64 << 10
_MOST: Final = MAX_PAGES * _PAGE - HEAP
_MOST_GIVEN: Final = MAX_EXPORTED_PAGES * _PAGE - HEAP


class BridgeMemory:
    """The memory of one bridge in a store.

    Args:
        context: the address of the store's context.
        instance: the address of the component instance's name.
        scratch: the address of words that whoever uses them is done with before anyone else.
        number: how many core instances of the component are made before the one that has the memory.
    """

    __slots__ = ("_base", "_moves", "_named", "_scratch", "_size")

    def __init__(self, context: int, instance: int, scratch: int, number: int) -> None:
        self._named = context, instance, number
        self._scratch = scratch
        # Where address space is short, a memory may be elsewhere after it has grown.
        self._moves = not is_roomy()
        # It has one page from the beginning, which is enough for most.
        self._size = _PAGE
        _capi.name_memory(scratch, context, instance, number)
        self._base = _capi.memory_data(context, scratch)

    def read(self, address: int, size: int) -> bytes:
        """What lies at an address.

        Raises:
            Trap: it is not all in the memory.
        """
        if address + size > self._size or self._moves:
            self._look()
            if address + size > self._size:
                raise Trap("bytes that are not in the bridge's memory")
        return _capi.string_at(self._base + address, size)

    def write(self, data: bytes) -> int:
        """Allot room for `data` and put it there; returns its address.

        Raises:
            Trap: there is no room.
        """
        if self._moves:
            self._look()
        size = len(data)
        address: int = HEAP + _capi.words[(self._base + HEAP_USED) >> 3]
        if address + size > self._size:
            self._grow(address + size)
        ctypes.memmove(self._base + address, data, size)
        _capi.words[(self._base + HEAP_USED) >> 3] = (address + size - HEAP + 7) & -8
        return address

    def empty(self) -> None:
        """Give all room back, before a call whose arguments are to be written again."""
        if self._moves:
            self._look()
        _capi.words[(self._base + HEAP_USED) >> 3] = 0

    def _name(self) -> int:
        context, instance, number = self._named
        _capi.name_memory(self._scratch, context, instance, number)
        return self._scratch

    def _look(self) -> None:
        context, name = self._named[0], self._name()
        self._base = _capi.memory_data(context, name)
        self._size = _capi.memory_size(context, name)

    def _grow(self, size: int) -> None:
        """Have the memory be at least `size` bytes."""
        self._look()
        missing = -(-(size - self._size) // _PAGE)
        if missing <= 0:
            return
        if not _capi.memory_grow(self._named[0], self._name(), missing):
            raise Trap(
                f"no room for {size - HEAP} bytes that the host passes at once: {_MOST} at most where they are "
                f"returned and {_MOST_GIVEN} where they are arguments, or max_memory"
            )
        self._look()
