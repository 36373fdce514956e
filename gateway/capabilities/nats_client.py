"""What a connection to NATS takes, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

from nats.aio.client import Client
from nats.errors import ConnectionClosedError, Error, MaxPayloadError

from gateway.capabilities.task import give_up, retrieve

__all__ = ["CLOSING", "FAILURES", "check_size", "close", "when_lost", "while_connected"]

T = TypeVar("T")

CLOSING: Final = 2.0
"""Seconds for a goodbye. Arbitrary; the client has as many to connect."""

_AGAIN: Final = 0.05
"""Seconds after which what the client does is cancelled again. Arbitrary."""

FAILURES: Final = (Error, OSError, RuntimeError)
"""What the client raises where the server is away; the last is that of a transport of uvloop which is closed."""


async def close(client: Client) -> None:
    """End a connection, whatever the server does."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSING):
            await client.close()
    writer = getattr(client._transport, "_io_writer", None)
    if writer is not None:
        writer.transport.abort()  # what the server does not read would be kept until it does


def when_lost(client: Client, then: Callable[[], None]) -> None:
    """Have something called when a connection ends, however it does.

    The client's own callbacks are not called where something was still to be sent, since to send it fails. What
    reads from the connection ends in any case.
    """

    def ended(reading: asyncio.Task[None]) -> None:
        retrieve(reading)
        then()

    if client._reading_task is not None:
        client._reading_task.add_done_callback(ended)


async def while_connected(work: Coroutine[Any, Any, T], lost: asyncio.Future[None]) -> T:
    """The result of something that the client does, which would wait for it even where the connection is lost.

    It ends for who waits when that does, though the client takes a cancellation for nothing where it waits for
    room to send, and waits for an answer then.

    Args:
        work: what it does.
        lost: done when the connection is lost.

    Raises:
        ConnectionClosedError: it is.
    """
    doing = asyncio.create_task(work)
    try:
        await asyncio.wait((doing, lost), return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise ConnectionClosedError
    finally:
        if not doing.done():
            give_up(doing, _AGAIN)


def check_size(client: Client, body: bytes, headers: Mapping[str, str]) -> None:
    """Refuse a message at which the server would end the connection, since the client does not count headers.

    Raises:
        MaxPayloadError: it has more than the server takes.
    """
    fields = sum(len(f"{name}: {value}\r\n".encode()) for name, value in headers.items())
    if fields and len(b"NATS/1.0\r\n\r\n") + fields + len(body) > client.max_payload:
        raise MaxPayloadError
