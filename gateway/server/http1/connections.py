"""What the connections of one endpoint share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Protocol

from gateway.observe.connection_end import ConnectionEnd
from gateway.server.http1.departure import Departures
from gateway.server.http1.turns import Turns

__all__ = ["Connection", "Connections", "Timeouts"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a client may take, in seconds.

    Attributes:
        header: for the line and headers of a request.
        body: between two parts of its body.
        write: to take any part of a response.
    """

    header: float
    body: float
    write: float


class Connection(Protocol):
    """One of them."""

    @property
    def guard(self) -> Guarded:
        """What keeps it within its bounds."""

    @property
    def transport(self) -> asyncio.Transport:
        """Where its responses are written."""

    def shutdown(self) -> None:
        """End it as soon as no request is lost."""


class Guarded(Protocol):
    """What keeps a connection within its bounds, as its server sees it.

    Attributes:
        ending: whether the next response is the connection's last.
    """

    ending: bool

    def answering(self) -> bool:
        """Whether the last request of the connection still lacks its response."""

    def more_to_come(self) -> bool:
        """Whether the client may be sending."""

    def drain(self) -> None:
        """Have the connection end after the next response that has not begun."""

    def look(self, now: float) -> None:
        """End the connection if its client sends or takes nothing for too long."""


class Connections:
    """The connections of one endpoint, and what they have in common.

    Args:
        timeouts: how long their clients may take.
        count: hears why one was ended.

    Attributes:
        open: the connections that are open.
        tasks: those in which requests are answered.
        date: the line of this second, for responses that are not dated by the application.
        idle: those that have no request, the one that has been so for the longest time first, and since when.
        departures: tells which clients have gone away.
        ahead: where requests wait that were sent before the response to the one before them.
        on_lost: called when one has ended.
    """

    def __init__(
        self, timeouts: Timeouts, count: Callable[[ConnectionEnd], None] = lambda _: None
    ) -> None:
        self.timeouts = timeouts
        self.count = count
        self.open: set[Connection] = set()
        self.tasks: set[asyncio.Task[Any]] = set()
        self.date = b""
        self.idle: dict[Connection, float] = {}
        self.departures = Departures()
        self.ahead = Turns()
        self.on_lost: Callable[[], None] = lambda: None

    def set_date(self) -> None:
        """Have responses tell this second. To be called in each."""
        self.date = b"date: %b\r\n" % formatdate(usegmt=True).encode()

    def look(self, now: float) -> None:
        """End those whose clients are late. To be called every second.

        Args:
            now: the time by the loop's clock.
        """
        for connection in list(self.open):
            connection.guard.look(now)
