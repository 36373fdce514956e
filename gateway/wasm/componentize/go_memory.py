"""Room for the adapter in the memory of a Go program.

The adapter needs two pages of the main module's memory. Go leaves none to others: its runtime hands out
all memory from the end of its data on, whatever is there when it is initialised, and takes for granted
that what it grows its memory by follows what it had. Nor can it be asked for memory: until it is
initialised, which is when it first calls the adapter, Go refuses to be called.

So the end of its data is moved. It is a field of the runtime's `firstmoduledata`, which the linker fills
in and only the allocator reads; it is found by what stands before it, the bounds of the sections of data
in their order. A data segment after all others writes a greater value there, and the memory starts with
as many pages more.

Source: Go, `runtime/mem_sbrk.go` (`initBloc`), `runtime/symtab.go` (`moduledata`),
`cmd/link/internal/wasm/asm.go` (`writeMemorySec`, `writeDataSec`); the same from Go 1.24, the first that
can build such a module, to 1.27.
"""

import struct
from itertools import pairwise
from typing import Final

from gateway.wasm.binary import encode
from gateway.wasm.binary.core_module import CoreModule
from gateway.wasm.binary.core_types import PAGE_SIZE
from gateway.wasm.binary.core_writer import END, const
from gateway.wasm.binary.cursor import Cursor, MalformedBinary
from gateway.wasm.binary.sections import CoreSection
from gateway.wasm.componentize.core_rewrite import with_sections
from gateway.wasm.componentize.errors import NotComponentizable

__all__ = ["is_go", "reserve"]

# `noptrdata`, `enoptrdata`, `data`, `edata`, `bss`, `ebss`, `noptrbss`, `enoptrbss`, `covctrs`,
# `ecovctrs` and `end`, each no less than the one before; then `gcdata`, which is in the constants before
# all that. Pointers have 64 bits in Go's WebAssembly.
_BOUNDS: Final = struct.Struct("<12Q")
_WORD: Final = 8
_COMPILER: Final = b"Go cmd/compile"
# What the linker adds to the data of a program for the size of its memory, less what does not fill a
# page; "for runtime init allocating a few pages". Unit: bytes.
_ROOM: Final = 1 << 20
# How far the data of a program may reach, and in how many segments. Threat: a segment at the end of the
# address space, for the sake of which an image of all of it would be made; millions of empty ones. Unit:
# bytes, and segments. A small program has some 1.5 MiB in 35,000 segments.
_MAX_IMAGE: Final = 128 << 20
_MAX_SEGMENTS: Final = 500_000
# How many words may look like the end of the data at first. Threat: an image full of them. Unit: words.
# Arbitrary: a program has some ten.
_MAX_CANDIDATES: Final = 10_000


def is_go(module: CoreModule) -> bool:
    """Whether Go's linker made it: it leaves a build ID there, or its own name. TinyGo leaves neither."""
    binary = module.binary
    return any(
        section.name == "go:buildid"
        or (section.name == "producers" and _COMPILER in binary[section.start : section.end])
        for section in module.custom
    )


def reserve(module: CoreModule, pages: int) -> tuple[CoreModule, int]:
    """Takes pages out of what Go's runtime takes for its own.

    Args:
        module: a Go program.
        pages: how many.

    Returns:
        The program, changed, and the address of the first page.

    Raises:
        MalformedBinary: it is damaged.
        NotComponentizable: its runtime is of a version in which this is not so.
    """
    size = _read_size(module)
    image, segments, end_of_segments = _read_image(module)
    field, end = _find_end(image, size * PAGE_SIZE)
    address = -(-end // PAGE_SIZE) * PAGE_SIZE
    moved = struct.pack("<Q", address + pages * PAGE_SIZE)
    segment = b"\x00" + const(field) + END + encode.u32(len(moved)) + moved
    old_segments = module.binary[end_of_segments[0] : end_of_segments[1]]
    payloads: dict[int, bytes] = {
        CoreSection.MEMORY: encode.vector([b"\x00" + encode.u32(size + pages)]),
        CoreSection.DATA: encode.u32(segments + 1) + old_segments + segment,
        CoreSection.DATA_COUNT: encode.u32(segments + 1),
    }
    return with_sections(module, payloads), address


def _read_size(module: CoreModule) -> int:
    """The pages that its memory starts with."""
    cursor = module.cursor(CoreSection.MEMORY)
    without_maximum = 0x00
    if cursor.count() != 1 or cursor.byte() != without_maximum:
        raise _unknown()
    return cursor.u32()


def _read_image(module: CoreModule) -> tuple[bytes, int, tuple[int, int]]:
    """What the memory starts with, the number of segments, and from where to where they are."""
    cursor = module.cursor(CoreSection.DATA)
    count = cursor.count()
    if count > _MAX_SEGMENTS:
        raise _unknown()
    start = cursor.at
    image = bytearray()
    for _ in range(count):
        # Active, of the only memory; `i32.const`.
        if (cursor.byte(), cursor.byte()) != (0x00, 0x41):
            raise _unknown()
        address = _read_address(cursor)
        if cursor.byte() != END[0]:
            raise _unknown()
        length = cursor.count()
        content = cursor.skip(length)
        if address + length > _MAX_IMAGE:
            raise _unknown()
        # The linker leaves out zeros.
        image += bytes(max(0, address + length - len(image)))
        image[address : address + length] = module.binary[content : content + length]
    return bytes(image), count, (start, cursor.at)


def _read_address(cursor: Cursor) -> int:
    value = shift = 0
    while (byte := cursor.byte()) & 0x80:
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > 28:
            raise MalformedBinary(cursor.at, "an integer of more than 32 bits")
    return value | (byte & 0x7F) << shift


def _find_end(image: bytes, size: int) -> tuple[int, int]:
    """Where the field `end` is, and what it says."""
    # The size of the memory tells in which page the data ends, and so all of the word but two bytes.
    page = ((size - _ROOM) // PAGE_SIZE).to_bytes(6, "little", signed=True)
    place_of_end = _BOUNDS.size - 2 * _WORD
    found = []
    at = 0
    for _ in range(_MAX_CANDIDATES):
        at = image.find(page, at + 1)
        start = at - 2 - place_of_end
        if at < 0 or start + _BOUNDS.size > len(image):
            break
        if start < 0 or start % _WORD:
            continue
        *bounds, gcdata = _BOUNDS.unpack_from(image, start)
        if all(low <= high for low, high in pairwise(bounds)) and 0 < gcdata < bounds[0]:
            found.append((start + place_of_end, bounds[-1]))
    if len(found) != 1:
        raise _unknown()
    return found[0]


def _unknown() -> NotComponentizable:
    return NotComponentizable(
        "it is a Go program, whose runtime takes all memory for itself, and its layout is not that of "
        "the versions that are known (1.24 to 1.27). Build it with one of those, or with TinyGo."
    )
