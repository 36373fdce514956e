"""`list<u8>` as a string on its way to the host, for components that need not know of it.

The C API of wasmtime carries a list as one 32-byte value per element: 30 to 100 ns for each byte of
a body, and a trap where a guest passes more than 2.7 million of them in one call. A string crosses
as one block. And in core WebAssembly the two look alike, an address and a length: bytes are a
string in Latin-1, and the encoding `latin1+utf16` stores as Latin-1 whatever string consists of
characters up to U+00FF.

Telling a guest's own functions that their bytes are such a string would be enough, were it not for
what the encoding asks beyond that: an even address, where lists may start anywhere, and a `realloc`
that can shorten a block, which the `realloc` of many guests cannot. So the guest is left as it is,
byte for byte, and nested into a component that stands between it and the host:

    (component
      (import "wasi:io/streams@0.2.0" ...)     ;; list<u8> is string in here
      (component $guest ...)                   ;; as it was
      (component $bridge ...)                  ;; see `bridge.py`
      (instance $streams (instantiate $bridge ...))
      (instance $inner
        (instantiate $guest (with "wasi:io/streams@0.2.0" (instance $streams)) ...))
      (export "wasi:http/incoming-handler@0.2.0" (instance $inner "wasi:http/..."))

The bridge copies into a memory of its own, which the engine does in one piece on either side; the
guest sees exactly the calls of its `realloc` that it would see without. What it costs is that
memory and three core instances for each interface: some 5 us for each instance of the component.
What the bridge cannot do is left as it was: `list<u8>` within records and variants, and functions
with more parameters than fit in registers.
"""

from gateway.wasm.byte_strings.rewrite import Rewritten, rewrite

__all__ = ["Rewritten", "rewrite"]
