"""Who dates responses (RFC 9110 section 6.6.1)."""

from __future__ import annotations

from typing import Final

__all__ = ["EXTENSION", "FIELD"]

FIELD: Final = b"date"

EXTENSION: Final = "component_gateway.date"
"""The key under `extensions` of an ASGI scope which tells that the server dates the responses that have no date,
and no others. The gateway's own server does so; others date every response, and a second date would stand beside
theirs."""
