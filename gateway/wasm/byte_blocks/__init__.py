"""`list<u8>` in blocks on its way to the host and back, for components that need not know of it.

The C API of wasmtime carries a list as one 32-byte value per element: 30 to 100 ns for each byte of
a body, and a trap where a guest passes more than 2.7 million of them in one call. So the guest is
nested into a component that stands between it and the host:

    (component
      (import "wasi:io/streams@0.2.0" ...)     ;; list<u8> is tuple<u32, u32> in here
      (component $bridge ...)                  ;; see `bridge.py`
      (instance $streams (instantiate $bridge ...))
      (component $guest ...)                   ;; see `retyping.py`
      (instance $inner
        (instantiate $guest (with "wasi:io/streams@0.2.0" (instance $streams)) ...))
      (export "wasi:http/incoming-handler@0.2.0" (instance $inner "wasi:http/..."))

The bridge has a memory of its own, into which the engine copies what the guest passes, and out of
which it copies what the guest gets; the guest sees exactly the calls of its `realloc` that it would
see without. The host is told where in that memory the bytes lie (the pair of an address and a length,
which in core WebAssembly is what a list is anyway) and reads and writes them there:
`gateway.host.bridge_memory`.

The engine copies lists element by element, 0.9 GB/s of bytes. So where it can be told what the guest does
with its imports, it has the pairs itself: `retyping.py`. The host reads what it passes in the guest's own
memory, and what it gets is put there by a core module within it: `delivery.py`. No bridge is needed for
such functions.

Measured, of the ways that bytes can take between the bridge and Python (wasmtime 50, CPython 3.11,
one core; MB/s to the host / from it):

    |                                   | 4 KiB       | 64 KiB        | 1 MiB         |
    |-----------------------------------|-------------|---------------|---------------|
    | `list<u8>`                        | 26 / 28     | 25 / 28       | 10 / 13       |
    | string in Latin-1, random bytes   | 202 / 107   | 67 / 54       | 64 / 48       |
    | string in Latin-1, ASCII          | 1119 / 450  | 3252 / 644    | 2658 / 1084   |
    | `list<u64>`, strided views        | 173 / 133   | 158 / 156     | 142 / 202     |
    | base64 in the bridge, `binascii`  | 201 / 449   | 218 / 551     | 211 / 529     |
    | 7 bits and 1 bit, `int`           | 265 / 464   | 312 / 555     | 280 / 481     |
    | the bridge's memory               | 2406 / 1854 | 18705 / 17321 | 17254 / 20909 |

Functions that the guest exports are bridged the other way round, once for all of them: `exports.py`.

A bridge costs its memory and three core instances: some 5 us for each instance of the component. So does
that module, once, and nothing where the guest gets no bytes. What cannot be bridged crosses as the
engine has it: interfaces whose functions pass bytes beside borrowed handles within lists or records,
and what shares types with them.
"""

from gateway.wasm.byte_blocks.exports import PREFIX
from gateway.wasm.byte_blocks.rewrite import Blocks, ExportBlocks, Rewritten, rewrite
from gateway.wasm.byte_blocks.shapes import Pair

__all__ = ["PREFIX", "Blocks", "ExportBlocks", "Pair", "Rewritten", "rewrite"]
