"""Core modules made components, in nothing but Python.

What `wasm-tools component new module.wasm --adapt wasi_snapshot_preview1.reactor.wasm` does, so that a
module straight from a compiler can be served where that tool is not installed; and a Go program too, of
which that tool makes a component that fails as it starts. The parts, in the order in which they work:

- `core_rewrite` changes in the module what a component may not have;
- `world_format` reads its worlds, and `merge` makes one `world` of them;
- `imports` finds what each import stands for, by the conventions in `names`;
- `adapter` provides WASI preview 1, `adapter_reduction` as much of it as is used, with memory from where
  `adapter_memory` says; `go_memory` finds some in a Go program;
- `live` leaves out of the world what nobody uses;
- `assembly` writes the component, with `component_scope`, `exported_interface` and `shim` for its pieces,
  and `world_functions` for what functions are in core modules.

Bytes in, bytes out: no engine, and no I/O but to read the adapter's file. What comes of a module that is
not valid itself is for an engine to refuse.
"""

from gateway.wasm.componentize.componentize import componentize
from gateway.wasm.componentize.errors import NotComponentizable

__all__ = ["NotComponentizable", "componentize"]
