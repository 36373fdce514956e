"""What a connection has received and its parser has not seen yet.

A read may bring 256 KiB: 14,000 pipelined requests, or 40,000 chunks. So the parser is fed in pieces, and only

- while it has no request that waits for the response to the one before it: what a client pipelines stays here, as
  bytes, and behind it in the socket. One that pipelines and does not read holds what one read brings, and no more;
- while the application takes the body;
- until a piece brings the events of one turn of the loop over `EVENTS`. The rest has its turn in the next one.

As long as anything waits here, nothing more is read from the socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from gateway.server.http1.turns import Turns

__all__ = ["EVENTS", "PIECE", "Intake"]

PIECE: Final = 4 << 10
"""Bytes that a parser is fed at once where each may be an event. Threat: a body in chunks of one byte, of which
these hold 680; h11 takes some 4 ms for them."""

EVENTS: Final = 512
"""Events after which the parser is fed no further piece in this turn of the loop. Arbitrary: a body that is sent
in usual chunks, of kilobytes, has some tens of them in a read."""


class Listener(Protocol):
    """What hears of the receiving side of a connection."""

    def is_between(self) -> bool:
        """Whether the next that is parsed is the beginning of a request."""

    def watch(self) -> None:
        """Reading stops, so that the transport sees no end of the connection."""

    def dry(self) -> None:
        """All was parsed that will ever come."""


class Intake:
    """The receiving side of a connection.

    Args:
        transport: where it is received.
        loop: the event loop.
        parse: parses a piece that starts at an offset of received bytes; returns its size, 0 while the parser may
            not be fed. It counts in `events` what that brought.
        listener: hears how far it is.
        ahead: where the next request waits for its turn, if it was here before the response to the last one was.

    Attributes:
        ended: whether the client has said that it sends no more.
        heard: when something was received last, or could not have been because it was not read or not asked for,
            by the loop's clock.
        events: what the parser has brought in this turn of the loop.
        waiting: how many bytes were received and not parsed.
        read_paused: whether the application is to take what it has first.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        parse: Callable[[bytes, int], int],
        listener: Listener,
        ahead: Turns,
    ) -> None:
        self.ended = False
        self.heard = loop.time()
        self.events = 0
        self.waiting = 0
        self.read_paused = False
        self._transport = transport
        self._loop = loop
        self._parse = parse
        self._listener = listener
        self._ahead = ahead
        self._received = b""
        self._next: asyncio.Handle | None = None
        self._dropping = False
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether nothing is read from the socket at present: if anyone is late, it is this side."""
        return self._stopped

    def take(self, data: bytes) -> None:
        """Take what was received."""
        self.heard = self._loop.time()
        if self._dropping:
            return
        self._received = self._received[-self.waiting :] + data if self.waiting else data
        self.waiting = len(self._received)
        if self._next is None:
            self._feed()
        if self.waiting or self.read_paused or self._stopped:
            self._regulate()

    def end(self) -> None:
        """The client has said that it sends no more."""
        self.ended = True

    def pause_reading(self) -> None:
        """Feed the parser no more: the application is to take what it has first."""
        self.read_paused = True
        self._regulate()

    def resume_reading(self) -> None:
        """Go on."""
        if self.read_paused or self.waiting:
            self.read_paused = False
            if self.waiting:
                self._soon()
            self._regulate()

    def drop(self) -> None:
        """Look at nothing any more that was or will be received."""
        self._dropping = True
        self.read_paused = False
        self.free()
        self._regulate()

    def free(self) -> None:
        """Let go of what was received."""
        self._received, self.waiting = b"", 0
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._ahead.leave(self.go_on)

    def close(self) -> None:
        """Nothing will be received any more: let go of what was, and of whoever parses it."""
        self.free()
        del self._parse

    def _soon(self) -> None:
        if self._listener.is_between():
            self._ahead.wait(self.go_on)
        elif self._next is None:
            self._next = self._loop.call_soon(self._go_on_with_request)

    def _go_on_with_request(self) -> None:
        self._next = None
        if self._listener.is_between():  # its response is complete by now
            self._ahead.wait(self.go_on)
        else:
            self.go_on()

    def go_on(self) -> None:
        """Feed the parser what waits, if it may be fed again."""
        self._feed()
        self._regulate()
        if self.ended and not self.waiting:
            self._listener.dry()

    def _feed(self) -> None:
        self.events = 0
        while self.waiting and not self.read_paused:
            if self.events >= EVENTS:
                self._soon()
                return
            self.events += 1
            size = self._parse(self._received, len(self._received) - self.waiting)
            if not size:
                break
            if self.waiting:  # unless it was dropped, for what it is
                self.waiting -= size
        if not self.waiting:
            self._received = b""

    def _regulate(self) -> None:
        """Read from the socket exactly while nothing waits here and nobody has asked to pause."""
        stop = self.read_paused or self.waiting > 0
        if stop is self._stopped or self.ended or self._transport.is_closing():
            return
        self._stopped = stop
        if stop:
            self._transport.pause_reading()
            self._listener.watch()
        else:
            self.heard = self._loop.time()
            self._transport.resume_reading()
