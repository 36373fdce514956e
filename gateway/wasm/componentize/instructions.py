"""The functions that code refers to.

Grammar: WebAssembly Core Specification, 5.4 "Instructions". Of those, what compilers make of a module
with one memory and no table: there are no vectors, no exceptions, no references and no indirect calls.
"""

from collections.abc import Iterator

from gateway.wasm.binary.cursor import Cursor

__all__ = ["function_references"]


def function_references(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The function indices in the code from `start` to `end`.

    Yields:
        For each: where it starts, where it ends, and the index.

    Raises:
        MalformedBinary: an instruction that is not read here.
    """
    cursor = Cursor(data, start, end)
    while not cursor.done:
        opcode = cursor.byte()
        # `call`
        if opcode == 0x10:
            at = cursor.at
            index = cursor.u32()
            yield at, cursor.at, index
        else:
            _skip_immediates(cursor, opcode)


def _skip_immediates(cursor: Cursor, opcode: int) -> None:
    match opcode:
        # Control and parametric instructions without any; comparisons, arithmetic, conversions.
        case 0x00 | 0x01 | 0x05 | 0x0B | 0x0F | 0x1A | 0x1B:
            pass
        case _ if 0x45 <= opcode <= 0xC4:
            pass
        # `block`, `loop`, `if`: a block type; `i32.const`, `i64.const`.
        case 0x02 | 0x03 | 0x04 | 0x41 | 0x42:
            _skip_leb128(cursor)
        # `br`, `br_if`; the instructions of locals and globals; `memory.size`, `memory.grow`.
        case 0x0C | 0x0D | 0x20 | 0x21 | 0x22 | 0x23 | 0x24 | 0x3F | 0x40:
            cursor.u32()
        case 0x0E:
            for _ in range(cursor.count()):
                cursor.u32()
            cursor.u32()
        case 0x1C:
            cursor.skip(cursor.count())
        # Loads and stores: alignment and offset.
        case _ if 0x28 <= opcode <= 0x3E:
            cursor.u32()
            cursor.u32()
        case 0x43:
            cursor.skip(4)
        case 0x44:
            cursor.skip(8)
        case 0xFC:
            _skip_bulk_immediates(cursor)
        case _:
            raise cursor.malformed(f"the instruction {opcode:#04x}, which is not read here")


def _skip_bulk_immediates(cursor: Cursor) -> None:
    match cursor.u32():
        # Conversions that saturate.
        case 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7:
            pass
        # `memory.copy`, `memory.fill`: memory indices.
        case 10:
            cursor.skip(2)
        case 11:
            cursor.skip(1)
        case other:
            raise cursor.malformed(f"the instruction 0xfc {other}, which is not read here")


def _skip_leb128(cursor: Cursor) -> None:
    while cursor.byte() & 0x80:
        pass
