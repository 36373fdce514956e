"""The other ends, on loopback: what accepts a guest's connections, and what it exchanges datagrams with."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bindings.sockets.guest import LOOPBACK
from tests.patience import PATIENCE

_FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}


class Peer:
    """The other end of a connection, or of nothing but datagrams.

    Attributes:
        address: where it is.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self.address = end.getsockname()

    async def accept(self) -> Peer:
        """The next connection."""
        loop = asyncio.get_running_loop()
        connection, _ = await asyncio.wait_for(loop.sock_accept(self._socket), PATIENCE)
        return Peer(connection)

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await asyncio.wait_for(
            asyncio.get_running_loop().sock_sendall(self._socket, data), PATIENCE
        )

    async def receive(self) -> bytes:
        """What comes next, a datagram or some bytes; nothing at the end of a connection."""
        loop = asyncio.get_running_loop()
        return await asyncio.wait_for(loop.sock_recv(self._socket, 65536), PATIENCE)

    async def receive_all(self) -> bytes:
        """What comes until the end of the connection."""
        data = bytearray()
        while piece := await self.receive():
            data += piece
        return bytes(data)

    def send_datagram(self, data: bytes, port: int) -> None:
        """Send a datagram to a port of its own host. It is there when this returns."""
        self._socket.sendto(data, (self.address[0], port))

    def deafen(self) -> None:
        """Have datagrams from anyone refused."""
        self._socket.connect(self.address)

    def finish(self) -> None:
        """Send the end of the stream."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Go away without a word, as a program that has crashed."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """Close it."""
        self._socket.close()


@contextmanager
def listening(family: str = "ipv4", backlog: int = 100, *, small: bool = False) -> Iterator[Peer]:
    """What accepts connections.

    Args:
        family: its family.
        backlog: how many connections may wait to be accepted.
        small: whether its connections take as few bytes as possible that they have not received.
    """
    with socket.socket(_FAMILIES[family], socket.SOCK_STREAM) as listener:
        if small:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        listener.bind((LOOPBACK[family], 0))
        listener.listen(backlog)
        yield Peer(listener)


@contextmanager
def unanswering(family: str = "ipv4") -> Iterator[Any]:
    """The address of what neither accepts nor refuses connections: it has as many as it wants."""
    with listening(family, backlog=0) as listener, socket.socket(_FAMILIES[family]) as only:
        only.connect(listener.address)
        yield listener.address


@contextmanager
def datagrams(family: str = "ipv4") -> Iterator[Peer]:
    """What exchanges datagrams."""
    with socket.socket(_FAMILIES[family], socket.SOCK_DGRAM) as end:
        end.bind((LOOPBACK[family], 0))
        yield Peer(end)


@contextmanager
def closed(family: str = "ipv4", kind: int = socket.SOCK_STREAM) -> Iterator[Any]:
    """An address where nobody is, and where nobody else can come."""
    with socket.socket(_FAMILIES[family], kind) as taken:
        taken.bind((LOOPBACK[family], 0))
        if kind == socket.SOCK_DGRAM:
            Peer(taken).deafen()
        yield taken.getsockname()
