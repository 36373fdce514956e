"""A server in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Self

from gateway.config import GatewayConfig, ServerConfig
from gateway.server import Server, Sockets
from tests.harness import PATIENCE
from tests.server.client import Connection
from tests.server.echo import Echo

LIMIT: Final = 1024
"""Bytes of request line and headers that it takes."""


class Running:
    """A server in a thread of this process.

    Attributes:
        app: what it serves.
        place: the port where, or the path of a Unix socket.
        every_second: what the server calls so often.
    """

    def __init__(self, before: Callable[[int], None] | None = None, /, **options: Any) -> None:
        """Start it.

        Args:
            before: called with the port when clients can connect, and nobody has been accepted yet.
            options: keys of the server.
        """
        self.app = Echo()
        self.every_second: Callable[[], None] = lambda: None
        config = GatewayConfig(
            server=ServerConfig(port=0, max_header_bytes=LIMIT, shutdown_timeout=0.1, **options)
        )
        sockets = Sockets.bind(config.server)
        self.url = sockets.listen(config.server)["url"]
        self.place = config.server.uds or int(self.url.rpartition(":")[2])
        if before is not None:
            before(int(self.url.rpartition(":")[2]))
        listening = threading.Event()

        def tell(event: str, **_fields: object) -> None:
            if event == "listening":
                listening.set()

        self._server = Server(config, self.app, tell, self._every_second)
        # A daemon, so that a server which does not stop cannot keep the tests from ending.
        self._thread = threading.Thread(
            target=lambda: self._server.run(self._server.serve(sockets)), daemon=True
        )
        self._thread.start()
        assert listening.wait(PATIENCE)

    def _every_second(self) -> None:
        self.every_second()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        with suppress(RuntimeError):  # it has stopped already
            self._server.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def stop(self) -> None:
        """Begin to stop."""
        self._server.stop()

    def connect(self, step: int = 1 << 20) -> Connection:
        return Connection(self.place, step)
