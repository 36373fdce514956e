"""Functions that are lowered onto a memory of a component's own and lifted from it again, with other types.

What is `list<u8>` on one side and `tuple<u32, u32>` on the other has one form in core WebAssembly, so what stands
between the two only passes on what it is given.
"""

from collections.abc import Sequence

from gateway.wasm.binary import encode
from gateway.wasm.binary.component_writer import ComponentWriter
from gateway.wasm.binary.extern import Sort, SortIndex
from gateway.wasm.binary.sections import ComponentSection
from gateway.wasm.byte_blocks import core
from gateway.wasm.byte_blocks.imported_interface import InterfaceFunction

__all__ = ["Forwarding"]


class Forwarding:
    """A memory in a component that is being written, and functions that pass bytes there.

    Args:
        out: the component. The memory is added to it here.
        max_pages: the most that the memory may have, in pages of 64 KiB.
    """

    def __init__(self, out: ComponentWriter, max_pages: int) -> None:
        self._out = out
        module = core.memory_module(max_pages)
        module_index = out.embed(ComponentSection.CORE_MODULE, module, Sort.CORE_MODULE)
        self._keeper = out.instantiate_core(module_index, [])
        memory = out.alias_core(Sort.CORE_MEMORY, self._keeper, core.MEMORY)
        realloc = out.alias_core(Sort.CORE_FUNC, self._keeper, core.REALLOC)
        self._options = [b"\x03" + encode.u32(memory), b"\x04" + encode.u32(realloc)]

    def add(
        self,
        functions: Sequence[InterfaceFunction],
        lowered: Sequence[int],
        types: Sequence[int],
    ) -> list[int]:
        """Add functions, once.

        Args:
            functions: what they are like.
            lowered: the indices of those that they call.
            types: by the indices that the functions have for types, the component's own: of the function types
                that they are lifted with, and of the resources of borrowed handles.

        Returns:
            Their indices.
        """
        out = self._out
        resources = dict.fromkeys(resource for f in functions for _, resource in f.borrows)
        drops = {resource: number for number, resource in enumerate(resources)}
        called = self._numbered([self._lower(function) for function in lowered])
        droppers = self._numbered([self._drop(types[resource]) for resource in drops])
        module = core.forwarder_module(functions, drops)
        module_index = out.embed(ComponentSection.CORE_MODULE, module, Sort.CORE_MODULE)
        arguments = [(core.HOST, called), (core.DROP, droppers)]
        forwarder = out.instantiate_core(module_index, arguments)
        return [
            self._lift(
                types[function.type],
                out.alias_core(Sort.CORE_FUNC, forwarder, str(at)),
                [*self._options, self._post_return(function)],
            )
            for at, function in enumerate(functions)
        ]

    def _numbered(self, functions: Sequence[int]) -> int:
        """Add a core instance that exports core functions as "0", "1", ..."""
        return self._out.bag_core(
            (str(at), SortIndex(Sort.CORE_FUNC, index)) for at, index in enumerate(functions)
        )

    def _lower(self, function: int) -> int:
        item = b"\x01\x00" + encode.u32(function) + encode.vector(self._options)
        return self._out.add(ComponentSection.CANON, item, Sort.CORE_FUNC)

    def _drop(self, resource: int) -> int:
        return self._out.add(ComponentSection.CANON, b"\x03" + encode.u32(resource), Sort.CORE_FUNC)

    def _post_return(self, function: InterfaceFunction) -> bytes:
        name = core.release(function)
        return b"\x05" + encode.u32(self._out.alias_core(Sort.CORE_FUNC, self._keeper, name))

    def _lift(self, function_type: int, core_function: int, options: list[bytes]) -> int:
        encoded = encode.u32(core_function) + encode.vector(options) + encode.u32(function_type)
        return self._out.add(ComponentSection.CANON, b"\x00\x00" + encoded, Sort.FUNC)
