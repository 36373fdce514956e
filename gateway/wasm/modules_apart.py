"""A component whose large core modules are imported, so that each can be compiled, and kept, by itself.

    (component                                      (component
                                                      (import "gateway-module-0" (core module $0 ...))
      (core module $Code ...)                         (alias outer 0 $0 (core module $Code))
      (core module $Data ...)                         (core module $Data ...)
      ...                                             ...

An edit of a handler in Python changes what the interpreter has in memory, which is data, and none of the modules
that are its code. Compiled as one, all of it is compiled again; so, only what is left in the component is.

What it costs: the engine looks the imports of modules up at each instantiation. A module that has the data too, as
that of a component in JavaScript, stays where it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.wasm.binary import encode
from gateway.wasm.binary.core_module import CoreModule
from gateway.wasm.binary.cursor import Cursor, MalformedBinary
from gateway.wasm.binary.definitions import (
    BagOfExports,
    Instantiation,
    OuterAlias,
    encode_core_instance,
    items,
    read_alias,
    read_core_instance,
    read_export,
    read_instance,
)
from gateway.wasm.binary.extern import Sort
from gateway.wasm.binary.module_type import encode_module_type
from gateway.wasm.binary.sections import (
    COMPONENT_PREAMBLE,
    MAX_NESTING,
    PREAMBLE_SIZE,
    ComponentSection,
    CoreSection,
    Section,
    is_component,
    sections,
)

__all__ = ["MIN_CODE", "ModulesApart", "modules_apart"]

MIN_CODE: Final = 64 << 10
"""Bytes of code of the smallest module that is taken out. Arbitrary: the process that compiles it takes as long as
to compile this much."""

MAX_DATA: Final = 1 << 20
"""Bytes of data of the largest module that is taken out. One with more has what an interpreter had in memory when
the component was built, which is other after each edit; of JavaScript, it has the interpreter's code as well.
Arbitrary: the modules of Python's code have some hundred bytes."""

MAX_MODULES: Final = 64
"""Modules that are taken out. Threat: a component of many, each of which takes a process to compile. Arbitrary; a
component made of Python has four, and one for each package with code of its own."""

_PREFIX: Final = "gateway-module-"

_MODULE: Final = Sort.CORE_MODULE.value
_OUTER: Final = b"\x02"


@dataclass(frozen=True, slots=True)
class ModulesApart:
    """A component and the modules that were taken out of it.

    Attributes:
        component: the binary of what is left, which imports them.
        modules: their binaries, by the names of these imports.
    """

    component: bytes
    modules: Mapping[str, bytes]


def modules_apart(component: bytes, min_code: int = MIN_CODE) -> ModulesApart | None:
    """A component with the modules of much code taken out of it.

    Args:
        component: a binary; that it is valid is for the engine to say, before or after.
        min_code: bytes of code of the smallest module that is taken out.

    Returns:
        None where there is none, or where it is damaged or refers to modules in an unusual way. It is to be
        used as it is, then; and also where the engine refuses what this returns.
    """
    try:
        return _Parting(component, min_code).run()
    except (MalformedBinary, _NotPartedError):
        return None


class _NotPartedError(Exception):
    """The component is readable, but says something of modules or core types that is not followed here."""


class _Parting:
    def __init__(self, data: bytes, min_code: int) -> None:
        self._data = data
        self._min_code = min_code
        self._taken: list[CoreModule] = []
        self._parts: dict[str, bytes] = {}

    def run(self) -> ModulesApart | None:
        self._look(0, len(self._data), 0)
        if not self._parts:
            return None
        if len(self._parts) > MAX_MODULES:
            raise _NotPartedError
        self._numbers = iter(range(len(self._parts)))
        types = encode.vector(encode_module_type(each) for each in self._taken)
        # `importname'`, and the type by its index: there are no other core types.
        imports = encode.vector(
            b"\x00" + encode.name(name) + _MODULE + encode.u32(at)
            for at, name in enumerate(self._parts)
        )
        head = encode.section(ComponentSection.CORE_TYPE, types)
        head += encode.section(ComponentSection.IMPORT, imports)
        rest = self._component(0, len(self._data), 0)
        return ModulesApart(COMPONENT_PREAMBLE + head + rest, self._parts)

    def _look(self, start: int, end: int, depth: int) -> None:
        """Take modules out, and see that nothing else refers to what gets another index thereby."""
        if depth > MAX_NESTING or not is_component(self._data, start):
            raise _NotPartedError
        for section in sections(self._data, start + PREAMBLE_SIZE, end):
            cursor = Cursor(self._data, section.start, section.end)
            match section.id:
                case ComponentSection.CORE_MODULE:
                    self._take(section)
                case ComponentSection.COMPONENT:
                    self._look(section.start, section.end, depth + 1)
                case ComponentSection.ALIAS:
                    for alias in items(cursor, read_alias):
                        outer = isinstance(alias, OuterAlias)
                        if alias.sort in _RENUMBERED and (depth == 0 or outer):
                            raise _NotPartedError
                case ComponentSection.CORE_TYPE if depth == 0:
                    raise _NotPartedError
                case ComponentSection.INSTANCE if depth == 0:
                    for instance in items(cursor, read_instance):
                        members = (
                            instance.arguments
                            if isinstance(instance, Instantiation)
                            else instance.exports
                        )
                        if any(each.sort in _RENUMBERED for each in members.values()):
                            raise _NotPartedError
                case ComponentSection.EXPORT if depth == 0:
                    if any(each.item.sort in _RENUMBERED for each in items(cursor, read_export)):
                        raise _NotPartedError

    def _take(self, section: Section) -> None:
        module = CoreModule(self._data, section.start, section.end)
        if self._is_taken(module):
            name = f"{_PREFIX}{len(self._parts)}"
            self._parts[name] = self._data[section.start : section.end]
            self._taken.append(module)

    def _is_taken(self, module: CoreModule) -> bool:
        def size(section_id: CoreSection) -> int:
            section = module.sections.get(section_id)
            return 0 if section is None else section.end - section.start

        return size(CoreSection.CODE) >= self._min_code and size(CoreSection.DATA) <= MAX_DATA

    def _component(self, start: int, end: int, depth: int) -> bytes:
        """The sections of a component without its modules."""
        out = bytearray()
        for section in sections(self._data, start + PREAMBLE_SIZE, end):
            section_id = section.id
            payload = self._data[section.start : section.end]
            match section_id:
                case ComponentSection.CUSTOM:
                    payload = encode.name(section.name) + payload
                case ComponentSection.COMPONENT:
                    payload = COMPONENT_PREAMBLE + self._component(
                        section.start, section.end, depth + 1
                    )
                case ComponentSection.CORE_MODULE:
                    if self._is_taken(CoreModule(self._data, section.start, section.end)):
                        section_id = ComponentSection.ALIAS
                        index = encode.u32(next(self._numbers))
                        payload = encode.vector([_MODULE + _OUTER + encode.u32(depth) + index])
                case ComponentSection.CORE_INSTANCE if depth == 0:
                    cursor = Cursor(self._data, section.start, section.end)
                    payload = encode.vector(map(self._moved, items(cursor, read_core_instance)))
            out += encode.section(section_id, payload)
        return bytes(out)

    def _moved(self, instance: Instantiation | BagOfExports) -> bytes:
        """A core instance whose module comes after those that are imported."""
        if isinstance(instance, Instantiation):
            instance = Instantiation(instance.source + len(self._parts), instance.arguments)
        return encode_core_instance(instance)


_RENUMBERED: Final = frozenset({Sort.CORE_MODULE, Sort.CORE_TYPE})
"""Whose index spaces begin with those of the imports, in the component itself."""
