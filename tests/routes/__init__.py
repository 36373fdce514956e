"""HTTP end to end: real sockets on one side, real guests on the other, a whole gateway in between."""
