"""Where a component is served by wRPC."""

from __future__ import annotations

import ipaddress
import re
import socket
import sys
from pathlib import PurePath
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, WithJsonSchema

__all__ = ["MAX_SOCKET_PATH", "WrpcAddress", "WrpcAddressText"]

_FORM: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]*)):(?P<port>[0-9]{1,5})")

MAX_SOCKET_PATH: Final = 103 if sys.platform == "darwin" else 107
"""Bytes of a Unix socket's path (unix(7))."""


class WrpcAddress(NamedTuple):
    """An address of a socket.

    Attributes:
        family: of `socket`.
        address: what such a socket is bound to.
    """

    family: socket.AddressFamily
    address: tuple[str, int] | str

    @classmethod
    def parse(cls, text: str) -> WrpcAddress:
        """Read "127.0.0.1:7761", "[::1]:7761", ":7761", which is on the loopback interface, or "unix:/path".

        Raises:
            ValueError: it is none of them.
        """
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            if not PurePath(path).is_absolute() or len(path.encode()) > MAX_SOCKET_PATH:
                raise ValueError(
                    f"must be an absolute path of at most {MAX_SOCKET_PATH} bytes after unix:"
                )
            return cls(socket.AF_UNIX, path)
        found = _FORM.fullmatch(text)
        if found is None or int(found["port"]) > 65_535:
            raise ValueError(
                'must be an IP address and a port, such as "127.0.0.1:7761" or "[::1]:7761", or a Unix socket, '
                'such as "unix:/run/pricing.sock"'
            )
        host = found["v6"] or found["v4"] or "127.0.0.1"
        version = ipaddress.ip_address(host).version
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        return cls(family, (host, int(found["port"])))


def _checked(text: str) -> str:
    WrpcAddress.parse(text)
    return text


WrpcAddressText = Annotated[
    str,
    AfterValidator(_checked),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^(unix:/.+|(\[[0-9A-Fa-f:.]+\]|[0-9.]*):[0-9]{1,5})$",
            "examples": ["127.0.0.1:7761", "unix:/run/pricing.sock"],
        }
    ),
]
"""An address as a configuration has it."""
