"""What the server asks of an application, besides answering requests."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.config import GatewayConfig
from gateway.lifecycle.reload import Owner

__all__ = ["AppFactory", "Application", "ConnectionMetrics"]


class ConnectionMetrics(Protocol):
    """Hears what becomes of connections."""

    def connections_open(self, number: int) -> None:
        """There are so many at present."""

    def connection_ended(self, reason: str) -> None:
        """The server has ended one that its client had not finished with.

        Args:
            reason: a value of `gateway.observe.connection_end.ConnectionEnd`.
        """

    def accepting_stopped(self) -> None:
        """There are as many as there may be."""


class Application(Protocol):
    """An ASGI application that can go out of service, and change, while it runs."""

    @property
    def owner(self) -> Owner:
        """Who decides what it serves; for the server to say."""

    @property
    def admin(self) -> ASGIApp | None:
        """What is served at the address of those who run the gateway."""

    @property
    def connection_metrics(self) -> ConnectionMetrics | None:
        """What counts connections, if anything does."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope: a request, or the server's lifespan."""

    def drain(self) -> None:
        """Go out of service: readiness fails from now on."""

    @property
    def busy(self) -> bool:
        """Whether anything that came otherwise than by its server is still to be finished."""

    def stop_calls(self) -> int:
        """Stop what still runs, so that its requests are answered at once; returns how much that was."""

    async def reload(self, config: GatewayConfig, changed: str | None = None) -> None:
        """Serve another configuration. Requests that have begun end with the present one.

        Args:
            config: the configuration.
            changed: the one component whose file is read again if that was loaded before; None for all.

        Raises:
            ComponentError: a component is refused; all stays as it was.
        """

    def reload_failed(self, reason: str) -> None:
        """Tell those who ask that there was a change which could not be read, so that nothing was loaded."""


class AppFactory(Protocol):
    """Makes an application. Workers find it by its import path."""

    def __call__(self, config: GatewayConfig, *, workers_dir: Path | None = None) -> Application:
        """Load everything.

        Args:
            config: what to serve.
            workers_dir: a folder that the workers of one gateway share; None for one alone.

        Raises:
            ComponentError: a component is refused.
        """
