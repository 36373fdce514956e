"""The types of core WebAssembly: numbers and functions.

Grammar: WebAssembly Core Specification, 5.3 "Types".
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

__all__ = ["FUNCREF", "FUNCTION_TYPE", "PAGE_SIZE", "PAGE_SIZE_LOG2", "CoreFunction", "CoreType"]

PAGE_SIZE_LOG2: Final = 16
PAGE_SIZE: Final = 1 << PAGE_SIZE_LOG2
"""Bytes of a page of linear memory."""

FUNCTION_TYPE: Final = 0x60
FUNCREF: Final = 0x70


class CoreType(IntEnum):
    """The number types; the value is the opcode."""

    I32 = 0x7F
    I64 = 0x7E
    F32 = 0x7D
    F64 = 0x7C


@dataclass(frozen=True, slots=True)
class CoreFunction:
    """A core function type. The numbers are those of `CoreType`, or of other types of a module."""

    parameters: tuple[int, ...]
    results: tuple[int, ...]

    def __str__(self) -> str:
        parameters, results = (
            ", ".join(
                CoreType(each).name.lower() if each in set(CoreType) else hex(each)
                for each in types
            )
            for types in (self.parameters, self.results)
        )
        return f"({parameters}) -> ({results})"
