"""How much there is to read in a binary, told before any of it is read."""

from collections.abc import Iterator
from typing import Final

from gateway.wasm.binary.cursor import MalformedBinary
from gateway.wasm.binary.sections import (
    MAX_NESTING,
    PREAMBLE_SIZE,
    ComponentSection,
    CoreSection,
    Section,
    sections,
)

__all__ = ["MAX_DEFINITIONS_SIZE", "MAX_SECTIONS", "check_measure"]

MAX_SECTIONS: Final = 20_000
"""Sections of a file, nested ones included. Threat: millions of empty ones, each of which takes a microsecond and
more of every reader here. A component made of Python has 1,200."""

MAX_DEFINITIONS_SIZE: Final = 4 << 20
"""Bytes of definitions: types, imports, exports, aliases, instances; of modules, types, imports, memories and
tables. Threat: hundreds of megabytes of them, each byte of which is work here. Those of a component made of Python
have 0.2 MiB. Code, data and names are not read, and do not count."""

_READ_OF_MODULES: Final = frozenset(
    {CoreSection.TYPE, CoreSection.IMPORT, CoreSection.TABLE, CoreSection.MEMORY}
)


def check_measure(data: bytes) -> None:
    """Refuse a component that has too much to read.

    Raises:
        MalformedBinary: there is too much, or a section's length lies.
    """
    _Tally(data).add(PREAMBLE_SIZE, len(data), depth=0)


class _Tally:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._sections = 0
        self._definitions = 0

    def add(self, start: int, end: int, depth: int) -> None:
        """Add up a component."""
        if depth > MAX_NESTING:
            raise MalformedBinary(start, f"nested more than {MAX_NESTING} levels deep")
        for section in self._counted(start, end):
            inside = section.start + PREAMBLE_SIZE
            match section.id:
                case ComponentSection.CUSTOM:
                    pass
                case ComponentSection.COMPONENT:
                    self.add(inside, section.end, depth + 1)
                case ComponentSection.CORE_MODULE:
                    for part in self._counted(inside, section.end):
                        if part.id in _READ_OF_MODULES:
                            self._define(part)
                case _:
                    self._define(section)

    def _counted(self, start: int, end: int) -> Iterator[Section]:
        for section in sections(self._data, start, end):
            self._sections += 1
            if self._sections > MAX_SECTIONS:
                raise MalformedBinary(section.start, f"more than {MAX_SECTIONS} sections")
            yield section

    def _define(self, section: Section) -> None:
        self._definitions += section.end - section.start
        if self._definitions > MAX_DEFINITIONS_SIZE:
            raise MalformedBinary(
                section.start, f"more than {MAX_DEFINITIONS_SIZE >> 20} MiB of definitions"
            )
