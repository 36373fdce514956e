"""The type of a core module, as a component that imports the module has to state it.

Grammar: Component Model, `Binary.md` "Type Definitions" (`core:moduletype`); WebAssembly Core Specification, 5.5
"Modules", and 3.3 "Constant Expressions" for the globals, whose ends only their opcodes tell.
"""

from collections.abc import Callable, Iterator
from typing import Final

from gateway.wasm.binary import encode
from gateway.wasm.binary.core_module import (
    CoreModule,
    read_memory_type,
    read_table_type,
    read_value_type,
)
from gateway.wasm.binary.core_writer import function_type
from gateway.wasm.binary.cursor import Cursor
from gateway.wasm.binary.extern import Sort
from gateway.wasm.binary.sections import CoreSection

__all__ = ["encode_module_type"]

_MODULE_TYPE: Final = b"\x50"
_IMPORT: Final = b"\x00"
_TYPE: Final = b"\x01"
_EXPORT: Final = b"\x03"

_END: Final = 0x0B


def encode_module_type(module: CoreModule) -> bytes:
    """A `core:moduletype`: the function types of a module, what it imports, and what it exports.

    Raises:
        MalformedBinary: the module is damaged, or has types that are not read here.
    """
    types = module.cursor(CoreSection.TYPE)
    if types.count() != len(module.types):
        raise types.malformed("a type that is not read here")
    described = _Described(module)
    declarations = [
        *(_TYPE + function_type(each) for each in module.types),
        *(
            _IMPORT + encode.name(each.module) + encode.name(each.name) + each.described
            for each in module.imports
        ),
        *(
            _EXPORT + encode.name(name) + described.item(item.sort, item.index)
            for name, item in module.exports.items()
        ),
    ]
    return _MODULE_TYPE + encode.vector(declarations)


class _Described:
    """What is in the index spaces of a module, each item as an import of it would be described."""

    def __init__(self, module: CoreModule) -> None:
        self._module = module
        self._spaces: dict[Sort, list[bytes]] = {}
        for each in module.imports:
            self._spaces.setdefault(each.sort, []).append(each.described)
        for sort, section, read in _DEFINED:
            self._spaces.setdefault(sort, []).extend(self._read(sort, section, read))

    def _read(
        self, sort: Sort, section: CoreSection, read: Callable[[Cursor], object]
    ) -> Iterator[bytes]:
        cursor = self._module.cursor(section)
        for _ in range(cursor.count()):
            start = cursor.at
            read(cursor)
            yield sort.value[1:] + cursor.data[start : cursor.at]
            if section is CoreSection.GLOBAL:
                _skip_constant(cursor)
        cursor.finish()

    def item(self, sort: Sort, index: int) -> bytes:
        space = self._spaces.get(sort, [])
        if index >= len(space):
            cursor = self._module.cursor(CoreSection.EXPORT)
            raise cursor.malformed(f"an export of the item {index}, which is not read here")
        return space[index]


def _read_global_type(cursor: Cursor) -> None:
    read_value_type(cursor)
    cursor.byte()


_DEFINED: Final[tuple[tuple[Sort, CoreSection, Callable[[Cursor], object]], ...]] = (
    (Sort.CORE_FUNC, CoreSection.FUNCTION, Cursor.u32),
    (Sort.CORE_TABLE, CoreSection.TABLE, read_table_type),
    (Sort.CORE_MEMORY, CoreSection.MEMORY, read_memory_type),
    (Sort.CORE_GLOBAL, CoreSection.GLOBAL, _read_global_type),
)


def _skip_constant(cursor: Cursor) -> None:
    """A constant expression of numbers, globals and functions, up to its end."""
    while (opcode := cursor.byte()) != _END:
        match opcode:
            case 0x41 | 0x42:  # `i32.const`, `i64.const`
                while cursor.byte() & 0x80:
                    pass
            case 0x43:  # `f32.const`
                cursor.skip(4)
            case 0x44:  # `f64.const`
                cursor.skip(8)
            case 0x23 | 0xD2:  # `global.get`, `ref.func`
                cursor.u32()
            case 0xD0:  # `ref.null`
                cursor.byte()
            case 0x6A | 0x6B | 0x6C | 0x7C | 0x7D | 0x7E:  # addition, subtraction, multiplication
                pass
            case _:
                raise cursor.malformed(
                    f"the constant instruction {opcode:#04x}, which is not read here"
                )
