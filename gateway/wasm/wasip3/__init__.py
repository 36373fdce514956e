"""Components of WASI 0.3, for a host that has neither streams nor futures.

The C API of wasmtime runs components that have them, and carries none of their values; nor can a host function be
an `async func`. Between two components all of it works. So a guest is left as it is, byte for byte, and nested
into a component that has no such function among its imports and exports:

    (component
      (import ...)                      ;; what the guest imports, as far as the host can have it
      (import "gateway:wasi/host" ...)  ;; plain functions that never wait, and those of gateway:wasi/bytes
      (component $sources ...)          ;; streams from the host to the guest
      (component $adapter ...)          ;; those the other way, the functions that are missing, and the pump
      (component $pump ...)
      (component $driver ...)
      (component $guest ...)            ;; as it was
      (instance $s (instantiate $sources ...))
      (instance $a (instantiate $adapter (with "sources" (instance $s)) ...))
      (instance $g (instantiate $guest (with "wasi:http/types@0.3.0" (instance $a)) ...))
      (instance $p (instantiate $pump (with "adapter" (instance $a)) ...))
      (instance $d (instantiate $driver (with "handle" ...) (with "pump" ...)))
      (export "wasi:http/handler@0.3.0" (instance (export "handle" (func $d "run")))))

The driver calls the guest's `handle` and, beside it, the `pump`, a task that has the others move bytes between
streams of the guest and the host. They are components of their own for two reasons: one that is entered again
while it calls out traps, and so does one that reads from a future what it has written to it. For each other
interface whose functions are asynchronous or have streams there is one more between the sources and the pump
(`family.py`), where the guest imports it.

**Nothing of it ever waits in the host.** A host function that suspends stops every task of its store. So the pump
ends each turn with `YIELD`: the engine then gives control back once for every task that has yielded. The pump's
own is one, and no other task of the adapter ever yields: those that wait for a clock listen to a future that the
pump writes. So where two turns on end had nothing to do, and control came back once between them, no task of the
guest can go on before something happens outside, and the host leaves all of it alone until then
(`gateway.host.idle`). One turn would not be enough: a task that has yielded may stand behind the pump.

Other functions that the guest exports are called in a way of their own (`gateway.wasm.wasip3.calls`).

The types of the guest's imports are kept index for index, as in `gateway.wasm.byte_blocks`; those of which the
adapter has something are replaced by the host's plain ones.

`wasi:io/poll` of WASI 0.2 is passed on by a component in between, for a reason that `polling.wat` gives.
"""

from gateway.wasm.wasip3.adapter import ADAPTERS, BYTES, HOST, Parts
from gateway.wasm.wasip3.calls import CALLS, Call, calls_text
from gateway.wasm.wasip3.compose import Callers, NotComposable, compose, supplied

__all__ = [
    "ADAPTERS",
    "BYTES",
    "CALLS",
    "HOST",
    "Call",
    "Callers",
    "NotComposable",
    "Parts",
    "calls_text",
    "compose",
    "supplied",
]
