"""Writes a typed Python client for what a component exports."""

from gateway.rpc.client.module import generate

__all__ = ["generate"]
