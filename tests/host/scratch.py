"""Memory of our own to lower values into, and a measure of what the C heap holds."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

import pytest

from gateway.host import _capi, wit
from gateway.host.store import Store
from gateway.host.values import VALUE_SIZE, lower


class Scratch:
    """Room for one value; `false` at first, as the engine hands it out."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._block = (ctypes.c_uint8 * VALUE_SIZE)()
        self.address = ctypes.addressof(self._block)

    def lower(self, ty: wit.Type, value: Any) -> None:
        lower(ty)(self._store, self.address, value)

    def bytes(self) -> bytes:
        return bytes(self._block)

    def free(self) -> None:
        """Free what the value owns, as the engine does with a value that was refused half-way."""
        _capi.value_delete(self.address)
        ctypes.memset(self.address, 0, VALUE_SIZE)


def heap_growth(action: Callable[[], None], times: int) -> int:
    """Bytes of the C heap that are in use after so many repetitions, and were not before."""
    if sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("the C library does not tell what is allocated (mallinfo2)")

    class Mallinfo2(ctypes.Structure):
        _fields_ = [(f"field_{index}", ctypes.c_size_t) for index in range(10)]

    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = Mallinfo2
    for _ in range(100):
        action()
    before: int = mallinfo2().field_7  # uordblks: bytes allocated
    for _ in range(times):
        action()
    return int(mallinfo2().field_7) - before
