"""What uvicorn's protocols have added to them alike, whatever the parser."""

from __future__ import annotations

import asyncio
import socket
from abc import abstractmethod
from typing import Any

import uvicorn

from gateway.server.http1.connections import Connections
from gateway.server.http1.intake import Intake
from gateway.server.http1.limits import Guard, Parser
from gateway.server.http1.outlet import Outlet

__all__ = ["GuardedProtocol"]


class GuardedProtocol(asyncio.Protocol, Parser):
    """A connection, within its bounds: to be mixed into a protocol of uvicorn's, before it."""

    loop: asyncio.AbstractEventLoop
    client: tuple[str, int] | None
    guard: Guard
    flow: Intake
    transport: Outlet

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: Connections,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)  # type: ignore[call-arg]
        self.shared = server_state

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Intake(transport, self.loop, self._parse, self.guard, self.shared.ahead)
        self.transport = Outlet(transport, self.flow, self.loop, self.guard)
        self.guard.connected(transport)
        if self.client is None and transport.get_extra_info("socket").family != socket.AF_UNIX:
            # It was reset while it was queued, and what it had sent can still be read. Its address is not known
            # any more, and no address is what peers of a Unix socket have, which may be trusted.
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.guard.lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.shared.idle.pop(self, None)
        self.flow.take(data)

    def eof_received(self) -> bool:
        return self.guard.eof_received()

    def shutdown(self) -> None:
        if self.guard.may_end():
            super().shutdown()  # type: ignore[misc]

    @abstractmethod
    def _parse(self, data: bytes, offset: int) -> int:
        """Parse no more than is due of what was received; tells how many bytes that is."""
