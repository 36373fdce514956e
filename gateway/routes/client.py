"""The client of a request: what the gateway's own server and an application tell each other of it, beside ASGI."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.host.scheduler import Lane

__all__ = ["EXTENSION", "Client"]

EXTENSION: Final = "component_gateway.client"
"""The key under `extensions` of an ASGI scope whose value has a `Client` under `client`, from the gateway's own
server alone."""


class Client:
    """One connection, as the application sees it.

    Attributes:
        left: done when the connection has ended; None where nobody tells. ASGI tells of that behind the body, so
            that an application which does not take the body does not hear of it. Under another server, a client
            that leaves is noticed when the body is read.
        reads_on: set by an application that begins its response and goes on taking the body. The response need not
            be the last of its connection then, as one must be that comes before a large body which nobody takes.
        lane: where its present request waits for its turn.
        whole: whether all of that request is known to have arrived, so that receiving it takes no time.
    """

    __slots__ = ("lane", "left", "reads_on", "whole")

    def __init__(self, left: asyncio.Future[None] | None = None) -> None:
        self.left = left
        self.reads_on = False
        self.lane = Lane.NEW
        self.whole = False
