"""WASI 0.3 for guests that are nested into an adapter (`gateway.wasm.wasip3`): what it asks of the host.

The functions that have streams or futures in their types, or are asynchronous, are the adapter's. Here is what it
calls for them, and the plain functions of `wasi:http/types`. Interfaces that are nearly those of WASI 0.2 are
declared beside them: `gateway.bindings.cli`, `clocks` and `random`.
"""

from gateway.bindings.p3 import calls, filesystem, http, sockets, tasks

__all__ = ["INTERFACES"]

INTERFACES = (
    *calls.INTERFACES,
    *filesystem.INTERFACES,
    *http.INTERFACES,
    *sockets.INTERFACES,
    *tasks.INTERFACES,
)
