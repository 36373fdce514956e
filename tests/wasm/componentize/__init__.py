"""Core modules made components: `gateway.wasm.componentize`."""
