"""A gateway whose components are called with JSON, and the exchange of exact bytes with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tests.harness import GatewayProcess
from tests.routes.wire import Client, Response, post

JSON: Final = "Content-Type: application/json"


class Endpoint(GatewayProcess):
    """One component, served under the name `guest`.

    Args:
        component: its file.
        folder: where the configuration is written.
        server: keys of `[server]`, in TOML.
        limits: keys of the component, in TOML.
    """

    path: Final = "/rpc/guest"

    def __init__(
        self, component: Path, folder: Path, *, server: str = "", limits: str = ""
    ) -> None:
        config = folder / "gateway.toml"
        config.write_text(
            f'[server]\nport = 0\n{server}\n[[components]]\nname = "guest"\n'
            f"source = {json.dumps(str(component))}\n{limits}\n"
        )
        super().__init__(config)

    def connect(self) -> Client:
        """Opens a connection."""
        return Client(self.port)

    def post(self, body: bytes, *headers: str) -> Response:
        """Sends a body of JSON on a connection of its own."""
        return post(self, self.path, body, JSON, *headers)

    def call(self, method: str, params: Any = (), id: Any = 0) -> Any:  # noqa: A002
        """Calls a method; returns the response object."""
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": id}
        response = self.post(json.dumps(request).encode())
        assert response.status == 200, response.body
        return response.json
