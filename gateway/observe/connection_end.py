"""Why connections end, where it is not their clients who end them."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ConnectionEnd"]


class ConnectionEnd(StrEnum):
    """Why the server ended a connection that its client had not finished with."""

    MALFORMED_REQUEST = "malformed_request"
    HEADERS_TOO_LARGE = "headers_too_large"
    NOT_IMPLEMENTED = "not_implemented"
    HEADER_TIMEOUT = "header_timeout"
    BODY_TIMEOUT = "body_timeout"
    WRITE_TIMEOUT = "write_timeout"
    UNREAD_BODY = "unread_body"
    """The response was complete, and too much of the request's body was not."""
    MAX_CONNECTIONS = "max_connections"
    """It was idle, and its place was needed."""
