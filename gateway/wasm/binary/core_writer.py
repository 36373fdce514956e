"""Writing core modules: the pieces of the small ones that are put around a guest.

Grammar: WebAssembly Core Specification, 5.3 "Types", 5.4 "Instructions" and 5.5 "Modules".
"""

from collections.abc import Iterable
from typing import Final

from gateway.wasm.binary import encode
from gateway.wasm.binary.core_types import FUNCTION_TYPE, CoreFunction, CoreType
from gateway.wasm.binary.sections import MODULE_PREAMBLE

__all__ = [
    "ADD",
    "AND",
    "CALL",
    "CALL_INDIRECT",
    "END",
    "EQUAL",
    "EQUAL_ZERO",
    "FUNCTION",
    "GLOBAL_GET",
    "GLOBAL_SET",
    "GREATER_SIGNED",
    "GREATER_UNSIGNED",
    "I32_LOAD",
    "I32_LOAD8_U",
    "I32_STORE",
    "IF",
    "LOCAL_GET",
    "LOCAL_SET",
    "LOCAL_TEE",
    "MEMORY",
    "MEMORY_GROW",
    "MEMORY_SIZE",
    "NOT_EQUAL",
    "RETURN",
    "SHIFT_LEFT",
    "SHIFT_RIGHT",
    "SUBTRACT",
    "TABLE",
    "UNREACHABLE",
    "body",
    "const",
    "export",
    "extern_import",
    "function_type",
    "memory_copy",
    "module",
    "op",
]

FUNCTION: Final = 0x00
TABLE: Final = 0x01
MEMORY: Final = 0x02

UNREACHABLE: Final = b"\x00"
IF: Final = b"\x04\x40"
END: Final = b"\x0b"
RETURN: Final = b"\x0f"
CALL: Final = 0x10
CALL_INDIRECT: Final = 0x11
LOCAL_GET: Final = 0x20
LOCAL_SET: Final = 0x21
LOCAL_TEE: Final = 0x22
GLOBAL_GET: Final = 0x23
GLOBAL_SET: Final = 0x24
I32_LOAD: Final = 0x28
I32_LOAD8_U: Final = 0x2D
I32_STORE: Final = 0x36
MEMORY_SIZE: Final = b"\x3f\x00"
MEMORY_GROW: Final = b"\x40\x00"
EQUAL_ZERO: Final = b"\x45"
EQUAL: Final = b"\x46"
NOT_EQUAL: Final = b"\x47"
GREATER_SIGNED: Final = b"\x4a"
GREATER_UNSIGNED: Final = b"\x4b"
ADD: Final = b"\x6a"
SUBTRACT: Final = b"\x6b"
AND: Final = b"\x71"
SHIFT_LEFT: Final = b"\x74"
SHIFT_RIGHT: Final = b"\x76"


def op(opcode: int, *immediates: int) -> bytes:
    """An instruction whose immediates are indices, or alignment and offset."""
    return bytes([opcode]) + b"".join(map(encode.u32, immediates))


def const(value: int) -> bytes:
    """`i32.const`."""
    return b"\x41" + encode.s32(value)


def memory_copy(to: int = 0, source: int = 0) -> bytes:
    """`memory.copy`, between memories with these indices."""
    return b"\xfc\x0a" + encode.u32(to) + encode.u32(source)


def body(code: bytes, i32_locals: int = 0) -> bytes:
    """An item of the code section; `code` without its last `end`."""
    groups = [encode.u32(i32_locals) + bytes([CoreType.I32])] if i32_locals else []
    content = encode.vector(groups) + code + END
    return encode.u32(len(content)) + content


def function_type(core: CoreFunction) -> bytes:
    """A function type."""
    sides = (core.parameters, core.results)
    encoded = (encode.vector(bytes([one]) for one in side) for side in sides)
    return bytes([FUNCTION_TYPE]) + b"".join(encoded)


def extern_import(first: str, second: str, kind: int, described: bytes) -> bytes:
    """An import: its two names, its kind, and its encoded type."""
    return encode.name(first) + encode.name(second) + bytes([kind]) + described


def export(name: str, kind: int, index: int) -> bytes:
    """An export."""
    return encode.name(name) + bytes([kind]) + encode.u32(index)


def module(parts: Iterable[tuple[int, bytes]]) -> bytes:
    """A module of these sections, in this order: ids and payloads."""
    return MODULE_PREAMBLE + b"".join(encode.section(id_, payload) for id_, payload in parts)
