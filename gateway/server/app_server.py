"""An application that a running event loop serves for a while, with the bounds that `gateway serve` has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.types import ASGIApp

from gateway.config import ServerConfig
from gateway.server.endpoint import Endpoint
from gateway.server.listener import bind_tcp
from gateway.server.settings import uvicorn_config

__all__ = ["serving"]

_LEFT: Final = 5.0
"""Seconds that requests under way have when it is over. Arbitrary: who has asked is about to end, too."""


@asynccontextmanager
async def serving(app: ASGIApp, server: ServerConfig) -> AsyncIterator[str]:
    """Serve an application at the host and the port of a configuration; gives the URL.

    It is told of no lifespan, and no signal ends it.

    Args:
        app: the application.
        server: where, and the limits of connections.

    Raises:
        gateway.server.ListenError: the address cannot be had.
    """
    listener = bind_tcp(server.host, server.port)
    endpoint = Endpoint(uvicorn_config(app, server), {}, [listener], server)
    await endpoint.open(server.backlog)
    ticking = asyncio.create_task(_tick(endpoint))
    try:
        yield listener.url
    finally:
        ticking.cancel()
        endpoint.drain()
        await endpoint.close()
        await endpoint.ended(_LEFT)
        await endpoint.abort()


async def _tick(endpoint: Endpoint) -> None:
    while True:
        await asyncio.sleep(1.0)
        endpoint.tick()
