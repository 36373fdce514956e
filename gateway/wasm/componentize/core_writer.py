"""Writing core modules: the pieces that the modules around a guest are made of.

Grammar: WebAssembly Core Specification, 5.3 "Types", 5.4 "Instructions" and 5.5 "Modules".
"""

from collections.abc import Iterable
from typing import Final

from gateway.wasm.binary import encode
from gateway.wasm.binary.sections import MODULE_PREAMBLE
from gateway.wasm.componentize.canonical_abi import CoreFunction

__all__ = [
    "ADD",
    "CALL",
    "CALL_INDIRECT",
    "END",
    "EQUAL",
    "FUNCTION",
    "GLOBAL_GET",
    "GLOBAL_SET",
    "IF",
    "LOCAL_GET",
    "LOCAL_TEE",
    "MEMORY",
    "MEMORY_GROW",
    "NOT_EQUAL",
    "SHIFT_LEFT",
    "TABLE",
    "UNREACHABLE",
    "body",
    "const",
    "export",
    "extern_import",
    "function_type",
    "module",
    "op",
]

FUNCTION: Final = 0x00
TABLE: Final = 0x01
MEMORY: Final = 0x02

UNREACHABLE: Final = b"\x00"
IF: Final = b"\x04\x40"
END: Final = b"\x0b"
CALL: Final = 0x10
CALL_INDIRECT: Final = 0x11
LOCAL_GET: Final = 0x20
LOCAL_TEE: Final = 0x22
GLOBAL_GET: Final = 0x23
GLOBAL_SET: Final = 0x24
MEMORY_GROW: Final = b"\x40\x00"
EQUAL: Final = b"\x46"
NOT_EQUAL: Final = b"\x47"
ADD: Final = b"\x6a"
SHIFT_LEFT: Final = b"\x74"


def op(opcode: int, *immediates: int) -> bytes:
    """An instruction whose immediates are indices."""
    return bytes([opcode]) + b"".join(map(encode.u32, immediates))


def const(value: int) -> bytes:
    """`i32.const`."""
    return b"\x41" + encode.s32(value)


def body(code: bytes, i32_locals: int = 0) -> bytes:
    """An item of the code section; `code` without its last `end`."""
    groups = [encode.u32(i32_locals) + b"\x7f"] if i32_locals else []
    content = encode.vector(groups) + code + END
    return encode.u32(len(content)) + content


def function_type(core: CoreFunction) -> bytes:
    """A function type."""
    sides = (core.parameters, core.results)
    return b"\x60" + b"".join(encode.vector(bytes([one]) for one in side) for side in sides)


def extern_import(first: str, second: str, kind: int, described: bytes) -> bytes:
    """An import: its two names, its kind, and its encoded type."""
    return encode.name(first) + encode.name(second) + bytes([kind]) + described


def export(name: str, kind: int, index: int) -> bytes:
    """An export."""
    return encode.name(name) + bytes([kind]) + encode.u32(index)


def module(parts: Iterable[tuple[int, bytes]]) -> bytes:
    """A module of these sections, in this order: ids and payloads."""
    return MODULE_PREAMBLE + b"".join(encode.section(id_, payload) for id_, payload in parts)
