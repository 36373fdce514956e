"""The core module that puts what a guest gets into the guest's memory, in one piece each.

(module
  <the guest's memory and `realloc`, and the functions that it gets bytes from, as they are lowered>
  (memory ...)                 ;; where the host writes: see `core.py`
  <for each function, one that calls it, and then for each block in the result asks for room, copies the block from
   the module's memory to there, and says so in the result>)

The result lies in the guest's memory, where the engine has put it, with addresses in the module's. What is wrong
with what `realloc` returns is found as the engine finds it: `memory.copy` traps beyond the end of a memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.wasm.binary import core_writer as write
from gateway.wasm.binary import encode
from gateway.wasm.binary.core_types import CoreFunction
from gateway.wasm.binary.sections import CoreSection
from gateway.wasm.byte_blocks.core import HEAP_USED, MAX_PAGES
from gateway.wasm.byte_blocks.imported_interface import InterfaceFunction, StagedBytes
from gateway.wasm.byte_blocks.lowerings import Lowering
from gateway.wasm.byte_blocks.prelude import UnbridgeableError
from gateway.wasm.canonical_abi import REALLOC_TYPE, lowered_type

__all__ = ["GUEST", "MEMORY", "REALLOC", "Delivered", "Delivery", "delivery_module"]

# Names of imports: functions and reallocs have numbers after theirs, in the order in which they are given.
GUEST: Final = "guest"
MEMORY: Final = "memory"
REALLOC: Final = "realloc"

# How many blocks are delivered, in all the functions of one guest. Threat: a component that lowers a function with
# a hundred of them a hundred thousand times. Arbitrary; guests made of Python have some ten.
MAX_BLOCKS: Final = 1000

# Indices of the memories.
_OF_GUEST: Final = 0
_OWN: Final = 1

# The alignment of an access, as a power of two, with the bit that says that the index of a memory follows.
_ALIGNED: Final = 2
_OTHER_MEMORY: Final = 0x40


@dataclass(frozen=True, slots=True)
class Delivered:
    """A function whose result is delivered.

    Attributes:
        type: as it is lowered. Its last parameter is the address of the result.
        staged: the bytes in its result.
        realloc: the number of the `realloc` that it is lowered with.
    """

    type: CoreFunction
    staged: Sequence[StagedBytes]
    realloc: int


@dataclass(slots=True)
class Delivery:
    """What is delivered to a guest.

    Attributes:
        functions: by the index of the core functions that they are lowered to.
        reallocs: by the core functions that their `realloc`s are, the numbers of these.
        memory: the core memory that they are lowered with, as one of them names it.
    """

    functions: dict[int, Delivered] = field(default_factory=dict)
    reallocs: dict[int, int] = field(default_factory=dict)
    memory: int = 0
    _blocks: int = 0

    def add(
        self,
        function: InterfaceFunction,
        staged: Sequence[StagedBytes],
        lowerings: Sequence[Lowering],
    ) -> None:
        """Add a function that is lowered so.

        Raises:
            UnbridgeableError: there is more to deliver than one module does.
        """
        self._blocks += len(staged) * len(lowerings)
        if self._blocks > MAX_BLOCKS:
            raise UnbridgeableError
        result = None if function.result is None else function.result.layout.flat
        ty = lowered_type(function.parameters, result)
        for lowering in lowerings:
            if lowering.realloc is None or lowering.memory is None:
                raise UnbridgeableError
            number = self.reallocs.setdefault(lowering.realloc, len(self.reallocs))
            self.functions[lowering.core_function] = Delivered(ty, staged, number)
            self.memory = lowering.memory


def delivery_module(functions: Sequence[Delivered]) -> bytes:
    """Write the module. It exports a function "0", "1", ... for each that is delivered."""
    reallocs = 1 + max(function.realloc for function in functions)
    types = [REALLOC_TYPE, *(function.type for function in functions)]
    imports = [write.extern_import(GUEST, MEMORY, write.MEMORY, b"\x00" + encode.u32(0))]
    imports += (
        write.extern_import(GUEST, f"{REALLOC}{at}", write.FUNCTION, encode.u32(0))
        for at in range(reallocs)
    )
    imports += (
        write.extern_import(GUEST, str(at), write.FUNCTION, encode.u32(1 + at))
        for at in range(len(functions))
    )
    own = reallocs + len(functions)
    return write.module(
        [
            (CoreSection.TYPE, encode.vector(map(write.function_type, types))),
            (CoreSection.IMPORT, encode.vector(imports)),
            (
                CoreSection.FUNCTION,
                encode.vector(encode.u32(1 + at) for at in range(len(functions))),
            ),
            (CoreSection.MEMORY, encode.vector([b"\x01" + encode.u32(1) + encode.u32(MAX_PAGES)])),
            (
                CoreSection.EXPORT,
                encode.vector(
                    write.export(str(at), write.FUNCTION, own + at) for at in range(len(functions))
                ),
            ),
            (
                CoreSection.CODE,
                encode.vector(
                    _deliver(function, reallocs + at) for at, function in enumerate(functions)
                ),
            ),
        ]
    )


def _deliver(function: Delivered, called: int) -> bytes:
    count = len(function.type.parameters)
    result, to, source, size = count - 1, count, count + 1, count + 2
    get = [write.op(write.LOCAL_GET, local) for local in range(count + 3)]
    code = b"".join(get[:count]) + write.op(write.CALL, called)
    for staged in function.staged:
        block = (
            (get[result] + write.op(write.I32_LOAD, _ALIGNED, staged.at))
            + write.op(write.LOCAL_SET, source)
            + (get[result] + write.op(write.I32_LOAD, _ALIGNED, staged.at + 4))
            + write.op(write.LOCAL_SET, size)
            + (write.const(0) + write.const(0) + write.const(1) + get[size])
            + (write.op(write.CALL, function.realloc) + write.op(write.LOCAL_TEE, to))
            + (get[source] + get[size] + write.memory_copy(_OF_GUEST, _OWN))
            + (get[result] + get[to] + write.op(write.I32_STORE, _ALIGNED, staged.at))
        )
        for at, case in reversed(staged.cases):
            condition = get[result] + write.op(write.I32_LOAD8_U, 0, at) + write.const(case)
            block = condition + write.EQUAL + write.IF + block + write.END
        code += block
    # The heap is empty again.
    store = write.op(write.I32_STORE, _ALIGNED | _OTHER_MEMORY, _OWN, HEAP_USED)
    return write.body(code + write.const(0) + write.const(0) + store, i32_locals=3)
