"""A component without what it does, for all that its types tell.

The types of imports and exports can only be asked of a component that the engine has compiled. One whose functions
do nothing has the same types, and compiles in no time.
"""

from __future__ import annotations

from typing import Final

from gateway.wasm.binary import encode
from gateway.wasm.binary.cursor import Cursor
from gateway.wasm.binary.sections import (
    COMPONENT_PREAMBLE,
    MODULE_PREAMBLE,
    PREAMBLE_SIZE,
    ComponentSection,
    CoreSection,
    sections,
)

__all__ = ["hollow"]

_UNREACHABLE: Final = b"\x03\x00\x00\x0b"
"""The body of a function: its size, no locals, `unreachable`, `end`."""

_LEFT_OUT: Final = frozenset({CoreSection.CUSTOM, CoreSection.DATA, CoreSection.DATA_COUNT})


def hollow(component: bytes) -> bytes:
    """The component with functions that trap, and without data and custom sections.

    Raises:
        gateway.wasm.binary.MalformedBinary: a section's length lies.
    """
    return _component(component, 0, len(component))


def _component(data: bytes, start: int, end: int) -> bytes:
    out = bytearray(COMPONENT_PREAMBLE)
    for section in sections(data, start + PREAMBLE_SIZE, end):
        match section.id:
            case ComponentSection.CUSTOM:
                continue
            case ComponentSection.CORE_MODULE:
                payload = _module(data, section.start, section.end)
            case ComponentSection.COMPONENT:
                payload = _component(data, section.start, section.end)
            case _:
                payload = data[section.start : section.end]
        out += encode.section(section.id, payload)
    return bytes(out)


def _module(data: bytes, start: int, end: int) -> bytes:
    out = bytearray(MODULE_PREAMBLE)
    for section in sections(data, start + PREAMBLE_SIZE, end):
        if section.id in _LEFT_OUT:
            continue
        payload = data[section.start : section.end]
        if section.id == CoreSection.CODE:
            count = Cursor(data, section.start, section.end).count()
            payload = encode.u32(count) + _UNREACHABLE * count
        out += encode.section(section.id, payload)
    return bytes(out)
