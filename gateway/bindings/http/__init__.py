"""`wasi:http`: requests that come, and requests that a component makes of servers that its policy allows."""

from gateway.bindings.http import outgoing_handler, types

__all__ = ["INTERFACES"]

INTERFACES = (*types.INTERFACES, *outgoing_handler.INTERFACES)
