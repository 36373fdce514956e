"""What guests may observe of a host of WASI 0.2, line by line, in a real guest behind a real socket.

A test names the interface that it is about, and says so where the gateway departs from WIT or from Wasmtime.
"""
