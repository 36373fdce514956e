"""WebAssembly binaries, read without an engine.

What a file is (`classify`), its sections, the names that a component imports and exports, and the
definitions that the outer structure of a component is made of. Bytes in, data out: nothing here
does I/O or knows of an engine. Validation stays the engine's work: these readers guarantee that
they stay within the bytes and within their limits, not that what they read is a valid component.
"""

from gateway.wasm.binary import encode
from gateway.wasm.binary.cursor import Cursor, MalformedBinary
from gateway.wasm.binary.extern import ExternName, Sort
from gateway.wasm.binary.externs import Externs, component_externs, wasi_0_3_externs
from gateway.wasm.binary.kind import Kind, classify
from gateway.wasm.binary.sections import MAX_NESTING, Section, sections, walk

__all__ = [
    "MAX_NESTING",
    "Cursor",
    "ExternName",
    "Externs",
    "Kind",
    "MalformedBinary",
    "Section",
    "Sort",
    "classify",
    "component_externs",
    "encode",
    "sections",
    "walk",
    "wasi_0_3_externs",
]
