"""Changing core modules, section by section; all that is not named stays as it is."""

from collections.abc import Collection, Mapping

from gateway.wasm.binary import encode
from gateway.wasm.binary.core_module import CoreImport, CoreModule
from gateway.wasm.binary.sections import (
    MODULE_PREAMBLE,
    PREAMBLE_SIZE,
    CoreSection,
    Section,
    sections,
)

__all__ = ["distinct_imports", "with_sections", "without"]


def without(module: CoreModule, dropped: Collection[Section]) -> CoreModule:
    """A module without some of its custom sections."""
    starts = {section.start for section in dropped}
    out = bytearray(MODULE_PREAMBLE)
    at = PREAMBLE_SIZE
    for section in sections(module.binary):
        if section.start not in starts:
            out += module.binary[at : section.end]
        at = section.end
    return CoreModule(bytes(out))


def distinct_imports(module: CoreModule) -> tuple[CoreModule, Mapping[tuple[str, str], CoreImport]]:
    """A module that imports nothing twice, as Go's linker does and a component may not.

    Returns:
        The module, in which the second import of the same names has other names, and so on; and for the
        names of each of its imports, the import that it was.
    """
    named: dict[tuple[str, str], CoreImport] = {}
    # How often there has been an import of the same names.
    numbers: dict[tuple[str, str], int] = {}
    for each in module.imports:
        name = each.name
        while (each.module, name) in named:
            number = numbers.get((each.module, each.name), 1) + 1
            numbers[each.module, each.name] = number
            name = f"{each.name} [{number}]"
        named[each.module, name] = each
    if all(each.name == name for (_, name), each in named.items()):
        return module, named
    payload = encode.vector(
        encode.name(first) + encode.name(second) + each.described
        for (first, second), each in named.items()
    )
    return with_sections(module, {CoreSection.IMPORT: payload}), named


def with_sections(module: CoreModule, payloads: Mapping[int, bytes]) -> CoreModule:
    """A module with other payloads in some of its sections, by section id."""
    out = bytearray(MODULE_PREAMBLE)
    at = PREAMBLE_SIZE
    for section in sections(module.binary):
        if section.id in payloads:
            out += encode.section(section.id, payloads[section.id])
        else:
            out += module.binary[at : section.end]
        at = section.end
    return CoreModule(bytes(out))
