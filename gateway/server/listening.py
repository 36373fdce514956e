"""Where the server listens."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from gateway.config import ServerConfig
from gateway.server.handed_over import ADMIN
from gateway.server.listener import Listener, ListenError, bind_tcp, bind_unix

__all__ = ["Sockets"]


@dataclass(frozen=True, slots=True)
class Sockets:
    """What a gateway listens on. Can be sent to a process that is started, which then listens there too.

    Entered, it is listened on; left, all is closed and the files of Unix sockets are gone.

    Attributes:
        main: for the components; there is one at least.
        admin: for those who run the gateway; none where they have no address of their own.
    """

    main: tuple[Listener, ...]
    admin: tuple[Listener, ...] = ()

    @classmethod
    def bind(cls, server: ServerConfig, handed_over: Iterable[tuple[str, Listener]] = ()) -> Self:
        """Take the addresses of a server without accepting connections yet.

        Args:
            server: where.
            handed_over: sockets that take the place of the configured addresses, with their names.

        Raises:
            ListenError: one of them cannot be had; all are closed.
        """
        with contextlib.ExitStack() as taken:
            given: list[tuple[str, Listener]] = []
            for name, listener in handed_over:
                _keep(listener, taken)
                given.append((name, listener))
            admin = tuple(listener for name, listener in given if name == ADMIN)
            if admin and server.admin_addr is None:
                raise ListenError(
                    f'cannot listen on {admin[0].url}: it is named "{ADMIN}", and nothing is served there without '
                    "admin_addr in [server]"
                )
            main = tuple(listener for name, listener in given if name != ADMIN)
            sockets = cls(
                main or tuple(_keep(it, taken) for it in _bind(server)),
                admin or tuple(_keep(it, taken) for it in _bind_admin(server)),
            )
            taken.pop_all()
        return sockets

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.remove()
        self.close()

    def listen(self, server: ServerConfig) -> dict[str, Any]:
        """Have the kernel accept connections from now on, and give where: `url`, `more_urls` and `admin_url`.

        Raises:
            ListenError: another process was faster.
        """
        for listener in (*self.main, *self.admin):
            listener.listen(server.backlog)
        first, *more = (listener.url for listener in self.main)
        told: dict[str, Any] = {"url": first}
        if more:
            told["more_urls"] = more
        if self.admin:
            told["admin_url"] = self.admin[0].url
        return told

    def remove(self) -> None:
        """Remove the files of the Unix sockets that this process has made."""
        for listener in (*self.main, *self.admin):
            listener.remove()

    def close(self) -> None:
        """Let go of them. They go on to listen as long as another process has them."""
        for listener in (*self.main, *self.admin):
            listener.close()


def _keep(listener: Listener, taken: contextlib.ExitStack) -> Listener:
    """Have a listener end with what is taken."""
    taken.callback(listener.close)
    taken.callback(listener.remove)
    return listener


def _bind(server: ServerConfig) -> Iterator[Listener]:
    addresses = server.addresses
    for host, port in addresses:
        # "::" is for both families, but where the same port of the other one has an entry of its own.
        beside = any(":" not in other and same == port != 0 for other, same in addresses)
        yield bind_tcp(host, port, ipv6_only=beside)
    if server.uds is not None:
        yield bind_unix(server.uds, server.uds_mode)


def _bind_admin(server: ServerConfig) -> Iterator[Listener]:
    if server.admin_addr is not None:
        yield bind_tcp(*server.admin_addr)
