"""The adapter, reduced to what one main module needs of it.

Its functions are numbered anew: first the imports that are left, then the functions that are left, then
those that are added. Types and globals stay as they are, with more after them.
"""

from collections.abc import Iterable
from typing import Final

from gateway.wasm.binary import core_writer as write
from gateway.wasm.binary import encode
from gateway.wasm.binary.sections import CoreSection
from gateway.wasm.canonical_abi import REALLOC_TYPE
from gateway.wasm.componentize.adapter import REALLOC_FOR_IMPORTS, Adapter
from gateway.wasm.componentize.adapter_memory import (
    NO_VALUES,
    Globals,
    Lent,
    MemorySource,
    set_up,
    stack_from_realloc,
    take_state_page,
)

__all__ = ["MAIN_MODULE", "reduced"]

MAIN_MODULE: Final = "__main_module__"
"""The module name of what the adapter imports of the main module; all that is is `cabi_realloc`."""

_FUNCTION_NAMES: Final = 1
_MUTABLE_I32_ZERO: Final = b"\x7f\x01" + write.const(0) + write.END


def reduced(adapter: Adapter, wanted: Iterable[str], source: MemorySource) -> bytes:
    """The adapter with only the functions `wanted`, and all that those need.

    Args:
        adapter: the adapter.
        wanted: names of functions that it exports.
        source: where it has its memory from.
    """
    names = dict.fromkeys([*wanted, REALLOC_FOR_IMPORTS])
    return _Reduction(adapter, {name: adapter.exports[name] for name in names}, source).write()


class _Reduction:
    def __init__(self, whole: Adapter, exports: dict[str, int], source: MemorySource) -> None:
        self.whole = whole
        self.exports = exports
        self.source = source
        self.binary = whole.module.binary
        count = len(whole.imported)
        (self.main_realloc,) = (
            at for at, each in enumerate(whole.imported) if each.module == MAIN_MODULE
        )
        # Even where nothing that is left calls it, the stack comes from it.
        live = sorted(self._reachable() | {self.main_realloc})
        lent = isinstance(source, Lent)
        self.imported = [at for at in live if at < count and (lent or at != self.main_realloc)]
        self.defined = [at for at in live if at >= count]
        kept = self.imported + self.defined
        self.indices = {old: new for new, old in enumerate(kept)}
        # The first of the added functions prepares the stack; the second is a `cabi_realloc`.
        self.prepare = len(kept)
        self.indices.setdefault(self.main_realloc, self.prepare + 1)

    def _reachable(self) -> set[int]:
        live: set[int] = set()
        todo = list(self.exports.values())
        while todo:
            index = todo.pop()
            if index not in live:
                live.add(index)
                if index >= len(self.whole.imported):
                    function = self.whole.defined[index - len(self.whole.imported)]
                    todo += [callee for _, _, callee in function.references]
        return live

    def write(self) -> bytes:
        """The module."""
        whole = self.whole
        number_of_types = len(whole.module.types)
        types = [*whole.module.types, NO_VALUES, REALLOC_TYPE]
        globals_ = whole.module.cursor(CoreSection.GLOBAL)
        number_of_globals = globals_.count()
        indices = Globals(
            whole.global_names["__stack_pointer"],
            whole.global_names["allocation_state"],
            number_of_globals,
        )
        added_types = [number_of_types, number_of_types + 1]
        match self.source:
            case Lent():
                del added_types[1]
                added = [stack_from_realloc(indices, self.indices[self.main_realloc])]
                start = []
            case source:
                added = [set_up(source, indices), take_state_page(indices)]
                start = [(CoreSection.START, encode.u32(self.prepare))]
        kept_types = [whole.defined[at - len(whole.imported)].type for at in self.defined]
        exports = (
            write.export(name, write.FUNCTION, self.indices[at])
            for name, at in self.exports.items()
        )
        return write.module(
            [
                (CoreSection.TYPE, encode.vector(map(write.function_type, types))),
                (CoreSection.IMPORT, encode.vector(self._imports())),
                (CoreSection.FUNCTION, encode.vector(map(encode.u32, kept_types + added_types))),
                (
                    CoreSection.GLOBAL,
                    encode.u32(number_of_globals + 1)
                    + self.binary[globals_.at : globals_.end]
                    + _MUTABLE_I32_ZERO,
                ),
                (CoreSection.EXPORT, encode.vector(exports)),
                *start,
                (CoreSection.CODE, encode.vector([*self._bodies(), *added])),
                (CoreSection.CUSTOM, self._names()),
            ]
        )

    def _imports(self) -> Iterable[bytes]:
        at_least_nothing = b"\x00\x00"
        yield write.extern_import("env", "memory", write.MEMORY, at_least_nothing)
        for each in (self.whole.imported[at] for at in self.imported):
            yield encode.name(each.module) + encode.name(each.name) + each.described

    def _bodies(self) -> Iterable[bytes]:
        exported = set(self.exports.values())
        for at in self.defined:
            function = self.whole.defined[at - len(self.whole.imported)]
            content = bytearray(self.binary[function.start : function.code])
            if isinstance(self.source, Lent) and at in exported:
                content += write.op(write.CALL, self.prepare)
            position = function.code
            for start, end, callee in function.references:
                content += self.binary[position:start] + encode.u32(self.indices[callee])
                position = end
            content += self.binary[position : function.end]
            yield encode.u32(len(content)) + content

    def _names(self) -> bytes:
        """The section with the names of functions, for the backtraces of traps."""
        names = sorted(
            (self.indices[old], name)
            for name, old in self.whole.function_names.items()
            if old in self.indices
        )
        pairs = encode.vector(encode.u32(index) + encode.name(name) for index, name in names)
        return encode.name("name") + encode.section(_FUNCTION_NAMES, pairs)
