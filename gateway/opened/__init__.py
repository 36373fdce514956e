"""A component alone, without a server: `gateway.open`."""
