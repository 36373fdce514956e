"""Who dates responses (RFC 9110 section 6.6.1)."""

from __future__ import annotations

from typing import Final

__all__ = ["EXTENSION", "FIELD"]

FIELD: Final = b"date"

EXTENSION: Final = "component_gateway.date"
"""The key under `extensions` of an ASGI scope of a server that leaves out its own date where a response has one.

The gateway's own server sets this. Others date every response, and a second date would stand beside theirs."""
