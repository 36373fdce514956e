"""The two core modules of a bridge: one that keeps memory, one that passes calls on.

The host finds bytes that it is passed in the memory, and puts those that it returns there. It allots room for them
as `realloc` does, from the heap, which is the memory's end. All of it is taken back after each call:

    0   nothing: some take address 0 for "no address"
    8   how much of the heap is in use, in bytes: an `i32`, and four bytes that stay 0
    16  where results lie that are more than one core value
    ..  the heap
"""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.wasm import canonical_abi
from gateway.wasm.binary import core_writer as write
from gateway.wasm.binary import encode
from gateway.wasm.binary.core_types import CoreFunction, CoreType
from gateway.wasm.binary.sections import CoreSection
from gateway.wasm.byte_blocks.imported_interface import InterfaceFunction
from gateway.wasm.byte_blocks.shapes import MAX_RESULT_SIZE
from gateway.wasm.canonical_abi import REALLOC_TYPE, Flat

__all__ = [
    "CORE_INSTANCES",
    "DROP",
    "HEAP",
    "HEAP_USED",
    "HOST",
    "MAX_EXPORTED_PAGES",
    "MAX_PAGES",
    "MEMORY",
    "REALLOC",
    "forwarder_module",
    "memory_module",
    "release",
]

# Names of imports and exports.
MEMORY: Final = "memory"
REALLOC: Final = "realloc"
HOST: Final = "host"
DROP: Final = "drop"

# How many core instances a bridge is; the one with the memory comes first.
CORE_INSTANCES: Final = 2

# Addresses in the memory. 16 is a multiple of every alignment.
HEAP_USED: Final = 8
_RESULT_AT: Final = 16
HEAP: Final = _RESULT_AT + MAX_RESULT_SIZE

# What a bridge may take besides the memory of its guest: room for a few of the largest values that the
# host takes or gives in one call. Unit: pages of 64 KiB. What needs more traps for want of memory.
MAX_PAGES: Final = 128
# The same for what a component exports: room for arguments and a result as large as those that are asked for by
# JSON-RPC. The limit of each memory of an instance, by `max_memory`, holds too.
MAX_EXPORTED_PAGES: Final = 1024
# With the 2 GiB that the heap can reach, a sum that stays below 4 GiB.
_MAX_BLOCK: Final = 0x7FFF_FFF0

# The types of the `release` functions, which take what a lifted function returns.
_RELEASES: Final = (CoreFunction((), ()), *(CoreFunction((each,), ()) for each in CoreType))

_LOAD_USED: Final = write.const(HEAP_USED) + write.op(write.I32_LOAD, 2, 0)
_STORE: Final = write.op(write.I32_STORE, 2, 0)
_TRAP_IF: Final = write.IF + write.UNREACHABLE + write.END


def release(function: InterfaceFunction) -> str:
    """Names the `post-return` function of a function."""
    lifted = canonical_abi.lifted_type(function.parameters, _result(function))
    return f"release{_RELEASES.index(CoreFunction(lifted.results, ()))}"


def memory_module(max_pages: int) -> bytes:
    """Writes the module with a memory of at most so many pages, and an allocator for one call at a time.

    Exports `MEMORY`; `REALLOC`, which hands out memory from the start of the heap upwards; and a
    `release` for each core result, which empties the heap: nothing outlives a call.
    """
    types = [write.function_type(each) for each in (REALLOC_TYPE, *_RELEASES)]
    exports = [write.export(MEMORY, write.MEMORY, 0), write.export(REALLOC, write.FUNCTION, 0)]
    exports += [
        write.export(f"release{at}", write.FUNCTION, 1 + at) for at in range(len(_RELEASES))
    ]
    empty_heap = write.body(write.const(HEAP_USED) + write.const(0) + _STORE)
    memory = b"\x01" + encode.u32(1) + encode.u32(max_pages)
    bodies = [_realloc(), *(empty_heap for _ in _RELEASES)]
    return write.module(
        [
            (CoreSection.TYPE, encode.vector(types)),
            (CoreSection.FUNCTION, encode.vector(map(encode.u32, range(len(types))))),
            (CoreSection.MEMORY, encode.vector([memory])),
            (CoreSection.EXPORT, encode.vector(exports)),
            (CoreSection.CODE, encode.vector(bodies)),
        ]
    )


def forwarder_module(functions: Sequence[InterfaceFunction], drops: Mapping[int, int]) -> bytes:
    """Writes the module whose functions call the host's of the same place, with what they were given.

    Imports `HOST` "0", "1", ... for the functions and `DROP` "0", "1", ... for the resources of
    their borrowed handles, which must be dropped before a call returns. Exports "0", "1", ...

    Args:
        functions: at most one result address fits them all, since they never call one another.
        drops: for the index of a resource type, the number of its `DROP`.
    """
    types = [write.function_type(CoreFunction((CoreType.I32,), ()))]
    drop_functions = {resource: len(functions) + at for resource, at in drops.items()}
    imports = []
    bodies = []
    for at, function in enumerate(functions):
        lowered = canonical_abi.lowered_type(function.parameters, _result(function))
        lifted = canonical_abi.lifted_type(function.parameters, _result(function))
        imports.append(_import(HOST, at, len(types)))
        types += [write.function_type(lowered), write.function_type(lifted)]
        bodies.append(_forward(function, at, drop_functions))
    imports += [_import(DROP, at, 0) for at in drops.values()]
    exports = (
        write.export(str(at), write.FUNCTION, len(imports) + at) for at in range(len(functions))
    )
    return write.module(
        [
            (CoreSection.TYPE, encode.vector(types)),
            (CoreSection.IMPORT, encode.vector(imports)),
            (
                CoreSection.FUNCTION,
                encode.vector(encode.u32(2 + 2 * at) for at in range(len(functions))),
            ),
            (CoreSection.EXPORT, encode.vector(exports)),
            (CoreSection.CODE, encode.vector(bodies)),
        ]
    )


def _import(module: str, field: int, function_type: int) -> bytes:
    return write.extern_import(module, str(field), write.FUNCTION, encode.u32(function_type))


def _result(function: InterfaceFunction) -> Flat:
    return () if function.result is None else function.result.layout.flat


def _forward(function: InterfaceFunction, host: int, drops: Mapping[int, int]) -> bytes:
    in_memory = canonical_abi.through_memory(_result(function))
    address = write.const(_RESULT_AT) if in_memory else b""
    taken = canonical_abi.lifted_type(function.parameters, ()).parameters
    code = b"".join(_get(place) for place in range(len(taken)))
    code += address + write.op(write.CALL, host)
    for place, resource in function.borrows:
        code += _get(place) + write.op(write.CALL, drops[resource])
    return write.body(code + address)


def _realloc() -> bytes:
    """Writes `realloc(old, old_size, alignment, new_size)`, which gives the address of a block.

    Strings are why blocks are asked to change: one is allotted for the length that it has in one
    encoding, and turns out longer or shorter in another. Every block starts at a multiple of eight,
    whatever the alignment asked for.
    """
    old, old_size, new_size, block, used, missing = 0, 1, 3, 4, 5, 6
    code = (
        # A block that is large enough is kept; in particular, one that is to be shortened.
        (_get(old) + write.IF + _get(new_size) + _get(old_size) + write.GREATER_UNSIGNED)
        + (write.EQUAL_ZERO + write.IF + _get(old) + write.RETURN + write.END + write.END)
        + (_get(new_size) + write.const(_MAX_BLOCK) + write.GREATER_UNSIGNED + _TRAP_IF)
        # The new block lies at the end of what is in use.
        + (_LOAD_USED + _tee(used) + write.const(HEAP) + write.ADD + _set(block))
        + (write.const(HEAP_USED) + _get(used) + _get(new_size) + write.ADD)
        + (write.const(7) + write.ADD + write.const(-8) + write.AND + _tee(used) + _STORE)
        # The pages missing for that; one too many where the block ends where a page ends.
        + (_get(used) + write.const(HEAP) + write.ADD)
        + (write.const(16) + write.SHIFT_RIGHT + write.const(1) + write.ADD)
        + (write.MEMORY_SIZE + write.SUBTRACT + _tee(missing))
        + (write.const(0) + write.GREATER_SIGNED + write.IF)
        + (_get(missing) + write.MEMORY_GROW + write.const(-1) + write.EQUAL + _TRAP_IF + write.END)
        # No block to copy from has the size 0.
        + (_get(block) + _get(old) + _get(old_size) + write.memory_copy() + _get(block))
    )
    return write.body(code, i32_locals=3)


def _get(local: int) -> bytes:
    return write.op(write.LOCAL_GET, local)


def _set(local: int) -> bytes:
    return write.op(write.LOCAL_SET, local)


def _tee(local: int) -> bytes:
    return write.op(write.LOCAL_TEE, local)
