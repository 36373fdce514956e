"""The two core modules of a bridge: one that keeps memory, one that passes calls on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from gateway.wasm.binary import encode
from gateway.wasm.binary.sections import MODULE_PREAMBLE, CoreSection
from gateway.wasm.byte_strings.interface import Function
from gateway.wasm.byte_strings.shapes import F32, F64, I32, I64, MAX_RESULT_SIZE, CoreType

__all__ = [
    "DROP",
    "HOST",
    "MEMORY",
    "REALLOC",
    "core_result",
    "forwarder_module",
    "memory_module",
    "release",
]

# Names of imports and exports.
MEMORY: Final = "memory"
REALLOC: Final = "realloc"
HOST: Final = "host"
DROP: Final = "drop"

# Where a result lies that is more than one core value. Address 0 is left alone: some take it for
# "no address". 16 is a multiple of every alignment.
_RESULT_AT: Final = 16

# What a bridge may take besides the memory of its guest: room for a call that passes 1 MiB, the most
# that the host takes or gives in one, in whatever encoding. Unit: pages of 64 KiB. What needs more
# traps for want of memory.
_MAX_PAGES: Final = 128
# With the 2 GiB that the heap can reach, a sum that stays below 4 GiB.
_MAX_BLOCK: Final = 0x7FFF_FFF0

_RELEASES: Final[tuple[tuple[CoreType, ...], ...]] = ((), (I32,), (I64,), (F32,), (F64,))


def core_result(function: Function) -> tuple[CoreType, ...]:
    """The core result of a function as it is lifted; an address if it is more than one value."""
    if function.result is None:
        return ()
    flat = function.result.flat
    return flat if flat is not None and len(flat) <= 1 else (I32,)


def release(result: tuple[CoreType, ...]) -> str:
    """The name of the `post-return` function for a core result."""
    return f"release{_RELEASES.index(result)}"


def memory_module() -> bytes:
    """A memory, and an allocator for one call at a time.

    Exports `MEMORY`; `REALLOC`, which hands out memory from the start of the heap upwards; and a
    `release` for each core result, which empties the heap: nothing outlives a call.
    """
    heap = _RESULT_AT + MAX_RESULT_SIZE
    types = [_function_type((I32, I32, I32, I32), (I32,))]
    types += [_function_type(result, ()) for result in _RELEASES]
    exports = [_export(MEMORY, 0x02, 0), _export(REALLOC, 0x00, 0)]
    exports += [_export(release(result), 0x00, at) for at, result in enumerate(_RELEASES, 1)]
    empty_heap = _body(_const(heap) + _SET_TOP)
    return _module(
        (CoreSection.TYPE, types),
        (CoreSection.FUNCTION, [encode.u32(at) for at in range(len(types))]),
        (CoreSection.MEMORY, [b"\x01" + encode.u32(1) + encode.u32(_MAX_PAGES)]),
        (CoreSection.GLOBAL, [bytes([I32]) + b"\x01" + _const(heap) + _END]),
        (CoreSection.EXPORT, exports),
        (CoreSection.CODE, [_realloc(), *(empty_heap for _ in _RELEASES)]),
    )


def forwarder_module(functions: Sequence[Function], drops: Mapping[int, int]) -> bytes:
    """Functions that call the host's functions of the same place, with what they were given.

    Imports `HOST` "0", "1", ... for the functions and `DROP` "0", "1", ... for the resources of
    their borrowed handles, which must be dropped before a call returns. Exports "0", "1", ...

    Args:
        functions: at most one result address fits them all, since they never call one another.
        drops: for the index of a resource type, the number of its `DROP`.
    """
    types = [_function_type((I32,), ())]
    drop_functions = {resource: len(functions) + at for resource, at in drops.items()}
    imports = []
    bodies = []
    for at, function in enumerate(functions):
        result = core_result(function)
        address = (I32,) if _through_memory(function) else ()
        imports.append(_import(HOST, at, len(types)))
        types.append(_function_type(function.parameters + address, () if address else result))
        bodies.append(_forward(function, at, drop_functions))
        types.append(_function_type(function.parameters, result))
    imports += [_import(DROP, at, 0) for at in drops.values()]
    return _module(
        (CoreSection.TYPE, types),
        (CoreSection.IMPORT, imports),
        (CoreSection.FUNCTION, [encode.u32(2 + 2 * at) for at in range(len(functions))]),
        (
            CoreSection.EXPORT,
            [_export(str(at), 0x00, len(imports) + at) for at in range(len(functions))],
        ),
        (CoreSection.CODE, bodies),
    )


def _through_memory(function: Function) -> bool:
    result = function.result
    return result is not None and (result.flat is None or len(result.flat) > 1)


def _forward(function: Function, host: int, drops: Mapping[int, int]) -> bytes:
    address = _const(_RESULT_AT) if _through_memory(function) else b""
    code = b"".join(_get(place) for place in range(len(function.parameters)))
    code += address + _call(host)
    for place, resource in function.borrows:
        code += _get(place) + _call(drops[resource])
    return _body(code + address)


def _realloc() -> bytes:
    """`realloc(old, old_size, alignment, new_size)`: the address of a block.

    Strings are why blocks are asked to change: one is allotted for the length that it has in one
    encoding, and turns out longer or shorter in another. Every block starts at a multiple of eight,
    whatever the alignment asked for.
    """
    old, old_size, new_size, block, end, missing = 0, 1, 3, 4, 5, 6
    code = (
        # A block that is large enough is kept; in particular, one that is to be shortened.
        (_get(old) + _IF + _get(new_size) + _get(old_size) + _GREATER + _EQUAL_ZERO)
        + (_IF + _get(old) + _RETURN + _END + _END)
        + (_get(new_size) + _const(_MAX_BLOCK) + _GREATER + _TRAP_IF)
        # The new block lies at the top of the heap, and the top moves to its end.
        + (_TOP + _tee(block) + _get(new_size) + _ADD)
        + (_const(7) + _ADD + _const(-8) + _AND + _tee(end) + _SET_TOP)
        # The pages missing for that; one too many where the block ends where a page ends.
        + (_get(end) + _const(16) + _SHIFT_RIGHT + _const(1) + _ADD)
        + (_MEMORY_SIZE + _SUBTRACT + _tee(missing) + _const(0) + _GREATER_SIGNED + _IF)
        + (_get(missing) + _MEMORY_GROW + _const(-1) + _EQUAL + _TRAP_IF + _END)
        # No block to copy from has the size 0.
        + (_get(block) + _get(old) + _get(old_size) + _MEMORY_COPY + _get(block))
    )
    return _body(code, more_locals=3)


_IF: Final = b"\x04\x40"
_END: Final = b"\x0b"
_TRAP_IF: Final = _IF + b"\x00" + _END
_RETURN: Final = b"\x0f"
_TOP: Final = b"\x23\x00"
_SET_TOP: Final = b"\x24\x00"
_MEMORY_SIZE: Final = b"\x3f\x00"
_MEMORY_GROW: Final = b"\x40\x00"
_MEMORY_COPY: Final = b"\xfc\x0a\x00\x00"
_EQUAL_ZERO: Final = b"\x45"
_EQUAL: Final = b"\x46"
_GREATER_SIGNED: Final = b"\x4a"
_GREATER: Final = b"\x4b"
_ADD: Final = b"\x6a"
_SUBTRACT: Final = b"\x6b"
_AND: Final = b"\x71"
_SHIFT_RIGHT: Final = b"\x76"


def _get(local: int) -> bytes:
    return b"\x20" + encode.u32(local)


def _tee(local: int) -> bytes:
    return b"\x22" + encode.u32(local)


def _call(function: int) -> bytes:
    return b"\x10" + encode.u32(function)


def _const(value: int) -> bytes:
    return b"\x41" + encode.s32(value)


def _body(code: bytes, more_locals: int = 0) -> bytes:
    groups = [encode.u32(more_locals) + bytes([I32])] if more_locals else []
    content = encode.vector(groups) + code + _END
    return encode.u32(len(content)) + content


def _function_type(parameters: Iterable[CoreType], results: Iterable[CoreType]) -> bytes:
    encoded = (encode.vector(bytes([one]) for one in types) for types in (parameters, results))
    return b"\x60" + b"".join(encoded)


def _import(module: str, field: int, function_type: int) -> bytes:
    return encode.name(module) + encode.name(str(field)) + b"\x00" + encode.u32(function_type)


def _export(name: str, kind: int, index: int) -> bytes:
    return encode.name(name) + bytes([kind]) + encode.u32(index)


def _module(*parts: tuple[CoreSection, Iterable[bytes]]) -> bytes:
    return MODULE_PREAMBLE + b"".join(
        encode.section(section_id, encode.vector(items)) for section_id, items in parts
    )
