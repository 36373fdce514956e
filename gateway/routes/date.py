"""Who dates responses (RFC 9110 section 6.6.1)."""

from __future__ import annotations

from typing import Final

__all__ = ["EXTENSION", "FIELD"]

FIELD: Final = b"date"

EXTENSION: Final = "component_gateway.date"
"""The key under `extensions` of an ASGI scope whose value has a function under `own`, to be called before a
response that has a date: the server leaves out its own.

The gateway's own server sets this. Others date every response, and a second date would stand beside theirs."""
