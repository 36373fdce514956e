"""The beginning of a component, up to its last import.

Tools write a component's imports first, each between the types that it needs and the aliases that
pick types out of it for later imports. Nothing else stands there, so that part can be repeated
as it is, index for index, at the beginning of another component that imports the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.wasm.binary.cursor import Cursor, MalformedBinary
from gateway.wasm.binary.definitions import ExportAlias, Import, read_alias, read_import
from gateway.wasm.binary.edits import Edit, edited
from gateway.wasm.binary.extern import Sort, SortIndex
from gateway.wasm.binary.sections import ComponentSection, Section, is_component, sections
from gateway.wasm.binary.type_format import read_type
from gateway.wasm.binary.types import TypeDefinition

__all__ = ["Prelude", "PreludeImport", "TypeSource", "UnbridgeableError", "read_prelude"]

# Threat: the prelude is repeated once for each bridged interface, so a huge one multiplies. Unit:
# bytes. Arbitrary; that of a Python component with all of WASI 0.2 is 15 KiB.
MAX_SIZE: Final = 1 << 20


class UnbridgeableError(Exception):
    """The component is readable, but has something that no bridge can be built around."""


@dataclass(frozen=True, slots=True)
class TypeSource:
    """Where an entry of the type index space comes from.

    Attributes:
        definition: what it is defined as here.
        export: the export of an imported instance that it is an alias of.
        equal_to: the earlier type that an imported type is said to be.
        start: where its definition starts in the file.
        end: where its definition ends.
    """

    definition: TypeDefinition | None = None
    export: ExportAlias | None = None
    equal_to: int | None = None
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class PreludeImport:
    """An import and the index that it got."""

    definition: Import
    item: SortIndex


@dataclass(slots=True)
class Prelude:
    """The sections of a component up to its last import, and the index spaces they fill.

    Attributes:
        data: the file.
        sections: the sections, without custom ones.
        imports: in order.
        types: the type index space.
        instance_types: for each instance, the index of its type.
        counts: how many items each index space holds.
    """

    data: bytes
    sections: list[Section] = field(default_factory=list)
    imports: list[PreludeImport] = field(default_factory=list)
    types: list[TypeSource] = field(default_factory=list)
    instance_types: list[int] = field(default_factory=list)
    counts: dict[Sort, int] = field(default_factory=dict)

    def add(self, sort: Sort) -> int:
        """Counts one more item of `sort`; returns its index."""
        index = self.counts.get(sort, 0)
        self.counts[sort] = index + 1
        return index

    def instance_type(self, instance: int) -> int:
        """The index of the type of an imported instance.

        Raises:
            UnbridgeableError: there is no such instance.
        """
        if instance >= len(self.instance_types):
            raise UnbridgeableError
        return self.instance_types[instance]

    def encode(self, types: Mapping[int, bytes]) -> bytes:
        """The sections, with the definitions of the given types replaced."""
        return edited(self.data, self.sections, self.edits(types))

    def edits(self, types: Mapping[int, bytes]) -> list[Edit]:
        """What replaces the definitions of the given types in the file."""
        return [
            Edit(self.types[index].start, self.types[index].end, encoded)
            for index, encoded in types.items()
        ]


def read_prelude(data: bytes) -> Prelude:
    """The prelude of the component `data`.

    Raises:
        MalformedBinary: not a component, damaged, or with types that are not known here.
        UnbridgeableError: something other than imports and their types stands before the last one.
    """
    if not is_component(data):
        raise MalformedBinary(0, "not a component")
    found = [section for section in sections(data) if section.id != ComponentSection.CUSTOM]
    last = max(
        (at for at, section in enumerate(found) if section.id == ComponentSection.IMPORT),
        default=-1,
    )
    readers: dict[int, Callable[[Prelude, Cursor], None]] = {
        ComponentSection.TYPE: _read_type,
        ComponentSection.IMPORT: _read_import,
        ComponentSection.ALIAS: _read_alias,
    }
    prelude = Prelude(data)
    for section in found[: last + 1]:
        if section.id not in readers or section.end > MAX_SIZE:
            raise UnbridgeableError
        cursor = Cursor(data, section.start, section.end)
        for _ in range(cursor.count()):
            readers[section.id](prelude, cursor)
        cursor.finish()
        prelude.sections.append(section)
    return prelude


def _read_type(prelude: Prelude, cursor: Cursor) -> None:
    start = cursor.at
    definition = read_type(cursor)
    prelude.add(Sort.TYPE)
    prelude.types.append(TypeSource(definition=definition, start=start, end=cursor.at))


def _read_import(prelude: Prelude, cursor: Cursor) -> None:
    definition = read_import(cursor)
    sort = definition.type.sort
    if sort is Sort.TYPE:
        prelude.types.append(TypeSource(equal_to=definition.type.index))
    elif sort is Sort.INSTANCE:
        index = definition.type.index or 0
        if index >= len(prelude.types):
            raise cursor.malformed(f"an import of type {index}, which is not defined before it")
        prelude.instance_types.append(index)
    elif sort is not Sort.FUNC:
        raise UnbridgeableError
    item = SortIndex(sort, prelude.add(sort))
    prelude.imports.append(PreludeImport(definition, item))


def _read_alias(prelude: Prelude, cursor: Cursor) -> None:
    alias = read_alias(cursor)
    if not isinstance(alias, ExportAlias):
        raise UnbridgeableError
    prelude.add(alias.sort)
    if alias.sort is Sort.TYPE:
        prelude.types.append(TypeSource(export=alias))
    elif alias.sort is not Sort.FUNC:
        raise UnbridgeableError
