"""The values of wasi:http, without I/O."""
