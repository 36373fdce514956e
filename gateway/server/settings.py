"""uvicorn's settings, from ours."""

from __future__ import annotations

from typing import cast

import uvicorn
from starlette.types import ASGIApp

from gateway.config import ServerConfig
from gateway.server.http1 import http_protocol

__all__ = ["uvicorn_config"]


def uvicorn_config(app: ASGIApp, server: ServerConfig) -> uvicorn.Config:
    """How uvicorn's protocols serve an application, and its lifespan."""
    config = uvicorn.Config(
        app,
        interface="asgi3",
        lifespan="on",
        http=http_protocol(server.http),
        ws="none",
        loop=server.loop,
        h11_max_incomplete_event_size=server.max_header_bytes,
        # It goes to a function that takes fractions of seconds, whatever uvicorn's annotation says.
        timeout_keep_alive=cast("int", server.keep_alive_timeout),
        # The application decides itself whose `Forwarded` it believes, and logs requests itself.
        proxy_headers=False,
        access_log=False,
        log_config=None,
        server_header=False,
    )
    config.load()
    return config
