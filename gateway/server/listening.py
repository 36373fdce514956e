"""Where the server listens."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import Final

from gateway.config import ServerConfig

__all__ = ["ListenError", "Sockets", "bind", "listen"]


class ListenError(Exception):
    """The gateway cannot listen where it was told to. The message says why and what to do."""


_LISTEN_HINTS: Final = {
    errno.EADDRINUSE: "the port is in use: stop what listens there, or choose another port",
    errno.EACCES: "this user may not: ports below 1024 need a privilege, choose a higher one",
    errno.EADDRNOTAVAIL: 'this machine has no such address: "0.0.0.0" stands for all that it has',
}


def bind(server: ServerConfig) -> socket.socket:
    """Take the address of a server without accepting connections yet.

    Of a name that has addresses of both families, the first of IPv4 is taken. "::" is for both.

    Raises:
        ListenError: it cannot be had.
    """
    try:
        found = socket.getaddrinfo(
            server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "it is no host name"
        raise ListenError(f'cannot listen on "{server.host}": {reason}') from error
    family, kind, number, _name, address = min(found, key=lambda info: info[0] != socket.AF_INET)
    sock = socket.socket(family, kind, number)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if server.host == "::" and socket.has_dualstack_ipv6():
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise _listen_error(server, error) from error
    return sock


def listen(sock: socket.socket, server: ServerConfig) -> str:
    """Accept connections from now on, and give the URL.

    Raises:
        ListenError: another process was faster.
    """
    try:
        sock.listen(server.backlog)
    except OSError as error:
        raise _listen_error(server, error) from error
    return _url(server.host, sock.getsockname()[1])


def _listen_error(server: ServerConfig, error: OSError) -> ListenError:
    reason = _LISTEN_HINTS.get(error.errno or 0, error.strerror)
    return ListenError(f"cannot listen on {_url(server.host, server.port)}: {reason}")


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@dataclass(frozen=True, slots=True)
class Sockets:
    """What a gateway listens on. Can be sent to a process that is started, which then listens there too.

    Attributes:
        main: for the components.
        admin: for those who run the gateway; None where they have no address of their own.
    """

    main: socket.socket
    admin: socket.socket | None = None

    @classmethod
    def bind(cls, server: ServerConfig) -> Sockets:
        """Take the addresses of a server without accepting connections yet.

        Raises:
            ListenError: one of them cannot be had.
        """
        main = bind(server)
        admin = _admin(server)
        try:
            return cls(main, None if admin is None else bind(admin))
        except ListenError:
            main.close()
            raise

    def listen(self, server: ServerConfig) -> dict[str, str]:
        """Accept connections from now on, and give the URLs: `url`, and `admin_url` where there is one.

        Raises:
            ListenError: another process was faster.
        """
        urls = {"url": listen(self.main, server)}
        admin = _admin(server)
        if self.admin is not None and admin is not None:
            urls["admin_url"] = listen(self.admin, admin)
        return urls

    def close(self) -> None:
        """Let go of them. They go on to listen as long as another process has them."""
        self.main.close()
        if self.admin is not None:
            self.admin.close()


def _admin(server: ServerConfig) -> ServerConfig | None:
    """A server like this one that listens at its `admin_addr`."""
    if server.admin_addr is None:
        return None
    host, port = server.admin_addr
    return server.model_copy(update={"host": host, "port": port})
