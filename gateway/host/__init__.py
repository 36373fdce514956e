"""Everything that touches the engine: compiling, linking, values, calls and their limits."""
