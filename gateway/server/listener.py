"""One address that is listened on."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.transports.socket_file import SocketFile, is_socket, remove_stale

__all__ = ["ListenError", "Listener", "bind_tcp", "bind_unix"]


class ListenError(Exception):
    """The gateway cannot listen where it was told to. The message says why and what to do."""


_TCP_HINTS: Final = {
    errno.EADDRINUSE: "the port is in use: stop what listens there, or choose another port",
    errno.EACCES: "this user may not: ports below 1024 need a privilege, choose a higher one",
    errno.EADDRNOTAVAIL: 'this machine has no such address: "0.0.0.0" stands for all that it has',
    errno.EAFNOSUPPORT: "this machine has no addresses of this kind",
}
_UNIX_HINTS: Final = {
    errno.EADDRINUSE: "a process listens there: stop it, or choose another path",
    errno.EACCES: "this user may not put a socket there: choose a folder that it may write to",
    errno.EPERM: "this user may not put a socket there: choose a folder that it may write to",
    errno.ENOENT: "its folder does not exist: make it, or choose another path",
}


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that is listened on. Can be sent to a process that is started, which then listens there too.

    Attributes:
        sock: the socket.
        url: where it is: "http://127.0.0.1:8080", or "unix:/run/gateway.sock".
        file: that of a Unix socket which this gateway has bound.
        handed_over: whether who started the gateway has bound it, and goes on to have it when the gateway ends.
    """

    sock: socket.socket
    url: str
    file: SocketFile | None = None
    handed_over: bool = False

    @classmethod
    def of(
        cls, sock: socket.socket, host: str | None = None, *, handed_over: bool = False
    ) -> Listener:
        """One that is bound.

        Args:
            sock: the socket.
            host: what its address is called; None for the address itself.
            handed_over: whether who started the gateway has bound it.
        """
        address = sock.getsockname()
        if sock.family == socket.AF_UNIX:
            # One in the abstract name space of Linux has a zero byte in front (unix(7)), and no file.
            name = address.decode(errors="replace") if isinstance(address, bytes) else address
            return cls(sock, f"unix:{name.replace(chr(0), '@')}", handed_over=handed_over)
        return cls(sock, _url(host or address[0], address[1]), handed_over=handed_over)

    def listen(self, backlog: int) -> None:
        """Have the kernel accept connections from now on, if it does not yet.

        Args:
            backlog: how many may wait.

        Raises:
            ListenError: another process was faster.
        """
        # Not once more: how many may wait is the choice of who has handed it over.
        if not self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            try:
                self.sock.listen(backlog)
            except OSError as error:
                raise _error(self.url, error, _TCP_HINTS) from error
        if self.file is not None and self.file.is_ours and not self.file.in_place:
            raise ListenError(
                f"cannot listen on {self.url}: another process has put its own socket there meanwhile"
            )

    def remove(self) -> None:
        """Remove its file, if this process has made it: nobody new connects, who has connected stays."""
        if self.file is not None:
            self.file.remove()

    def close(self) -> None:
        """Let go of it. It goes on to listen as long as another process has it."""
        self.sock.close()


def bind_tcp(host: str, port: int, *, ipv6_only: bool = False) -> Listener:
    """Take an address without accepting connections yet.

    Of a name that has addresses of both families, the first of IPv4 is taken.

    Args:
        host: a name or an address; "::" is for both families.
        port: 0 for any that is free.
        ipv6_only: whether "::" is for its own family alone.

    Raises:
        ListenError: it cannot be had.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "it is no host name"
        raise ListenError(f'cannot listen on "{host}": {reason}') from error
    family, kind, number, _name, address = min(found, key=lambda info: info[0] != socket.AF_INET)
    sock: socket.socket | None = None
    try:
        sock = socket.socket(family, kind, number)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if host == "::" and socket.has_dualstack_ipv6():
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(ipv6_only))
        sock.bind(address)
    except OSError as error:
        if sock is not None:
            sock.close()
        raise _error(_url(host, port), error, _TCP_HINTS) from error
    return Listener.of(sock, host)


def bind_unix(path: Path, mode: int) -> Listener:
    """Make a Unix socket without accepting connections yet. One that a process has left which is gone is replaced.

    To be called before the process does anything else that makes files: it has another umask for a moment.

    Args:
        path: where.
        mode: the permissions of its file; who may write to it may connect.

    Raises:
        ListenError: it cannot be made.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        remove_stale(path)
        # Made with its permissions. Who may write to the folder could put a link there before a later chmod, which
        # would follow it.
        umask = os.umask(0o777 & ~mode)
        try:
            sock.bind(str(path))
        finally:
            os.umask(umask)
        return Listener(sock, f"unix:{path}", SocketFile.of(path))
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE and not is_socket(path):
            raise ListenError(
                f"cannot listen on unix:{path}: there is a file that is no socket: choose another path"
            ) from error
        raise _error(f"unix:{path}", error, _UNIX_HINTS) from error


def _error(url: str, error: OSError, hints: Mapping[int, str]) -> ListenError:
    return ListenError(f"cannot listen on {url}: {hints.get(error.errno or 0, error.strerror)}")


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
