"""How the engine marks what a value is: `wasmtime_component_valkind_t`, the first word of a value in memory."""

from __future__ import annotations

from typing import Final

__all__ = [
    "CHAR",
    "ENUM",
    "F32",
    "F64",
    "FLAGS",
    "INTEGER_KINDS",
    "LIST",
    "OPTION",
    "RECORD",
    "RESOURCE",
    "RESULT",
    "STRING",
    "TUPLE",
    "U8",
    "U32",
    "VARIANT",
]

_BOOL, _S8, U8, _S16, _U16, _S32, U32, _S64, _U64 = range(9)
F32, F64, CHAR, STRING, LIST, RECORD, TUPLE, VARIANT, ENUM, OPTION = range(9, 19)
RESULT, FLAGS, RESOURCE = range(19, 22)

INTEGER_KINDS: Final = {
    (8, True): _S8,
    (8, False): U8,
    (16, True): _S16,
    (16, False): _U16,
    (32, True): _S32,
    (32, False): U32,
    (64, True): _S64,
    (64, False): _U64,
}
"""The kind of an integer type, by its bits and whether it is signed."""
