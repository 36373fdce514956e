"""The sections of components and core modules: the same form at every level.

Grammar: Component Model, `Binary.md` "Component Definitions"; WebAssembly Core Specification, 5.5
"Modules". Both are a preamble of eight bytes and then sections: an id, a length, a payload.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from gateway.wasm.binary.cursor import Cursor, MalformedBinary

__all__ = [
    "COMPONENT_PREAMBLE",
    "MAX_NESTING",
    "MODULE_PREAMBLE",
    "PREAMBLE_SIZE",
    "ComponentSection",
    "CoreSection",
    "Section",
    "is_component",
    "sections",
    "walk",
]

COMPONENT_PREAMBLE: Final = b"\0asm\x0d\0\x01\0"
MODULE_PREAMBLE: Final = b"\0asm\x01\0\0\0"
PREAMBLE_SIZE: Final = 8

# How deep components may lie within components. Threat: a file of a few kilobytes that nests a
# hundred thousand levels, against readers that recurse. Unit: levels. Precedent: wasmparser reads
# types to a depth of 100; what tools write is two or three levels deep.
MAX_NESTING: Final = 100


class ComponentSection(IntEnum):
    """The section ids of a component."""

    CUSTOM = 0
    CORE_MODULE = 1
    CORE_INSTANCE = 2
    CORE_TYPE = 3
    COMPONENT = 4
    INSTANCE = 5
    ALIAS = 6
    TYPE = 7
    CANON = 8
    START = 9
    IMPORT = 10
    EXPORT = 11


class CoreSection(IntEnum):
    """The section ids of a core module."""

    CUSTOM = 0
    TYPE = 1
    IMPORT = 2
    FUNCTION = 3
    TABLE = 4
    MEMORY = 5
    GLOBAL = 6
    EXPORT = 7
    START = 8
    ELEMENT = 9
    CODE = 10
    DATA = 11
    DATA_COUNT = 12


@dataclass(frozen=True, slots=True)
class Section:
    """One section.

    Attributes:
        id: the section id; `ComponentSection` or `CoreSection` names it, depending on the parent.
        name: the name of a custom section, else empty.
        start: where the payload starts, in bytes from the start of the file. For a custom section
            this is after its name.
        end: where the payload ends.
    """

    id: int
    name: str
    start: int
    end: int


def is_component(data: bytes, start: int = 0) -> bool:
    """Whether a component, of the version of the format that this package reads, starts here."""
    return data.startswith(COMPONENT_PREAMBLE, start)


def sections(data: bytes, start: int = PREAMBLE_SIZE, end: int | None = None) -> Iterator[Section]:
    """The sections of the component or core module whose preamble ends at `start`.

    For a nested one (ids 1 and 4 of a component) pass `section.start + PREAMBLE_SIZE` and
    `section.end`. Not recursive; one step a section.

    Raises:
        MalformedBinary: a length that lies, or data that ends inside a section.
    """
    cursor = Cursor(data, start, end)
    while not cursor.done:
        section_id = cursor.byte()
        length = cursor.u32()
        payload = cursor.skip(length)
        if section_id != ComponentSection.CUSTOM:
            yield Section(section_id, "", payload, cursor.at)
            continue
        custom = Cursor(data, payload, cursor.at)
        yield Section(section_id, custom.name(), custom.at, cursor.at)


def walk(data: bytes) -> Iterator[tuple[int, Section]]:
    """Every section of a component or core module, nested ones included, in the order of the file.

    Yields:
        The depth of the section's parent (0 for the file itself) and the section. A section that
        holds a component or a module comes before the sections inside it.

    Raises:
        MalformedBinary: as `sections`; no preamble where one must be; or nested deeper than
            `MAX_NESTING`.
    """
    open_binaries = [_inside(data, 0, len(data))]
    while open_binaries:
        component, inner = open_binaries[-1]
        section = next(inner, None)
        if section is None:
            open_binaries.pop()
            continue
        yield len(open_binaries) - 1, section
        if component and section.id in {ComponentSection.CORE_MODULE, ComponentSection.COMPONENT}:
            if len(open_binaries) > MAX_NESTING:
                raise MalformedBinary(section.start, f"nested more than {MAX_NESTING} levels deep")
            open_binaries.append(_inside(data, section.start, section.end))


def _inside(data: bytes, start: int, end: int) -> tuple[bool, Iterator[Section]]:
    component = is_component(data, start)
    if not component and not data.startswith(MODULE_PREAMBLE, start):
        raise MalformedBinary(start, "neither a component nor a core module starts here")
    return component, sections(data, start + PREAMBLE_SIZE, end)
