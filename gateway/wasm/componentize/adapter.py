"""The adapter that gives a core module WASI preview 1, made of what a host has of WASI 0.2.

It is a core module itself, `preview1/wasi_snapshot_preview1.reactor.wasm` (see the README there). It
imports the memory of the main module, and has neither data nor functions in its table, nor memory of its
own. It is meant to be put into a component as wit-component does it: reduced to the functions that the
main module calls, and so to the imports that those need; and with memory for its stack and its state,
see `adapter_memory`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from gateway.wasm.binary.core_module import CoreImport, CoreModule
from gateway.wasm.binary.core_types import CoreFunction
from gateway.wasm.binary.cursor import Cursor
from gateway.wasm.binary.extern import Sort
from gateway.wasm.binary.sections import CoreSection, sections
from gateway.wasm.componentize.instructions import function_references

__all__ = ["REALLOC_FOR_IMPORTS", "Adapter", "DefinedFunction", "adapter"]

REALLOC_FOR_IMPORTS: Final = "cabi_import_realloc"
"""What the adapter exports to allocate the results of its own imports with."""

_FILE: Final = "wasi_snapshot_preview1.reactor.wasm"
_FUNCTION_NAMES: Final = 1
_GLOBAL_NAMES: Final = 7


@dataclass(frozen=True, slots=True)
class DefinedFunction:
    """A function of the adapter that is not imported.

    Attributes:
        type: the index of its type.
        start: where its body starts, after its length: the locals, and then code.
        code: where its code starts.
        end: where its body ends.
        references: the functions in its code: where each starts and ends, and its index.
    """

    type: int
    start: int
    code: int
    end: int
    references: tuple[tuple[int, int, int], ...]


@cache
def adapter() -> "Adapter":
    """The adapter that is part of this package."""
    folder = resources.files("gateway.wasm.componentize") / "preview1"
    return Adapter((folder / _FILE).read_bytes())


class Adapter:
    """The adapter, read.

    Attributes:
        module: its imports and exports, its types and all of it.
        world_section: the payload of the `component-type` section, which holds its world.
        imported: the functions that it imports; they come first among its functions.
        defined: the others.
        exports: by name, the indices of the functions that it exports.
        functions: by name, the types of these.
        function_names: the indices of functions, by the names that they were compiled from.
        global_names: the indices of globals, likewise.
    """

    def __init__(self, binary: bytes) -> None:
        """Reads it.

        Raises:
            MalformedBinary: it is damaged, or has what such an adapter does not have.
        """
        self.module = CoreModule(binary)
        custom = {section.name.partition(":")[0]: section for section in self.module.custom}
        world = custom["component-type"]
        self.world_section = binary[world.start : world.end]
        self.imported: list[CoreImport] = [
            each for each in self.module.imports if each.sort is Sort.CORE_FUNC
        ]
        self.defined = list(_read_functions(self.module))
        self.exports = {
            name: item.index
            for name, item in self.module.exports.items()
            if item.sort is Sort.CORE_FUNC
        }
        self.functions: dict[str, CoreFunction] = {
            name: self.module.types[self.defined[index - len(self.imported)].type]
            for name, index in self.exports.items()
        }
        names = {
            part.id: Cursor(binary, part.start, part.end)
            for part in sections(binary, custom["name"].start, custom["name"].end)
        }
        self.function_names = dict(_read_names(names[_FUNCTION_NAMES]))
        self.global_names = dict(_read_names(names[_GLOBAL_NAMES]))


def _read_functions(module: CoreModule) -> Iterator[DefinedFunction]:
    types = module.cursor(CoreSection.FUNCTION)
    code = module.cursor(CoreSection.CODE)
    types.count()
    for _ in range(code.count()):
        length = code.u32()
        start, end = code.at, code.at + length
        for _ in range(code.count()):
            code.u32()
            code.byte()
        references = tuple(function_references(module.binary, code.at, end))
        yield DefinedFunction(types.u32(), start, code.at, end, references)
        code.skip(end - code.at)


def _read_names(cursor: Cursor) -> Iterable[tuple[str, int]]:
    for _ in range(cursor.count()):
        index = cursor.u32()
        yield cursor.name(), index
