"""The small core modules that let a guest be instantiated before what it calls exists.

A function of the host that passes lists needs the guest's memory to be lowered, and the guest needs
the function to be instantiated. So the guest is given the functions of a *shim*, which call through a
table; once its memory is there the functions are lowered, and the *fixup* puts them into the table as
it is instantiated. The same way a guest gets the functions of the adapter, which needs its memory too.
"""

from collections.abc import Sequence
from typing import Final

from gateway.wasm.binary import core_writer as write
from gateway.wasm.binary import encode
from gateway.wasm.binary.core_types import FUNCREF, CoreFunction
from gateway.wasm.binary.sections import CoreSection

__all__ = ["FUNCTIONS", "TABLE", "fixup_module", "initialize_module", "shim_module"]

TABLE: Final = "$imports"
"""What the shim exports its table as, and the fixup imports it as."""

FUNCTIONS: Final = ""
"""The module name of all that the fixup, and the initializer, import."""


def shim_module(functions: Sequence[CoreFunction]) -> bytes:
    """Exports "0", "1", ..., each of which calls the function at that place of the table `TABLE`."""
    types = {core: index for index, core in enumerate(dict.fromkeys(functions))}
    exports = [write.export(str(at), write.FUNCTION, at) for at in range(len(functions))]
    exports.append(write.export(TABLE, write.TABLE, 0))
    return write.module(
        [
            (CoreSection.TYPE, encode.vector(map(write.function_type, types))),
            (CoreSection.FUNCTION, encode.vector(encode.u32(types[core]) for core in functions)),
            (CoreSection.TABLE, encode.vector([_table_type(functions)])),
            (CoreSection.EXPORT, encode.vector(exports)),
            (
                CoreSection.CODE,
                encode.vector(_call(at, core, types[core]) for at, core in enumerate(functions)),
            ),
        ]
    )


def fixup_module(functions: Sequence[CoreFunction]) -> bytes:
    """Imports "0", "1", ... and the table, and puts each function at its place."""
    types = {core: index for index, core in enumerate(dict.fromkeys(functions))}
    imports = [
        write.extern_import(FUNCTIONS, str(at), write.FUNCTION, encode.u32(types[core]))
        for at, core in enumerate(functions)
    ]
    imports.append(write.extern_import(FUNCTIONS, TABLE, write.TABLE, _table_type(functions)))
    # An active segment of the only table, from its beginning.
    elements = b"\x00" + write.const(0) + write.END
    elements += encode.vector(encode.u32(at) for at in range(len(functions)))
    return write.module(
        [
            (CoreSection.TYPE, encode.vector(map(write.function_type, types))),
            (CoreSection.IMPORT, encode.vector(imports)),
            (CoreSection.ELEMENT, encode.vector([elements])),
        ]
    )


def initialize_module() -> bytes:
    """Calls the function "0" that it imports, as it is instantiated."""
    imports = [write.extern_import(FUNCTIONS, "0", write.FUNCTION, encode.u32(0))]
    return write.module(
        [
            (CoreSection.TYPE, encode.vector([write.function_type(CoreFunction((), ()))])),
            (CoreSection.IMPORT, encode.vector(imports)),
            (CoreSection.START, encode.u32(0)),
        ]
    )


def _table_type(functions: Sequence[CoreFunction]) -> bytes:
    size = encode.u32(len(functions))
    return bytes([FUNCREF]) + b"\x01" + size + size


def _call(at: int, core: CoreFunction, type_index: int) -> bytes:
    arguments = (write.op(write.LOCAL_GET, place) for place in range(len(core.parameters)))
    call = write.const(at) + write.op(write.CALL_INDIRECT, type_index, 0)
    return write.body(b"".join(arguments) + call)
