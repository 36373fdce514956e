"""wasi:sockets over real sockets: driven guests, and peers on loopback."""
