"""An endpoint in the loop of the test: what the client does between two awaits, the loop has not seen yet."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.config import ServerConfig
from gateway.server.endpoint import Endpoint
from gateway.server.listening import Sockets
from gateway.server.settings import uvicorn_config
from tests.patience import PATIENCE, until
from tests.server.echo import Echo

Play = Callable[[Endpoint, Echo, socket.socket], Awaitable[None]]


def play(kind: dict[str, str], scene: Play, **options: Any) -> None:
    """Play a scene: an endpoint of a kind, what it serves, and a connection to it, which does not block."""
    settings = ServerConfig.model_validate({"port": 0, **kind, **options})
    app = Echo()
    config = uvicorn_config(app, settings)

    async def run() -> None:
        app.use(asyncio.get_running_loop())
        sockets = Sockets.bind(settings)
        port = int(sockets.listen(settings)["url"].rpartition(":")[2])
        endpoint = Endpoint(config, {}, sockets.main, settings, app.connection_metrics)
        await endpoint.open(settings.backlog)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setblocking(False)
            try:
                async with asyncio.timeout(PATIENCE):
                    await until(lambda: bool(endpoint.connections))
                    await scene(endpoint, app, client)
            finally:
                await endpoint.close()
                await endpoint.abort()

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(run())


async def push(client: socket.socket, data: bytes) -> int:
    """Send as much as is taken, until the server has stopped reading; gives how much."""
    sent = idle = 0
    while sent < len(data) and idle < 100:
        try:
            sent += client.send(data[sent : sent + (1 << 20)])
            idle = 0
        except BlockingIOError:
            idle += 1
        await asyncio.sleep(0.001)
    return sent
