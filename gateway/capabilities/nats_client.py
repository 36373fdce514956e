"""What a connection to NATS takes, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import Callable, Coroutine, Generator, Mapping
from typing import Any, Final, TypeVar

from nats.aio.client import Client
from nats.errors import ConnectionClosedError, Error, MaxPayloadError

from gateway.capabilities.task import retrieve

__all__ = ["CLOSING", "FAILURES", "check_size", "close", "when_lost", "while_connected"]

T = TypeVar("T")

CLOSING: Final = 2.0
"""Seconds for a goodbye. Arbitrary; the client has as many to connect."""

_TIMES: Final = 8
"""How often what the client does is cancelled before it is closed. Arbitrary: it takes one for nothing, and what
it waits for then has to be cancelled itself."""

FAILURES: Final = (Error, OSError, RuntimeError)
"""What the client raises where the server is away; the last is that of a transport of uvloop which is closed."""


async def close(client: Client) -> None:
    """End a connection, whatever the server does."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSING):
            await client.close()
    writer = getattr(client._transport, "_io_writer", None)
    if writer is not None:
        # What the server does not read would be kept until it does. asyncio's own transport fails where it has
        # sent all of that since it was closed.
        with contextlib.suppress(AttributeError):
            writer.transport.abort()


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

    It ends for who waits when that does, or is cancelled, though the client takes a cancellation for nothing where
    it waits for room to send, and waits for an answer then. It has no task of its own: that would take three more
    turns of the loop, half as many as an answer does.

    Args:
        work: what it does.
        lost: done when the connection is lost.

    Raises:
        ConnectionClosedError: it is.
    """
    task = asyncio.current_task()
    if lost.done() or task is None:
        work.close()
        raise ConnectionClosedError
    others = task.cancelling()
    within, ended = True, False

    def end(_: asyncio.Future[None]) -> None:
        nonlocal ended
        if within:
            ended = True
            task.cancel()

    lost.add_done_callback(end)
    try:
        return await _left_when_cancelled(work)
    except asyncio.CancelledError as error:
        # As `asyncio.timeout` does, without its ten calls: nobody else has cancelled it.
        if ended and task.uncancel() <= others:
            raise ConnectionClosedError from error
        raise
    finally:
        within = False
        lost.remove_done_callback(end)


@types.coroutine
def _left_when_cancelled(work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Do something in the present task, and leave it where it goes on when that is cancelled."""
    try:
        awaited = work.send(None)
        while True:
            try:
                sent = yield awaited
            except asyncio.CancelledError as error:
                _cancel(work, error)
                raise
            awaited = work.send(sent)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        with contextlib.suppress(RuntimeError):  # it would wait even now
            work.close()


def _cancel(work: Coroutine[Any, Any, Any], error: asyncio.CancelledError) -> None:
    """Have something end that may go on when it is cancelled, and again."""
    with contextlib.suppress(Exception, asyncio.CancelledError):
        for _ in range(_TIMES):
            awaited = work.throw(error)
            if isinstance(awaited, asyncio.Future):
                awaited.cancel()  # as a task that is cancelled does: the client forgets it then


def check_size(client: Client, body: bytes, headers: Mapping[str, str]) -> None:
    """Refuse a message at which the server would end the connection, since the client does not count headers.

    Raises:
        MaxPayloadError: it has more than the server takes.
    """
    fields = sum(len(f"{name}: {value}\r\n".encode()) for name, value in headers.items())
    if fields and len(b"NATS/1.0\r\n\r\n") + fields + len(body) > client.max_payload:
        raise MaxPayloadError
