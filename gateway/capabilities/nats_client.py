"""How a connection to NATS ends."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from nats.aio.client import Client

__all__ = ["CLOSING", "close"]

CLOSING: Final = 2.0
"""Seconds for a goodbye. Arbitrary; the client has as many to connect."""


async def close(client: Client) -> None:
    """End a connection, whatever the server does."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSING):
            await client.close()
    writer = getattr(client._transport, "_io_writer", None)
    if writer is not None:
        writer.transport.abort()  # what the server does not read would be kept until it does
