"""Writing a component: definition by definition, each in the section it belongs to."""

from collections.abc import Iterable, Mapping, Sequence

from gateway.wasm.binary import encode
from gateway.wasm.binary.definitions import (
    BagOfExports,
    CoreExportAlias,
    Instantiation,
    encode_alias,
    encode_core_instance,
)
from gateway.wasm.binary.extern import ExternType, Sort, SortIndex, encode_extern_type
from gateway.wasm.binary.sections import COMPONENT_PREAMBLE, ComponentSection

__all__ = ["ComponentWriter"]


class ComponentWriter:
    """Writes a component definition by definition, and counts its index spaces."""

    def __init__(self, prelude: bytes = b"", counts: Mapping[Sort, int] | None = None) -> None:
        """Begins with the sections `prelude`, which fill the index spaces up to `counts`."""
        self._out = bytearray(COMPONENT_PREAMBLE + prelude)
        self._counts = dict(counts or {})
        self._section = ComponentSection.CUSTOM
        self._items: list[bytes] = []

    def add(self, section: ComponentSection, item: bytes, sort: Sort | None) -> int:
        """Adds an item to a section; returns the index that it gets in the space of `sort`."""
        if section is not self._section:
            self._close_section()
            self._section = section
        self._items.append(item)
        return self._next(sort)

    def embed(self, section: ComponentSection, binary: bytes, sort: Sort) -> int:
        """Adds a section that is a core module or a component; returns its index."""
        self._close_section()
        self._out += encode.section(section, binary)
        return self._next(sort)

    def alias(self, sort: Sort, instance: int, name: str) -> int:
        """Adds an alias of an instance's export."""
        target = b"\x00" + encode.u32(instance) + encode.name(name)
        return self.add(ComponentSection.ALIAS, sort.value + target, sort)

    def alias_core(self, sort: Sort, instance: int, name: str) -> int:
        """Adds an alias of a core instance's export."""
        alias = CoreExportAlias(sort, instance, name)
        return self.add(ComponentSection.ALIAS, encode_alias(alias), sort)

    def instantiate(self, component: int, arguments: Sequence[tuple[str, Sort, int]]) -> int:
        """Adds an instance of a component."""
        encoded = encode.vector(
            encode.name(name) + sort.value + encode.u32(index) for name, sort, index in arguments
        )
        item = b"\x00" + encode.u32(component) + encoded
        return self.add(ComponentSection.INSTANCE, item, Sort.INSTANCE)

    def bag(self, exports: Iterable[tuple[str, Sort, int]]) -> int:
        """Adds an instance that only gives names to items that exist already."""
        encoded = encode.vector(
            b"\x00" + encode.name(name) + sort.value + encode.u32(index)
            for name, sort, index in exports
        )
        return self.add(ComponentSection.INSTANCE, b"\x01" + encoded, Sort.INSTANCE)

    def instantiate_core(self, module: int, arguments: Sequence[tuple[str, int]]) -> int:
        """Adds an instance of a core module, given other core instances."""
        given = {name: SortIndex(Sort.CORE_INSTANCE, index) for name, index in arguments}
        return self._add_core_instance(Instantiation(module, given))

    def bag_core(self, exports: Iterable[tuple[str, SortIndex]]) -> int:
        """Adds a core instance that only gives names to core items that exist already."""
        return self._add_core_instance(BagOfExports(dict(exports)))

    def _add_core_instance(self, instance: Instantiation | BagOfExports) -> int:
        item = encode_core_instance(instance)
        return self.add(ComponentSection.CORE_INSTANCE, item, Sort.CORE_INSTANCE)

    def export(
        self, name: bytes, sort: Sort, index: int, ascribed: ExternType | None = None
    ) -> int:
        """Adds an export; `name` is encoded."""
        ascription = b"\x00" if ascribed is None else b"\x01" + encode_extern_type(ascribed)
        item = name + sort.value + encode.u32(index) + ascription
        return self.add(ComponentSection.EXPORT, item, sort)

    def finish(self) -> bytes:
        """The component."""
        self._close_section()
        return bytes(self._out)

    def _next(self, sort: Sort | None) -> int:
        if sort is None:
            return 0
        index = self._counts.get(sort, 0)
        self._counts[sort] = index + 1
        return index

    def _close_section(self) -> None:
        if self._items:
            self._out += encode.section(self._section, encode.vector(self._items))
            self._items.clear()
