"""The ASGI application."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send

from gateway.config import GatewayConfig
from gateway.metrics import Metrics
from gateway.routes.dispatcher import Dispatcher
from gateway.service import Service, load_services

__all__ = ["Gateway", "create_app", "verify"]


class Gateway:
    """An ASGI application that answers HTTP requests and JSON-RPC calls with components.

    It needs no lifespan events, so it can be mounted in any other application.

    Attributes:
        services: the components, in the order of the configuration.
        metrics: what has been counted.
    """

    def __init__(self, config: GatewayConfig) -> None:
        self.metrics = Metrics()
        self.services: list[Service] = load_services(config, self.metrics)
        self._dispatcher = Dispatcher(self.services, config.server)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope: a request, or the server's lifespan."""
        match scope["type"]:
            case "http":
                await self._dispatcher(scope, receive, send)
            case "lifespan":
                await self._lifespan(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1000})
            case other:
                raise ValueError(f"unknown ASGI scope {other!r}")

    async def aclose(self) -> None:
        """Close what the components had open outside of themselves. Called when the lifespan ends."""
        for service in self.services:
            await service.grants.aclose()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        ended = False
        while not ended:
            message = await receive()
            ended = message["type"] == "lifespan.shutdown"
            if ended:
                await self.aclose()
            await send({"type": f"{message['type']}.complete"})


def create_app(config: GatewayConfig) -> Gateway:
    """Make the application for a configuration; every component is loaded, compiled and linked.

    Raises:
        gateway.host.errors.ComponentError: a component is refused; the message names each that is.
    """
    return Gateway(config)


def verify(config: GatewayConfig) -> None:
    """Load, compile and link every component, for the compile cache and the errors, not to serve.

    Raises:
        gateway.host.errors.ComponentError: a component is refused; the message names each that is.
    """
    for service in load_services(config, Metrics()):
        asyncio.run(service.grants.aclose())
