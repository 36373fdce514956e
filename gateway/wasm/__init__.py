"""WebAssembly binaries, without an engine: what is in one, what it needs, who signed it, how it is rewritten."""
