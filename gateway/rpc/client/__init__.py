"""Writes typed Python: a client for what a component exports, and what is to be provided for an import of it."""

from gateway.rpc.client.module import generate, reserved_names
from gateway.rpc.client.stubs import generate_stubs

__all__ = ["generate", "generate_stubs", "reserved_names"]
